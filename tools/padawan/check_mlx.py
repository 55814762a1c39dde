"""Cross-check the shipped files with mlx-lm: python check_mlx.py --model deploy/models/padawan

Compares logits of our graph and mlx-lm's on the shipped bits (f32 activations on both sides), the
chat template with our own rendering, and decodes the smoke prompts and held-out sums for real.
"""

import argparse
import json
import os
import random
from pathlib import Path

os.environ.setdefault('MLX_DISABLE_COMPILE', '1')

import jax.numpy as jnp
import mlx.core as mx
import numpy as np
from mlx_lm import load, stream_generate
from mlx_lm.sample_utils import make_sampler

import export
import model as graph
import safetensors_file
from shape import SHAPE
from tokenizer import ChatCoder
from tokenizers import Tokenizer
from world import arithmetic, conversation, mix

TOLERANCE = 5e-4


def compare_logits(net, params, coder: ChatCoder, count: int) -> float:
    """Largest difference over whole conversations."""
    rng, worst = random.Random(11), 0.0
    for _ in range(count):
        ids, _ = coder.conversation(*conversation.conversation(rng, rng.randint(1, 6), 0))
        padded = ids + [0] * (-len(ids) % 32)
        states = graph.hidden_states(params, jnp.asarray([padded]), SHAPE)
        ours = np.asarray(graph.logits_at(params, states, np.arange(len(ids))))
        theirs = np.array(net(mx.array([ids]))[0])
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return worst


def compare_templates(tokenizer, coder: ChatCoder) -> None:
    rng = random.Random(5)
    for _ in range(50):
        system, pairs = conversation.conversation(rng, rng.randint(1, 4), 0)
        messages = [{'role': 'system', 'content': system}] if system else []
        for question, answer in pairs:
            messages += [{'role': 'user', 'content': question},
                         {'role': 'assistant', 'content': answer}]
        theirs = tokenizer.apply_chat_template(
            messages[:-1], add_generation_prompt=True, enable_thinking=False)
        ours = coder.prompt(system, pairs[:-1], pairs[-1][0])
        if list(theirs) != ours:
            raise AssertionError(f'template differs on {messages}')


def decode(net, tokenizer, ids: list[int]) -> str:
    parts = stream_generate(net, tokenizer, ids, max_tokens=24, sampler=make_sampler(temp=0.0))
    return ''.join(part.text for part in parts)


def decode_all(net, tokenizer, coder: ChatCoder, asked) -> int:
    right = 0
    for question, answer in asked:
        said = decode(net, tokenizer, coder.prompt(None, [], question))
        right += said.strip() == answer
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path, required=True)
    folder = parser.parse_args().model
    mx.set_default_device(mx.cpu)
    net, tokenizer = load(str(folder))
    net.set_dtype(mx.float32)
    coder = ChatCoder(Tokenizer.from_file(str(folder / 'tokenizer.json')))
    params = export.params_of(safetensors_file.read(folder / 'model.safetensors'))
    worst = compare_logits(net, params, coder, 20)
    compare_templates(tokenizer, coder)
    rng = random.Random(3)
    sums = [arithmetic.total(rng, True) for _ in range(100)]
    report = {
        'logits_max_difference': worst,
        'smoke': [decode_all(net, tokenizer, coder, mix.SMOKE), len(mix.SMOKE)],
        'held_out_sums': [decode_all(net, tokenizer, coder, sums), len(sums)],
    }
    print(json.dumps(report))
    if worst > TOLERANCE:
        raise SystemExit(f'logits differ by {worst}, more than {TOLERANCE}')


if __name__ == '__main__':
    main()
