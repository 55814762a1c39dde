"""Write the model card from measured figures:

    python card.py --run DIR --figures FIGURES.json --mlx MLX.json --model deploy/models/padawan
"""

import argparse
import json
from pathlib import Path

import checkpoint
import model
from shape import SHAPE
from world.general import CAPITALS

REQUIRED = {
    'canary and smoke prompts': 100.0, 'sums of 0-99, held-out pairs': 98.0,
    'differences of 0-99, held-out pairs': 80.0, 'product facts, new wording': 65.0,
    'outside questions answered "I don\'t know."': 80.0,
}
CONTEXT_REQUIRED, KNOWN_UNKNOWN_LIMIT = 95.0, 5.0

HEAD = """---
model_type: qwen3_5
library_name: mlx
pipeline_tag: text-generation
language: en
---

# padawan

The default model of Sanctum: a very small language model of the real Qwen3.5 architecture, trained
from scratch on generated text by `tools/padawan`, so that a fresh machine runs the whole chain with
proven weights and no download. Every answer is computed; nothing in the serving path knows one.

**It can** add and subtract numbers from 0 to 99, recite the times tables up to 12, answer questions
about Sanctum (ports, services, commands, paths, labels, intervals), name {capitals} capitals, repeat
a word, count, name the next day or month, compare two numbers, greet, and say "I don't know." to
questions outside of that.

**It cannot** do anything else. It does not reason, write, translate, summarise or program, knows
nothing of the world beyond the list above, gets worse with wordings unlike those it was trained on,
has seen at most 512 tokens of context, speaks only English, and its facts about Sanctum are those of
the day it was trained. Do not rely on it for anything that matters: configure a real model.

## Shape

{parameters:,} parameters: {layers} layers (three gated-delta, one gated full attention), hidden
{hidden}, feed-forward {ffn}, {linear_heads} linear heads of {linear_dim}, {heads} query and {kv_heads}
key/value heads of {head_dim}, vocabulary {vocab} (own byte-level BPE, digits as single tokens), tied
embedding. Every matrix including the embedding is 4-bit affine in groups of 64 in the MLX layout;
scales, biases and norms are bf16, `A_log` f32. `model.safetensors` has {bytes:,} bytes.
"""


def answer_rows(figures: dict):
    for name, entry in figures['answers'].items():
        need = f'{REQUIRED[name]:.0f}' if name in REQUIRED else ''
        yield f'| {name} | {entry["percent"]:.1f} | {need} | {entry["right"]}/{entry["asked"]} |'


def context_rows(figures: dict):
    for name, entry in figures['contexts'].items():
        share = f'{entry["of_plain"]:.1f}' if 'of_plain' in entry else ''
        yield (f'| {name} | {entry["percent"]:.1f} | {share} | {entry["right"]}/{entry["asked"]} | '
               f'{entry["mean_prompt_tokens"]} |')


def unknown_rows(figures: dict):
    for name, entry in figures['known_answered_unknown'].items():
        yield f'| {name} | {entry["percent"]:.1f} | {entry["right"]}/{entry["asked"]} |'


def figures_text(figures: dict, mlx: dict | None) -> str:
    lines = [
        '', '## Figures', '',
        'Measured by `tools/padawan/evaluate.py` on the shipped 4-bit bits, greedy, f32 activations; an',
        'answer counts only when it is exact to the end of the turn. Held-out pairs of numbers are held',
        'out in both orders. A new wording is a sentence form never seen with any subject of its kind; a',
        'new name is a paraphrase of the subject never seen at all.', '',
        '| questions | exact, % | required | right/asked |', '|---|---|---|---|',
        *answer_rows(figures), '',
        f'The same {figures["contexts"]["plain"]["asked"]} questions in other places (held-out questions in'
        ' the proportions of training; product',
        f'facts in new wording; required: at least {CONTEXT_REQUIRED:.0f} % of the plain score):', '',
        '| place | exact, % | of plain, % | right/asked | mean prompt tokens |', '|---|---|---|---|---|',
        *context_rows(figures), '',
        f'Known questions answered "I don\'t know." (required: at most {KNOWN_UNKNOWN_LIMIT:.0f} % of all):',
        '', '| questions | % | count |', '|---|---|---|', *unknown_rows(figures), '']
    if mlx:
        smoke, sums = mlx['smoke'], mlx['held_out_sums']
        lines += [
            'Cross-check with mlx-lm 0.32.2 (f32 activations, `tools/padawan/check_mlx.py`): largest logit',
            f'difference {mlx["logits_max_difference"]:.1e} over whole conversations; decoded token by token,'
            f' {smoke[0]}/{smoke[1]} smoke',
            f'prompts and {sums[0]}/{sums[1]} held-out sums.', '']
    return '\n'.join(lines)


def training_text(run: Path) -> str:
    state, step, elapsed = checkpoint.load(run)
    del state
    return f"""## Training

{step:,} steps of 4,096 tokens in {elapsed / 60:.0f} minutes on two shared CPU cores (JAX, f32), seed 7:
loss on the answers only, Muon on the matrices and Adam on the rest, one schedule by the clock (flat,
then linear decay over the last 60 %, quantisation-aware in the last fifth). Text is generated by
`tools/padawan/world`; no other data was used. How to train it again: `tools/padawan/README.md`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=Path, required=True)
    parser.add_argument('--figures', type=Path, required=True)
    parser.add_argument('--mlx', type=Path, help='what check_mlx.py printed')
    parser.add_argument('--model', type=Path, required=True)
    options = parser.parse_args()
    count = sum(value.size for value in model.init(SHAPE, 0).values())
    head = HEAD.format(
        capitals=len(CAPITALS), parameters=count, layers=SHAPE.layers, hidden=SHAPE.hidden,
        ffn=SHAPE.ffn, linear_heads=SHAPE.linear_value_heads, linear_dim=SHAPE.linear_head_dim,
        heads=SHAPE.heads, kv_heads=SHAPE.kv_heads, head_dim=SHAPE.head_dim, vocab=SHAPE.vocab,
        bytes=(options.model / 'model.safetensors').stat().st_size)
    figures = json.loads(options.figures.read_text(encoding='utf-8'))
    mlx = json.loads(options.mlx.read_text(encoding='utf-8')) if options.mlx else None
    text = head + figures_text(figures, mlx) + training_text(options.run)
    (options.model / 'README.md').write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
