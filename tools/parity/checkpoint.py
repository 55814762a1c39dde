"""Random weights in the form of a Hugging Face repository."""

import json
from pathlib import Path

import mlx.core as mx
import numpy as np

from configurations import Configuration, Shape

EOS_TOKEN_ID = 2


def text_config(configuration: Configuration) -> dict:
    shape = configuration.shape
    kinds = [
        "linear_attention" if (i + 1) % shape.full_attention_interval else "full_attention"
        for i in range(shape.num_hidden_layers)
    ]
    return {
        "attention_bias": False,
        "dtype": configuration.dtype,
        "eos_token_id": EOS_TOKEN_ID,
        "full_attention_interval": shape.full_attention_interval,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "layer_types": kinds,
        "linear_conv_kernel_dim": shape.linear_conv_kernel_dim,
        "linear_key_head_dim": shape.linear_key_head_dim,
        "linear_num_key_heads": shape.linear_num_key_heads,
        "linear_num_value_heads": shape.linear_num_value_heads,
        "linear_value_head_dim": shape.linear_value_head_dim,
        "max_position_embeddings": shape.max_position_embeddings,
        "model_type": "qwen3_5_text",
        "num_attention_heads": shape.num_attention_heads,
        "num_hidden_layers": shape.num_hidden_layers,
        "num_key_value_heads": shape.num_key_value_heads,
        "rms_norm_eps": shape.rms_norm_eps,
        "rope_parameters": {
            "mrope_interleaved": True,
            "mrope_section": [1, 1, 1],
            "partial_rotary_factor": shape.partial_rotary_factor,
            "rope_theta": shape.rope_theta,
            "rope_type": "default",
        },
        "tie_word_embeddings": configuration.tied,
        "vocab_size": shape.vocab_size,
    }


def root_config(configuration: Configuration) -> dict:
    text = text_config(configuration)
    if not configuration.nested:
        return {**text, "model_type": "qwen3_5"}
    return {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "image_token_id": 7,
        "model_type": "qwen3_5",
        "text_config": text,
        "tie_word_embeddings": configuration.tied,
        "vision_config": {"depth": 1, "hidden_size": 8, "model_type": "qwen3_5"},
    }


