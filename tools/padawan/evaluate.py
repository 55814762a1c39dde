"""Examine the shipped bits: python evaluate.py --model deploy/models/padawan [--figures FILE]

An answer counts only when it is exact, to the end of the turn. That the greedy answer equals the
expected one is the same as that every expected token is the largest logit after the ones before it,
so one forward pass over prompt and answer decides it (check_mlx.py decodes token by token as well).
"""

import argparse
import json
import random
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer

import exam
import export
import model
import safetensors_file
from shape import SHAPE
from tokenizer import ChatCoder
from world import unknown

LENGTHS = (32, 64, 128, 256, 512, 1024)
ROW_TOKENS = 8192


@partial(jax.jit, static_argnames='span')
def greedy(params, tokens, first, span: int):
    """Largest-logit token after each of `span` positions from `first` of every row."""
    states = model.hidden_states(params, tokens, SHAPE)
    places = jnp.minimum(first[:, None] + jnp.arange(span), tokens.shape[1] - 1)
    rows = (jnp.arange(tokens.shape[0])[:, None] * tokens.shape[1] + places).reshape(-1)
    return model.logits_at(params, states, rows).argmax(-1).reshape(-1, span)


class Examiner:
    def __init__(self, folder: Path):
        self.params = {name: jnp.asarray(value) for name, value in export.params_of(
            safetensors_file.read(folder / 'model.safetensors')).items()}
        self.coder = ChatCoder(Tokenizer.from_file(str(folder / 'tokenizer.json')))

    def exact(self, asked) -> np.ndarray:
        """asked: [(prompt ids, answer)]. One boolean per item."""
        answers = [self.coder.ids(answer) + [self.coder.end] for _, answer in asked]
        right = np.zeros(len(asked), bool)
        by_length: dict[int, list[int]] = {}
        for index, (prompt, _) in enumerate(asked):
            total = len(prompt) + len(answers[index])
            by_length.setdefault(next(n for n in LENGTHS if n >= total), []).append(index)
        for length, indices in by_length.items():
            count = ROW_TOKENS // length
            for start in range(0, len(indices), count):
                chosen = indices[start:start + count]
                self._mark(asked, answers, chosen, (count, length), right)
        return right

    def _mark(self, asked, answers, chosen, size, right) -> None:
        tokens, first = np.zeros(size, np.int32), np.zeros(size[0], np.int32)
        for row, index in enumerate(chosen):
            ids = asked[index][0] + answers[index]
            tokens[row, :len(ids)] = ids
            first[row] = len(asked[index][0]) - 1
        said = np.asarray(greedy(self.params, tokens, first, 32))
        for row, index in enumerate(chosen):
            want = answers[index]
            right[index] = len(want) <= 32 and list(said[row, :len(want)]) == want

    def plain(self, pairs) -> list:
        return [(self.coder.prompt(None, [], question), answer) for question, answer in pairs]


def figure(right: np.ndarray) -> dict:
    return {'right': int(right.sum()), 'asked': len(right),
            'percent': round(100.0 * float(right.mean()), 1)}


def contexts(examiner: Examiner) -> dict:
    questions = exam.context_questions()
    coder = examiner.coder
    kinds = {
        'plain': lambda rng, q: (None, [], q),
        'under a system prompt': exam.under_system,
        'in the third turn': exam.third_turn,
        'at 512 tokens of context': lambda rng, q: exam.long_context(rng, q, coder),
    }
    out = {}
    for name, place in kinds.items():
        rng = random.Random(exam.SEED + 2)
        asked = [(coder.prompt(*place(rng, question)), answer) for question, answer in questions]
        out[name] = figure(examiner.exact(asked))
        out[name]['mean_prompt_tokens'] = round(float(np.mean([len(ids) for ids, _ in asked])))
    for name in list(kinds)[1:]:
        out[name]['of_plain'] = round(100.0 * out[name]['right'] / max(1, out['plain']['right']), 1)
    return out


def examine(folder: Path) -> dict:
    examiner = Examiner(folder)
    sections = exam.sections()
    answers = {name: figure(examiner.exact(examiner.plain(pairs)))
               for name, pairs in sections.items()}
    wrongly = {}
    for name in exam.KNOWN_SECTIONS:
        asked = [(prompt, unknown.ANSWER) for prompt, _ in examiner.plain(sections[name])]
        wrongly[name] = figure(examiner.exact(asked))
    total = {key: sum(f[key] for f in wrongly.values()) for key in ('right', 'asked')}
    total['percent'] = round(100.0 * total['right'] / total['asked'], 1)
    return {'answers': answers, 'contexts': contexts(examiner),
            'known_answered_unknown': {'all': total, **wrongly}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path, required=True)
    parser.add_argument('--figures', type=Path, help='where to write the figures as JSON')
    options = parser.parse_args()
    figures = examine(options.model)
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    print(text)
    if options.figures:
        options.figures.write_text(text + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
