"""The Qwen3.5 text architecture in JAX: three gated-delta layers to one gated full-attention layer.

Parameters are a flat dict keyed by their MLX names below `language_model.model.`, so that export
is a rename-free copy. Linear weights are [out, in]; norm weights are the shifted ones (used as w).
"""

import jax
import jax.numpy as jnp
import numpy as np

from delta import gated_delta
from shape import Shape

LINEARS = {
    'linear': ('linear_attn.in_proj_qkv', 'linear_attn.in_proj_z', 'linear_attn.in_proj_a',
               'linear_attn.in_proj_b', 'linear_attn.out_proj'),
    'full': ('self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj'),
    'mlp': ('mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj'),
}


def linear_shapes(shape: Shape) -> dict[str, tuple[int, int]]:
    """Every matrix of the model that is quantised, by name, as (out, in)."""
    full = shape.heads * shape.head_dim
    sizes = {
        'linear_attn.in_proj_qkv': (shape.conv_dim, shape.hidden),
        'linear_attn.in_proj_z': (shape.value_dim, shape.hidden),
        'linear_attn.in_proj_a': (shape.linear_value_heads, shape.hidden),
        'linear_attn.in_proj_b': (shape.linear_value_heads, shape.hidden),
        'linear_attn.out_proj': (shape.hidden, shape.value_dim),
        'self_attn.q_proj': (2 * full, shape.hidden),
        'self_attn.k_proj': (shape.kv_heads * shape.head_dim, shape.hidden),
        'self_attn.v_proj': (shape.kv_heads * shape.head_dim, shape.hidden),
        'self_attn.o_proj': (shape.hidden, full),
        'mlp.gate_proj': (shape.ffn, shape.hidden),
        'mlp.up_proj': (shape.ffn, shape.hidden),
        'mlp.down_proj': (shape.hidden, shape.ffn),
    }
    out = {'embed_tokens.weight': (shape.vocab, shape.hidden)}
    for layer in range(shape.layers):
        kind = 'full' if shape.is_full_attention(layer) else 'linear'
        for name in LINEARS[kind] + LINEARS['mlp']:
            out[f'layers.{layer}.{name}.weight'] = sizes[name]
    return out


def init(shape: Shape, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    params = {}
    for name, (rows, cols) in linear_shapes(shape).items():
        scale = 0.05 if name.startswith('embed') else cols ** -0.5
        if name.endswith(('out_proj.weight', 'o_proj.weight', 'down_proj.weight')):
            scale *= 0.3
        params[name] = rng.normal(0.0, scale, (rows, cols))
    for layer in range(shape.layers):
        at = f'layers.{layer}.'
        params[at + 'input_layernorm.weight'] = np.ones(shape.hidden)
        params[at + 'post_attention_layernorm.weight'] = np.ones(shape.hidden)
        if shape.is_full_attention(layer):
            params[at + 'self_attn.q_norm.weight'] = np.ones(shape.head_dim)
            params[at + 'self_attn.k_norm.weight'] = np.ones(shape.head_dim)
            continue
        heads = shape.linear_value_heads
        at += 'linear_attn.'
        taps = rng.normal(0.0, 0.1, (shape.conv_dim, shape.conv_kernel, 1))
        taps[:, -1] += 0.7
        params[at + 'conv1d.weight'] = taps
        params[at + 'A_log'] = np.log(rng.uniform(1.0, 16.0, heads))
        step = np.exp(rng.uniform(np.log(1e-3), np.log(0.1), heads))
        params[at + 'dt_bias'] = step + np.log(-np.expm1(-step))
        params[at + 'norm.weight'] = np.ones(shape.linear_head_dim)
    params['norm.weight'] = np.ones(shape.hidden)
    return {name: value.astype(np.float32) for name, value in params.items()}


def rms_norm(x, weight, eps):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def l2_norm(x):
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-6)


def conv_silu(x, taps):
    """Causal depthwise convolution over time: x [B, T, C], taps [C, K, 1]."""
    kernel = taps.shape[1]
    padded = jnp.pad(x, ((0, 0), (kernel - 1, 0), (0, 0)))
    length = x.shape[1]
    total = sum(padded[:, i:i + length] * taps[:, i, 0] for i in range(kernel))
    return jax.nn.silu(total)