def random_weights(configuration: Configuration) -> dict[str, np.ndarray]:
    """float64 weights under Hugging Face names.

    As usual in initialisation, what layers add to the residual stream is scaled down by their
    number. Without that each layer drowns the stream it reads, the model amplifies any rounding
    several hundred times, and no comparison of two ways to compute it means much.
    """
    rng = np.random.default_rng(configuration.seed)
    shape = configuration.shape
    prefix = "model.language_model." if configuration.nested else "model."
    weights: dict[str, np.ndarray] = {}

    def matrix(name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        weights[prefix + name] = rng.normal(0, gain / np.sqrt(columns), (rows, columns))

    def norm(name: str, size: int, centre: float) -> None:
        weights[prefix + name] = centre + rng.normal(0, 0.2, size)

    head_gain = 1.6
    embedding_gain = head_gain if configuration.tied else np.sqrt(shape.hidden_size)
    matrix("embed_tokens.weight", shape.vocab_size, shape.hidden_size, embedding_gain)
    stream = embedding_gain / np.sqrt(shape.hidden_size)
    residual_gain = 1.5 * stream / np.sqrt(2 * shape.num_hidden_layers)
    for i, kind in enumerate(text_config(configuration)["layer_types"]):
        layer = f"layers.{i}."
        norm(layer + "input_layernorm.weight", shape.hidden_size, 0.0)
        norm(layer + "post_attention_layernorm.weight", shape.hidden_size, 0.0)
        if kind == "full_attention":
            _attention(shape, layer + "self_attn.", matrix, norm)
            mixed = shape.num_attention_heads * shape.head_dim
            matrix(layer + "self_attn.o_proj.weight", shape.hidden_size, mixed, residual_gain)
        else:
            _gated_delta(shape, prefix + layer + "linear_attn.", rng, weights)
            mixed = shape.linear_num_value_heads * shape.linear_value_head_dim
            matrix(layer + "linear_attn.out_proj.weight", shape.hidden_size, mixed, residual_gain)
        matrix(layer + "mlp.gate_proj.weight", shape.intermediate_size, shape.hidden_size)
        matrix(layer + "mlp.up_proj.weight", shape.intermediate_size, shape.hidden_size)
        down = layer + "mlp.down_proj.weight"
        matrix(down, shape.hidden_size, shape.intermediate_size, residual_gain)
    if configuration.tied:
        # Signs at random: otherwise the stream's own token is always the likeliest next one.
        weights[prefix + "norm.weight"] = rng.normal(0, 1, shape.hidden_size) - 1
    else:
        norm("norm.weight", shape.hidden_size, 0.0)
        weights["lm_head.weight"] = rng.normal(
            0, head_gain / np.sqrt(shape.hidden_size), (shape.vocab_size, shape.hidden_size)
        )
    return weights


def _attention(shape: Shape, prefix: str, matrix, norm) -> None:
    queries = shape.num_attention_heads * shape.head_dim
    keys = shape.num_key_value_heads * shape.head_dim
    matrix(prefix + "q_proj.weight", 2 * queries, shape.hidden_size)
    matrix(prefix + "k_proj.weight", keys, shape.hidden_size)
    matrix(prefix + "v_proj.weight", keys, shape.hidden_size)
    norm(prefix + "q_norm.weight", shape.head_dim, 0.3)
    norm(prefix + "k_norm.weight", shape.head_dim, 0.3)


def _gated_delta(shape: Shape, prefix: str, rng: np.random.Generator, weights: dict) -> None:
    key_dim = shape.linear_num_key_heads * shape.linear_key_head_dim
    value_heads = shape.linear_num_value_heads
    value_dim = value_heads * shape.linear_value_head_dim
    fan_in = np.sqrt(shape.hidden_size)
    channels = 2 * key_dim + value_dim
    kernel = shape.linear_conv_kernel_dim
    for name, rows in (("qkv", channels), ("z", value_dim), ("b", value_heads), ("a", value_heads)):
        weights[f"{prefix}in_proj_{name}.weight"] = rng.normal(
            0, 1 / fan_in, (rows, shape.hidden_size)
        )
    weights[prefix + "conv1d.weight"] = rng.normal(0, 0.6, (channels, 1, kernel))
    # Half-lives from one token to about a hundred, so that the state matters at every length.
    weights[prefix + "A_log"] = np.log(rng.uniform(0.02, 2.0, value_heads))
    weights[prefix + "dt_bias"] = rng.normal(-1, 1, value_heads)
    weights[prefix + "norm.weight"] = 1 + rng.normal(0, 0.2, shape.linear_value_head_dim)


def skipped_weights(configuration: Configuration) -> dict[str, np.ndarray]:
    """Tensors that a text-only loader must pass over: vision tower and multi-token prediction."""
    rng = np.random.default_rng(configuration.seed + 1000)
    size = configuration.shape.hidden_size
    skipped = {
        "mtp.fc.weight": rng.normal(0, 1, (size, 2 * size)),
        "mtp.norm.weight": rng.normal(0, 1, size),
    }
    if configuration.nested:
        skipped["model.visual.patch_embed.proj.weight"] = rng.normal(0, 1, (8, 3, 2, 4, 4))
        skipped["model.visual.merger.norm.bias"] = rng.normal(0, 1, 8)
    return skipped


def write_hugging_face(configuration: Configuration, folder: Path) -> None:
    """Writes config.json and the weight files; what mlx-lm converts has A_log in float32."""
    folder.mkdir(parents=True)
    weights = {**random_weights(configuration), **skipped_weights(configuration)}
    stored = {
        name: mx.array(value.astype(np.float32)).astype(
            mx.float32
            if name.endswith("A_log") and configuration.form == "mlx"
            else getattr(mx, configuration.dtype)
        )
        for name, value in weights.items()
    }
    write_config(folder, root_config(configuration))
    write_shards(folder, stored, configuration.shards, configuration.index)


def write_config(folder: Path, config: dict) -> None:
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def write_shards(folder: Path, weights: dict[str, mx.array], shards: int, index: bool) -> None:
    if shards == 1:
        mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
        return
    names = sorted(weights)
    where: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = names[shard::shards]
        mx.save_safetensors(str(folder / file), {name: weights[name] for name in part})
        where.update(dict.fromkeys(part, file))
    if index:
        total = sum(value.nbytes for value in weights.values())
        body = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
        (folder / "model.safetensors.index.json").write_text(json.dumps(body, indent=2) + "\n")
