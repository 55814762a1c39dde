"""qwen3_5 in float64 numpy, from the files alone: shares no code with mlx-lm.

It follows the published description (Hugging Face's modeling code reads the same): zero-centred
norms, gated attention with interleaved query and gate, gated delta rule one token after another.
"""

import json
import re
from pathlib import Path

import numpy as np

_PREFIX = re.compile(
    r"^(language_model\.model\.|model\.language_model\.|model\.|language_model\.)"
)
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "U32": "<u4"}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            wide = np.frombuffer(raw[begin:end], "<u2").astype("<u4") << 16
            flat = wide.view("<f4")
        else:
            flat = np.frombuffer(raw[begin:end], _DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def dequantize(
    packed: np.ndarray, scales: np.ndarray, biases: np.ndarray, columns: int
) -> np.ndarray:
    """MLX affine: codes are a little-endian bit stream along the row; w = scale * code + bias."""
    rows = packed.shape[0]
    bits = packed.shape[1] * 32 // columns
    octets = packed.astype("<u4").view(np.uint8).reshape(rows, -1)
    stream = np.unpackbits(octets, axis=1, bitorder="little")
    codes = stream[:, : columns * bits].reshape(rows, columns, bits) @ (1 << np.arange(bits))
    group = columns // scales.shape[1]
    scale = np.repeat(scales.astype(np.float64), group, axis=1)
    bias = np.repeat(biases.astype(np.float64), group, axis=1)
    return codes * scale + bias


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _silu(x):
    return x * _sigmoid(x)


def _softplus(x):
    return np.logaddexp(0, x)


def _rms(x, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)


class Reference:
    """One model; `logits(tokens)` recomputes the whole sequence."""

    def __init__(self, folder: Path):
        config = json.loads((folder / "config.json").read_text())
        self.config = {**config.get("text_config", {}), **config}
        raw: dict[str, np.ndarray] = {}
        for path in sorted(folder.glob("*.safetensors")):
            raw.update(read_safetensors(path))
        self.published = any(
            name.endswith("conv1d.weight") and tensor.shape[-1] != 1 for name, tensor in raw.items()
        )
        self.raw = {_PREFIX.sub("", name): value for name, value in raw.items()}

    def weight(self, name: str, columns: int) -> np.ndarray:
        tensor = self.raw[name + ".weight"]
        if name + ".scales" in self.raw:
            scales, biases = self.raw[name + ".scales"], self.raw[name + ".biases"]
            return dequantize(tensor, scales, biases, columns)
        return tensor.astype(np.float64)

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        weight = self.raw[name + ".weight"].astype(np.float64)
        return _rms(x, self.config["rms_norm_eps"]) * (1 + weight if self.published else weight)

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weight(name, x.shape[-1]).T

    def logits(self, tokens: list[int]) -> np.ndarray:
        config = self.config
        x = self.weight("embed_tokens", config["hidden_size"])[tokens]
        for i in range(config["num_hidden_layers"]):
            layer = f"layers.{i}."
            normed = self.norm(x, layer + "input_layernorm")
            if config["layer_types"][i] == "full_attention":
                x = x + self.attention(normed, layer + "self_attn.")
            else:
                x = x + self.gated_delta(normed, layer + "linear_attn.")
            normed = self.norm(x, layer + "post_attention_layernorm")
            x = x + self.mlp(normed, layer + "mlp.")
        x = self.norm(x, "norm")
        head = "embed_tokens" if config["tie_word_embeddings"] else "lm_head"
        return self.linear(x, head)

    def mlp(self, x: np.ndarray, prefix: str) -> np.ndarray:
        gate = _silu(self.linear(x, prefix + "gate_proj"))
        return self.linear(gate * self.linear(x, prefix + "up_proj"), prefix + "down_proj")

    def attention(self, x: np.ndarray, prefix: str) -> np.ndarray:
        config = self.config
        length, size = len(x), config["head_dim"]
        heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
        both = self.linear(x, prefix + "q_proj").reshape(length, heads, 2 * size)
        query, gate = both[..., :size], both[..., size:]
        key = self.linear(x, prefix + "k_proj").reshape(length, shared, size)
        value = self.linear(x, prefix + "v_proj").reshape(length, shared, size)
        query = self.rotate(self.norm(query, prefix + "q_norm"))
        key = self.rotate(self.norm(key, prefix + "k_norm"))
        out = np.empty((length, heads, size))
        for head in range(heads):
            source = head // (heads // shared)
            score = query[:, head] @ key[:, source].T / np.sqrt(size)
            score[np.triu_indices(length, 1)] = -np.inf
            score = np.exp(score - score.max(-1, keepdims=True))
            out[:, head] = score / score.sum(-1, keepdims=True) @ value[:, source]
        return self.linear((out * _sigmoid(gate)).reshape(length, -1), prefix + "o_proj")

    def rotate(self, x: np.ndarray) -> np.ndarray:
        rope = self.config["rope_parameters"]
        size = int(self.config["head_dim"] * rope["partial_rotary_factor"])
        half = size // 2
        frequency = rope["rope_theta"] ** (-np.arange(half) / half)
        angle = (np.arange(len(x))[:, None] * frequency)[:, None, :]
        first, second = x[..., :half], x[..., half:size]
        return np.concatenate(
            [
                first * np.cos(angle) - second * np.sin(angle),
                second * np.cos(angle) + first * np.sin(angle),
                x[..., size:],
            ],
            -1,
        )

    def gated_delta(self, x: np.ndarray, prefix: str) -> np.ndarray:
        config = self.config
        length = len(x)
        key_heads, value_heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
        key_size, value_size = config["linear_key_head_dim"], config["linear_value_head_dim"]
        kernel = config["linear_conv_kernel_dim"]
        mixed = self.linear(x, prefix + "in_proj_qkv")
        taps = self.raw[prefix + "conv1d.weight"].astype(np.float64).reshape(-1, kernel)
        padded = np.concatenate([np.zeros((kernel - 1, mixed.shape[1])), mixed])
        mixed = _silu(sum(padded[t : t + length] * taps[:, t] for t in range(kernel)))
        keys = key_heads * key_size
        query = mixed[:, :keys].reshape(length, key_heads, key_size)
        key = mixed[:, keys : 2 * keys].reshape(length, key_heads, key_size)
        value = mixed[:, 2 * keys :].reshape(length, value_heads, value_size)
        query = query / np.sqrt((query * query).sum(-1, keepdims=True) + 1e-6) / np.sqrt(key_size)
        key = key / np.sqrt((key * key).sum(-1, keepdims=True) + 1e-6)
        speed = np.exp(self.raw[prefix + "A_log"].astype(np.float64))
        offset = self.raw[prefix + "dt_bias"].astype(np.float64)
        decay = np.exp(-speed * _softplus(self.linear(x, prefix + "in_proj_a") + offset))
        beta = _sigmoid(self.linear(x, prefix + "in_proj_b"))
        out = np.empty((length, value_heads, value_size))
        for head in range(value_heads):
            source = head // (value_heads // key_heads)
            state = np.zeros((value_size, key_size))
            for t in range(length):
                state = state * decay[t, head]
                correction = (value[t, head] - state @ key[t, source]) * beta[t, head]
                state = state + np.outer(correction, key[t, source])
                out[t, head] = state @ query[t, source]
        weight = self.raw[prefix + "norm.weight"].astype(np.float64)
        out = _rms(out, config["rms_norm_eps"]) * weight
        gate = _silu(self.linear(x, prefix + "in_proj_z")).reshape(out.shape)
        return self.linear((out * gate).reshape(length, -1), prefix + "out_proj")