def linear_attention(p, at, x, shape: Shape):
    batch, length, _ = x.shape
    heads, dim = shape.linear_value_heads, shape.linear_head_dim
    mixed = conv_silu(x @ p[at + 'in_proj_qkv.weight'].T, p[at + 'conv1d.weight'])
    q, k, v = jnp.split(mixed, [shape.key_dim, 2 * shape.key_dim], axis=-1)
    to_heads = lambda t, n: t.reshape(batch, length, n, dim).swapaxes(1, 2)
    q, k = (l2_norm(to_heads(t, shape.linear_key_heads)) for t in (q, k))
    share = heads // shape.linear_key_heads
    if share > 1:
        q, k = (jnp.repeat(t, share, axis=1) for t in (q, k))
    a = x @ p[at + 'in_proj_a.weight'].T
    b = x @ p[at + 'in_proj_b.weight'].T
    log_decay = -jnp.exp(p[at + 'A_log']) * jax.nn.softplus(a + p[at + 'dt_bias'])
    out = gated_delta(q * dim ** -0.5, k, to_heads(v, heads), log_decay.swapaxes(1, 2),
                      jax.nn.sigmoid(b).swapaxes(1, 2))
    z = (x @ p[at + 'in_proj_z.weight'].T).reshape(batch, length, heads, dim)
    out = rms_norm(out.swapaxes(1, 2), p[at + 'norm.weight'], shape.eps) * jax.nn.silu(z)
    return out.reshape(batch, length, -1) @ p[at + 'out_proj.weight'].T


def rotate(x, shape: Shape):
    """Rotary embedding on the first rotary_dim entries of a head; x [B, H, T, D]."""
    half = shape.rotary_dim // 2
    freq = shape.rope_theta ** (-np.arange(half) / half)
    angle = np.arange(x.shape[2])[:, None] * freq
    cos, sin = jnp.asarray(np.cos(angle), x.dtype), jnp.asarray(np.sin(angle), x.dtype)
    first, second, rest = x[..., :half], x[..., half:2 * half], x[..., 2 * half:]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin, rest], -1)


def full_attention(p, at, x, shape: Shape):
    batch, length, _ = x.shape
    heads, dim, groups = shape.heads, shape.head_dim, shape.heads // shape.kv_heads
    both = (x @ p[at + 'q_proj.weight'].T).reshape(batch, length, heads, 2 * dim)
    q, gate = both[..., :dim], both[..., dim:]
    k = (x @ p[at + 'k_proj.weight'].T).reshape(batch, length, shape.kv_heads, dim)
    v = (x @ p[at + 'v_proj.weight'].T).reshape(batch, length, shape.kv_heads, dim)
    q = rotate(rms_norm(q, p[at + 'q_norm.weight'], shape.eps).swapaxes(1, 2), shape)
    k = rotate(rms_norm(k, p[at + 'k_norm.weight'], shape.eps).swapaxes(1, 2), shape)
    q = q.reshape(batch, shape.kv_heads, groups * length, dim)
    scores = (q @ k.swapaxes(-1, -2)).reshape(batch, heads, length, length) * dim ** -0.5
    causal = np.tril(np.ones((length, length), bool))
    weights = jax.nn.softmax(jnp.where(causal, scores, -1e30), axis=-1)
    out = weights.reshape(batch, shape.kv_heads, groups * length, length) @ v.swapaxes(1, 2)
    out = out.reshape(batch, heads, length, dim).swapaxes(1, 2) * jax.nn.sigmoid(gate)
    return out.reshape(batch, length, -1) @ p[at + 'o_proj.weight'].T


def mlp(p, at, x):
    inner = jax.nn.silu(x @ p[at + 'gate_proj.weight'].T) * (x @ p[at + 'up_proj.weight'].T)
    return inner @ p[at + 'down_proj.weight'].T


def hidden_states(p, tokens, shape: Shape):
    """tokens [B, T] -> final normed states [B, T, hidden]. Right padding is harmless: causal."""
    x = p['embed_tokens.weight'][tokens]
    for layer in range(shape.layers):
        at = f'layers.{layer}.'
        normed = rms_norm(x, p[at + 'input_layernorm.weight'], shape.eps)
        if shape.is_full_attention(layer):
            x = x + full_attention(p, at + 'self_attn.', normed, shape)
        else:
            x = x + linear_attention(p, at + 'linear_attn.', normed, shape)
        normed = rms_norm(x, p[at + 'post_attention_layernorm.weight'], shape.eps)
        x = x + mlp(p, at + 'mlp.', normed)
    return rms_norm(x, p['norm.weight'], shape.eps)


def logits_at(p, states, rows):
    """Logits of chosen flat positions of [B, T, hidden]."""
    flat = states.reshape(-1, states.shape[-1])
    return flat[rows] @ p['embed_tokens.weight'].T
