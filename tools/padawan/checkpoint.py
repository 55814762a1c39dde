"""Checkpoints of a training run: one .npz, replaced atomically."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

NAME = 'checkpoint.npz'


def flatten(tree: dict, prefix: str = '') -> dict[str, np.ndarray]:
    out = {}
    for key, value in tree.items():
        path = f'{prefix}/{key}' if prefix else key
        if isinstance(value, dict):
            out.update(flatten(value, path))
        else:
            out[path] = np.asarray(value)
    return out


def unflatten(flat) -> dict:
    out: dict = {}
    for path in flat:
        *parents, leaf = path.split('/')
        node = out
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = jnp.asarray(flat[path])
    return out


def save(folder: Path, state: dict, step: int, elapsed: float) -> None:
    part = folder / ('part-' + NAME)
    np.savez(part, **flatten({'state': state}), step=step, elapsed=elapsed)
    part.replace(folder / NAME)


def load(folder: Path):
    """(state, step, elapsed seconds), or None where no checkpoint exists."""
    if not (folder / NAME).exists():
        return None
    with np.load(folder / NAME) as flat:
        state = unflatten({k: flat[k] for k in flat.files if k.startswith('state/')})['state']
        return state, int(flat['step']), float(flat['elapsed'])


def weights(folder: Path, averaged: bool) -> dict[str, np.ndarray]:
    """Only the parameters, or their running average."""
    found = load(folder)
    if found is None:
        raise FileNotFoundError(f'no {NAME} in {folder}: run train.py first')
    tree = found[0]['average' if averaged else 'params']
    return {name: np.asarray(value) for name, value in tree.items()}
