"""Train padawan: python train.py --run DIR --seconds 5400

The schedule follows the clock, not the step count: rates, decay and quantisation-aware training are
functions of elapsed / seconds, so the decay always completes, however busy the machine is.
Stopped, it goes on from the last checkpoint when called again with the same arguments.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import batches
import checkpoint
import model
import optimiser
import quantise
from shape import SHAPE
from tokenizer import ChatCoder, load_or_train

MUON_RATE = 0.02
ADAM_RATE = 0.003
MATRIX_DECAY = 0.01
WARMUP_STEPS = 60
DECAY_FROM = 0.40
FLOOR = 0.01
QUANTISED_FROM, QUANTISED_FULL = 0.78, 0.82
AVERAGE = 0.998
CHECKPOINT_SECONDS = 180
LOG_STEPS = 25


def rate_at(progress: float, step: int) -> float:
    """Flat, then linear decay to a floor; the first steps ramp up."""
    decayed = 1.0 - (1.0 - FLOOR) * max(0.0, progress - DECAY_FROM) / (1.0 - DECAY_FROM)
    return min(1.0, step / WARMUP_STEPS) * max(FLOOR, decayed)


def quantised_at(progress: float) -> float:
    """How much of the shipped rounding the forward pass sees, 0..1."""
    ramp = (progress - QUANTISED_FROM) / (QUANTISED_FULL - QUANTISED_FROM)
    return min(1.0, max(0.0, ramp))


def loss_of(params, batch, strength):
    seen = quantise.seen_in_training(params, strength)
    states = model.hidden_states(seen, batch['tokens'], SHAPE)
    scores = jax.nn.log_softmax(model.logits_at(seen, states, batch['rows']))
    picked = jnp.take_along_axis(scores, batch['targets'][:, None], axis=1)[:, 0]
    return -jnp.sum(picked * batch['weights']) / jnp.sum(batch['weights'])


@jax.jit
def train_step(state, batch, settings):
    loss, grads = jax.value_and_grad(loss_of)(state['params'], batch, settings['strength'])
    params, memory = optimiser.update(state['params'], grads, state['memory'], settings)
    average = {n: AVERAGE * state['average'][n] + (1 - AVERAGE) * params[n] for n in params}
    return {'params': params, 'memory': memory, 'average': average}, loss


def fresh(seed: int):
    params = {name: jnp.asarray(value) for name, value in model.init(SHAPE, seed).items()}
    return {'params': params, 'memory': optimiser.init(params), 'average': dict(params)}


def settings_at(progress: float, step: int) -> dict:
    rate = rate_at(progress, step)
    return {
        'step': float(step), 'strength': quantised_at(progress), 'decay': MATRIX_DECAY,
        'muon_rate': MUON_RATE * rate, 'adam_rate': ADAM_RATE * rate,
    }


def run(folder: Path, seconds: float, seed: int) -> None:
    coder = ChatCoder(load_or_train(folder / 'tokenizer.json', SHAPE.vocab, seed))
    found = checkpoint.load(folder)
    state, step, before = found if found else (fresh(seed), 0, 0.0)
    started = saved = time.monotonic()
    recent: list[float] = []
    with open(folder / 'log.jsonl', 'a', encoding='utf-8') as log:
        while True:
            elapsed = before + time.monotonic() - started
            progress = min(1.0, elapsed / seconds)
            if progress >= 1.0 or time.monotonic() - saved > CHECKPOINT_SECONDS:
                checkpoint.save(folder, state, step, elapsed)
                saved = time.monotonic()
            if progress >= 1.0:
                break
            step += 1
            batch = batches.make(seed, step, coder)
            fields = {name: getattr(batch, name) for name in batch.__dataclass_fields__}
            state, loss = train_step(state, fields, settings_at(progress, step))
            recent.append(float(loss))
            if not np.isfinite(recent[-1]):
                raise FloatingPointError(f'loss is {recent[-1]} at step {step}')
            if step % LOG_STEPS == 0:
                line = {'step': step, 'elapsed': round(elapsed, 1), 'progress': round(progress, 4),
                        'loss': round(float(np.mean(recent)), 4)}
                log.write(json.dumps(line) + '\n')
                log.flush()
                recent.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=Path, required=True,
                        help='folder for checkpoints and the log')
    parser.add_argument('--seconds', type=float, default=5400.0, help='wall-clock budget')
    parser.add_argument('--seed', type=int, default=7)
    options = parser.parse_args()
    options.run.mkdir(parents=True, exist_ok=True)
    run(options.run, options.seconds, options.seed)


if __name__ == '__main__':
    main()
