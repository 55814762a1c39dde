"""MLX affine quantisation: w = scale * q + bias per group along the input, scale and bias in bf16.

`grid` is written once over an array module, so that training (jax) and export (numpy) round the
same way bit for bit.
"""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from shape import QUANT_BITS, QUANT_GROUP

EPS = 1e-7


def grid(xp, groups, round_half):
    """groups [..., group] -> (q, scale, bias) with MLX's choice of scale: the edge that is
    larger in magnitude is hit exactly."""
    bins = 2 ** QUANT_BITS - 1
    high, low = groups.max(-1, keepdims=True), groups.min(-1, keepdims=True)
    low_edge = xp.abs(low) > xp.abs(high)
    scale = xp.maximum((high - low) / bins, EPS)
    scale = xp.where(low_edge, scale, -scale)
    edge = xp.where(low_edge, low, high)
    steps = xp.round(edge / scale)
    some = steps != 0
    scale = xp.where(some, edge / xp.where(some, steps, 1.0), scale)
    bias = xp.where(some, edge, 0.0)
    scale, bias = round_half(scale), round_half(bias)
    return xp.clip(xp.round((groups - bias) / scale), 0, bins), scale, bias


def jax_half(x):
    return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)


def numpy_half(x):
    return x.astype(ml_dtypes.bfloat16).astype(np.float32)


def fake(weight, strength):
    """Straight-through: the forward pass sees the quantised matrix, the gradient passes it by."""
    groups = weight.reshape(weight.shape[0], -1, QUANT_GROUP)
    q, scale, bias = grid(jnp, groups, jax_half)
    seen = (q * scale + bias).reshape(weight.shape)
    return weight + strength * jax.lax.stop_gradient(seen - weight)


def is_quantised(name: str, value) -> bool:
    return value.ndim == 2


def seen_in_training(params, strength):
    """The parameters as the shipped file will hold them, blended in by strength 0..1."""
    out = {}
    for name, value in params.items():
        if is_quantised(name, value):
            out[name] = fake(value, strength)
        elif name.endswith('A_log'):
            out[name] = value
        else:
            out[name] = value + strength * jax.lax.stop_gradient(jax_half(value) - value)
    return out


def pack(q: np.ndarray) -> np.ndarray:
    """[rows, cols] of small integers -> uint32 words, lowest bits first, as MLX packs them."""
    per_word = 32 // QUANT_BITS
    words = q.astype(np.uint32).reshape(q.shape[0], -1, per_word)
    shifts = np.arange(per_word, dtype=np.uint32) * QUANT_BITS
    return np.bitwise_or.reduce(words << shifts, axis=-1).astype(np.uint32)


def quantise(weight: np.ndarray):
    """[out, in] f32 -> (packed uint32, scales bf16, biases bf16)."""
    groups = weight.astype(np.float32).reshape(weight.shape[0], -1, QUANT_GROUP)
    q, scale, bias = grid(np, groups, numpy_half)
    half = ml_dtypes.bfloat16
    return (pack(q.reshape(weight.shape)), scale[..., 0].astype(half), bias[..., 0].astype(half))


def dequantise(packed: np.ndarray, scales: np.ndarray, biases: np.ndarray) -> np.ndarray:
    shifts = np.arange(32 // QUANT_BITS, dtype=np.uint32) * QUANT_BITS
    q = (packed[..., None] >> shifts) & (2 ** QUANT_BITS - 1)
    q = q.reshape(packed.shape[0], -1, QUANT_GROUP).astype(np.float32)
    weight = q * scales.astype(np.float32)[..., None] + biases.astype(np.float32)[..., None]
    return weight.reshape(packed.shape[0], -1)
