"""Training batches. Batch n depends on (seed, n) alone, so a resumed run goes on alike."""

import random
from dataclasses import dataclass

import numpy as np

from tokenizer import ChatCoder
from world import conversation

TOKENS = 4096
LOSS_ROWS = 1024
# length -> share of all steps: lone questions up to 32 tokens, conversations in the longer ones
BUCKETS = {32: 0.55, 64: 0.14, 128: 0.12, 256: 0.08, 512: 0.11}


@dataclass(frozen=True)
class Batch:
    tokens: np.ndarray   # [rows, length] int32
    rows: np.ndarray     # [LOSS_ROWS] flat positions that predict an answer token
    targets: np.ndarray  # [LOSS_ROWS]
    weights: np.ndarray  # [LOSS_ROWS] one, or zero where unused


def few(rng, coder: ChatCoder, shortest: int, longest: int):
    """A lone question; above 32 tokens also under a system prompt or after another turn."""
    while True:
        if longest <= 32:
            system, pairs = None, [conversation.turn(rng)]
        else:
            system, pairs = conversation.conversation(rng, rng.choice((1, 2)), 0)
        tokens, places = coder.conversation(system, pairs)
        if shortest < len(tokens) <= longest:
            return tokens, places


def several(rng, coder: ChatCoder, longest: int):
    """A conversation of up to `longest` tokens: many short turns, or few turns around much text."""
    if rng.random() < 0.6:
        turns = max(2, rng.randint(longest * 2 // 3, longest) // 21)
        characters = 0 if rng.random() < 0.7 else longest
    else:
        turns = rng.randint(1, 3)
        characters = int(rng.uniform(1.0, 3.6) * (longest - 30 * turns))
    while True:
        tokens, places = coder.conversation(*conversation.conversation(rng, turns, characters))
        if len(tokens) <= longest:
            return tokens, places
        turns, characters = max(1, turns - 1), int(characters * 0.85)


def make(seed: int, step: int, coder: ChatCoder) -> Batch:
    rng = random.Random(f'{seed}:{step}')
    length = rng.choices(list(BUCKETS), list(BUCKETS.values()))[0]
    count = TOKENS // length
    tokens = np.zeros((count, length), np.int32)
    rows, targets = [], []
    for row in range(count):
        if length <= 64:
            ids, places = few(rng, coder, 0 if length == 32 else 32, length)
        else:
            ids, places = several(rng, coder, length)
        tokens[row, :len(ids)] = ids
        rows += [row * length + place - 1 for place in places]
        targets += [ids[place] for place in places]
    used = min(len(rows), LOSS_ROWS)
    pad = LOSS_ROWS - used
    weights = np.array([1.0] * used + [0.0] * pad, np.float32)
    return Batch(tokens, np.array(rows[:used] + [0] * pad, np.int32),
                 np.array(targets[:used] + [0] * pad, np.int32), weights)

