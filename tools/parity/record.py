"""Writes libs/models/fixtures: checkpoints, and what mlx-lm computes from them in float32.

    MLX_DISABLE_COMPILE=1 python record.py [NAME ...]

Every recorded logit is compared with the float64 reference first; a difference above 2e-4 stops.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("MLX_DISABLE_COMPILE", "1")

import mlx.core as mx  # noqa: E402
import numpy as np  # noqa: E402
from mlx_lm.models.cache import make_prompt_cache  # noqa: E402
from mlx_lm.utils import load_model, quantize_model, save_config, save_model  # noqa: E402

from checkpoint import write_hugging_face, write_shards  # noqa: E402
from configurations import CONFIGURATIONS, Configuration  # noqa: E402
from reference64 import Reference  # noqa: E402

FIXTURES = Path(__file__).resolve().parents[2] / "libs" / "models" / "fixtures"
PROMPT_LENGTHS = [1, 2, 3, 5, 9, 17, 24, 33, 64, 131]
# Prompts with logits for every token; the others have them for their last token.
FULL_ROWS = {1, 3, 24}
GREEDY_TOKENS = 24
MARGIN_MIN = 2e-3
REFERENCE_DIFFERENCE_MAX = 2e-4


def main(names: list[str]) -> None:
    for configuration in CONFIGURATIONS:
        if not names or configuration.name in names:
            record(configuration)


def record(configuration: Configuration) -> None:
    target = FIXTURES / configuration.name
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        model = build(configuration, Path(scratch), target)
        reference = Reference(target)
        prompts, rows, difference = [], [], 0.0
        rng = np.random.default_rng(configuration.seed + 2000)
        for length in PROMPT_LENGTHS:
            prompt = draw_prompt(model, rng, configuration.shape.vocab_size, length)
            tokens = prompt["tokens"]
            kept = forward(model, tokens)[0 if length in FULL_ROWS else -1 :]
            # Also the row after the last recorded token: reached through the cache by one side
            # and by a whole prefill here.
            continued = forward(model, tokens + prompt["greedy"][:-1])
            ours = reference.logits(tokens + prompt["greedy"][:-1])
            difference = max(difference, float(np.abs(continued - ours).max()))
            prompts.append({**prompt, "rows": len(kept)})
            rows += [kept, continued[-1:]]
    if difference > REFERENCE_DIFFERENCE_MAX:
        raise SystemExit(f"{configuration.name}: float64 reference differs by {difference:.2e}")
    logits = np.concatenate(rows).astype("<f4")
    (target / "expected.f32").write_bytes(logits.tobytes())
    expected = {
        "float64Difference": float(f"{difference:.2e}"),
        "logitDeviation": float(f"{logits.std():.3f}"),
        "marginMin": min(prompt["margin"] for prompt in prompts),
        "prompts": prompts,
    }
    (target / "expected.json").write_text(json.dumps(expected) + "\n")
    size = sum(path.stat().st_size for path in target.iterdir())
    print(
        f"{configuration.name}: float64 within {difference:.1e}, deviation {logits.std():.2f}, "
        f"smallest margin {expected['marginMin']:.4f}, {size / 1e6:.2f} MB",
        flush=True,
    )


def build(configuration: Configuration, scratch: Path, target: Path):
    """Fills `target` with the checkpoint as shipped; returns mlx-lm's model of it in float32."""
    published = scratch / "published"
    write_hugging_face(configuration, published)
    if configuration.form == "hf":
        shutil.copytree(published, target)
        # mlx-lm adds 1 to the norms in the stored type: widen first, as the model is defined.
        wide = scratch / "wide"
        widen(published, wide)
        model, _ = load_model(wide)
        return model
    model, config = load_model(published)
    if configuration.quantization is not None:
        model, config = quantize(model, config, configuration)
    target.mkdir(parents=True)
    save_model(target, model)
    save_config(config, config_path=target / "config.json")
    if configuration.shards > 1:
        weights = mx.load(str(target / "model.safetensors"))
        mx.eval(weights)
        (target / "model.safetensors").unlink()
        write_shards(target, weights, configuration.shards, configuration.index)
    model, _ = load_model(target)
    model.set_dtype(mx.float32)
    return model


def widen(source: Path, target: Path) -> None:
    target.mkdir()
    shutil.copy(source / "config.json", target)
    for path in source.glob("*.safetensors"):
        weights = {name: value.astype(mx.float32) for name, value in mx.load(str(path)).items()}
        mx.save_safetensors(str(target / path.name), weights)


def quantize(model, config: dict, configuration: Configuration):
    quantization = configuration.quantization

    def predicate(path: str, module):
        for part, (bits, group_size) in quantization.overrides.items():
            if part in path:
                return {"bits": bits, "group_size": group_size}
        return True

    return quantize_model(
        model,
        config,
        quantization.group_size,
        quantization.bits,
        quant_predicate=predicate if quantization.overrides else None,
    )


def forward(model, tokens: list[int]) -> np.ndarray:
    """Logits [len(tokens), vocab] of one whole prefill."""
    return np.array(model(mx.array([tokens])).astype(mx.float32))[0]


def draw_prompt(model, rng: np.random.Generator, vocab_size: int, length: int) -> dict:
    """Draws prompts until one keeps its two best logits apart at every greedy step."""
    for _ in range(200):
        tokens = rng.integers(0, vocab_size, length).tolist()
        greedy, margin = decode(model, tokens)
        if margin > MARGIN_MIN:
            return {"tokens": tokens, "greedy": greedy, "margin": float(f"{margin:.5f}")}
    raise SystemExit(f"no prompt of {length} tokens keeps a margin of {MARGIN_MIN}")


def decode(model, tokens: list[int]) -> tuple[list[int], float]:
    cache = make_prompt_cache(model)
    step, greedy, margin = tokens, [], np.inf
    for _ in range(GREEDY_TOKENS):
        row = np.array(model(mx.array([step]), cache=cache)[0, -1].astype(mx.float32))
        second, first = np.sort(row)[-2:]
        margin = min(margin, float(first - second))
        greedy.append(int(row.argmax()))
        step = greedy[-1:]
    return greedy, margin


if __name__ == "__main__":
    main(sys.argv[1:])
