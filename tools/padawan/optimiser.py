"""Muon on the matrices, Adam on the rest, in one update.

Muon replaces a matrix's momentum by its nearest orthogonal matrix, found by a few Newton-Schulz
steps (Jordan et al., https://kellerjordan.github.io/posts/muon/).
"""

import jax
import jax.numpy as jnp

MOMENTUM = 0.95
BETAS = (0.9, 0.98)
EPS = 1e-8
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


def uses_muon(name: str, value) -> bool:
    small = name.endswith(('in_proj_a.weight', 'in_proj_b.weight'))
    return value.ndim == 2 and not name.startswith('embed') and not small


def orthogonalise(matrices):
    """[N, rows, cols] -> each with its singular values pushed towards one."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.swapaxes(-1, -2) if tall else matrices
    x = x / (jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.swapaxes(-1, -2)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.swapaxes(-1, -2) if tall else x


def init(params):
    zeros = lambda keep: {n: jnp.zeros_like(v) for n, v in params.items() if keep(n, v)}
    return {
        'momentum': zeros(lambda n, v: True),
        'variance': zeros(lambda n, v: not uses_muon(n, v)),
    }


def update(params, grads, state, settings):
    """settings: step (1-based), muon_rate, adam_rate, decay. Returns (params, state)."""
    momentum, variance, out = {}, {}, {}
    step = settings['step']
    for name, value in params.items():
        grad, old = grads[name], state['momentum'][name]
        if uses_muon(name, value):
            momentum[name] = MOMENTUM * old + grad
            direction = orthogonalise((grad + MOMENTUM * momentum[name])[None])[0]
            gain = max(1.0, value.shape[0] / value.shape[1]) ** 0.5
            rate = settings['muon_rate']
            out[name] = value * (1.0 - rate * settings['decay']) - rate * gain * direction
            continue
        momentum[name] = BETAS[0] * old + (1 - BETAS[0]) * grad
        variance[name] = BETAS[1] * state['variance'][name] + (1 - BETAS[1]) * grad * grad
        mean = momentum[name] / (1 - BETAS[0] ** step)
        spread = jnp.sqrt(variance[name] / (1 - BETAS[1] ** step)) + EPS
        out[name] = value - settings['adam_rate'] * mean / spread
    return out, {'momentum': momentum, 'variance': variance}
