"""Compares the recorded fixtures with transformers' Qwen3.5, in float32 on the CPU.

    python cross_check.py [NAME ...]

Needs cross-check-requirements.txt only, no mlx. Reads the fixtures and writes nothing. Whole
prefills run transformers' chunked delta rule, greedy steps its cache and one-token rule. Exits
with 1 if a logit is off by more than 5e-4 or a greedy token differs.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import DynamicCache, Qwen3_5ForCausalLM, Qwen3_5TextConfig
from transformers.utils import logging

from configurations import CONFIGURATIONS, Configuration
from reference64 import dequantize

FIXTURES = Path(__file__).resolve().parents[2] / "libs" / "models" / "fixtures"
DIFFERENCE_MAX = 5e-4
# mlx-lm stores these as 1 + w. The norm inside linear_attn has no offset in either form.
SHIFTED_NORMS = (
    "input_layernorm.weight",
    "post_attention_layernorm.weight",
    "q_norm.weight",
    "k_norm.weight",
    "model.norm.weight",
)


def main(names: list[str]) -> int:
    unknown = set(names) - {configuration.name for configuration in CONFIGURATIONS}
    if unknown:
        raise SystemExit(f"no such fixture: {', '.join(sorted(unknown))}")
    torch.set_grad_enabled(False)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    chosen = [each for each in CONFIGURATIONS if not names or each.name in names]
    return 0 if all([check(configuration) for configuration in chosen]) else 1


def check(configuration: Configuration) -> bool:
    folder = FIXTURES / configuration.name
    model = load(folder, converted=configuration.form == "mlx")
    expected = np.fromfile(folder / "expected.f32", "<f4").reshape(-1, model.config.vocab_size)
    prompts = json.loads((folder / "expected.json").read_text())["prompts"]
    prefill, cached, equal, begin = 0.0, 0.0, 0, 0
    for prompt in prompts:
        tokens, greedy = prompt["tokens"], prompt["greedy"]
        end = begin + prompt["rows"]
        kept = forward(model, tokens)[-prompt["rows"] :]
        continued = forward(model, tokens + greedy[:-1])[-1]
        likeliest, last = decode(model, tokens, greedy)
        prefill = max(prefill, apart(kept, expected[begin:end]), apart(continued, expected[end]))
        cached = max(cached, apart(last, expected[end]))
        equal += likeliest == greedy
        begin = end + 1
    if begin != len(expected):
        raise SystemExit(f"{configuration.name}: {len(expected)} rows recorded, {begin} described")
    difference = max(prefill, cached)
    passed = difference <= DIFFERENCE_MAX and equal == len(prompts)
    print(
        f"{configuration.name}: logits within {difference:.1e} "
        f"(prefill {prefill:.1e}, cached {cached:.1e}), "
        f"greedy equal for {equal} of {len(prompts)} prompts{'' if passed else ', FAILED'}",
        flush=True,
    )
    return passed


def load(folder: Path, converted: bool) -> Qwen3_5ForCausalLM:
    config = json.loads((folder / "config.json").read_text())
    # A flat config.json has the root's type, and the quantisation that `published` undoes.
    text = {**config.get("text_config", config), "model_type": "qwen3_5_text"}
    text.pop("quantization_config", None)
    weights: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        weights.update(load_file(path))
    if converted:
        weights = published(weights, config.get("quantization"))
    # transformers drops the mtp and vision tensors and resolves the name prefix itself.
    model, report = Qwen3_5ForCausalLM.from_pretrained(
        None,
        config=Qwen3_5TextConfig.from_dict(text),
        state_dict={name: tensor.float() for name, tensor in weights.items()},
        dtype=torch.float32,
        attn_implementation="eager",
        ignore_mismatched_sizes=True,  # reported below, with both sizes
        output_loading_info=True,
    )
    if any(report.values()):
        raise SystemExit(f"{folder.name}: transformers loaded the weights only in part: {report}")
    return model.eval()


def published(weights: dict[str, torch.Tensor], quantization: dict | None) -> dict:
    """What mlx-lm converted, in Hugging Face form again."""
    result = {}
    for name, tensor in weights.items():
        if name.endswith((".scales", ".biases")):
            continue
        module = name.removesuffix(".weight")
        if f"{module}.scales" in weights:
            tensor = unpack(weights, module, quantization.get(module, quantization))
        elif name.endswith("conv1d.weight"):
            tensor = tensor.transpose(1, 2).contiguous()
        elif name.endswith(SHIFTED_NORMS):
            tensor = (tensor.double() - 1).float()
        result[name.removeprefix("language_model.")] = tensor
    return result


def unpack(weights: dict[str, torch.Tensor], module: str, settings: dict) -> torch.Tensor:
    packed = weights[f"{module}.weight"].numpy()
    scales, biases = (weights[f"{module}.{part}"].float().numpy() for part in ("scales", "biases"))
    columns = scales.shape[1] * settings["group_size"]
    return torch.from_numpy(dequantize(packed, scales, biases, columns)).float()


def forward(model: Qwen3_5ForCausalLM, tokens: list[int]) -> np.ndarray:
    """Logits [len(tokens), vocab] of one whole prefill, without a cache."""
    return model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()


def decode(
    model: Qwen3_5ForCausalLM, tokens: list[int], greedy: list[int]
) -> tuple[list[int], np.ndarray]:
    """The likeliest token of every step through the cache, and the last step's logits.

    Each step gets the recorded token, so the last row is comparable whatever came before; the
    likeliest tokens equal the recorded ones exactly if free greedy decoding yields them.
    """
    cache = DynamicCache(config=model.config)
    step, likeliest = tokens, []
    for token in greedy:
        row = model(torch.tensor([step]), past_key_values=cache, use_cache=True).logits[0, -1]
        likeliest.append(int(row.argmax()))
        step = [token]
    return likeliest, row.numpy()


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape:
        raise SystemExit(f"shapes differ: {ours.shape} and {theirs.shape}")
    difference = np.abs(ours.astype(np.float64) - theirs)
    return float("inf") if np.isnan(difference).any() else float(difference.max())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
