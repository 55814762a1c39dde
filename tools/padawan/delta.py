"""The gated delta rule, computed in chunks.

Recurrence per head (state S is [Dk, Dv]):
    S_t = exp(g_t) S_{t-1};  S_t += k_t (beta_t (v_t - k_t^T S_t))^T;  y_t = q_t^T S_t
The chunked form solves one unit lower triangular system per chunk, so that a chunk of tokens costs
a few small matrix products (Yang et al., "Gated Delta Networks", arXiv 2412.06464).
"""

import jax
import jax.numpy as jnp

CHUNK = 32


def unit_lower_inverse(strict: jax.Array) -> jax.Array:
    """Inverse of (I + strict) for a strictly lower triangular [..., C, C], C a power of two."""
    size = strict.shape[-1]
    if size <= 8:
        eye = jnp.eye(size, dtype=strict.dtype)
        power = -strict
        inverse = eye + power
        reach = 2
        while reach < size:
            power = power @ power
            inverse = inverse + inverse @ power
            reach *= 2
        return inverse
    half = size // 2
    top = unit_lower_inverse(strict[..., :half, :half])
    bottom = unit_lower_inverse(strict[..., half:, half:])
    corner = -(bottom @ (strict[..., half:, :half] @ top))
    upper = jnp.concatenate([top, jnp.zeros_like(corner)], axis=-1)
    return jnp.concatenate([upper, jnp.concatenate([corner, bottom], axis=-1)], axis=-2)


def gated_delta(q, k, v, log_decay, beta, chunk: int = CHUNK):
    """q, k, v: [B, H, T, D]; log_decay, beta: [B, H, T]. Returns [B, H, T, Dv]. T % chunk == 0."""
    batch, heads, length, key_dim = q.shape
    count = length // chunk
    split = lambda x: x.reshape(batch, heads, count, chunk, *x.shape[3:])
    q, k, v, log_decay, beta = map(split, (q, k, v, log_decay, beta))
    decay = jnp.cumsum(log_decay, axis=-1)
    lower = jnp.tril(jnp.ones((chunk, chunk), bool))
    gap = decay[..., :, None] - decay[..., None, :]
    mask = jnp.where(lower, jnp.exp(jnp.where(lower, gap, 0.0)), 0.0)
    k_beta = k * beta[..., None]
    keys_t = jnp.swapaxes(k, -1, -2)
    strict = (k_beta @ keys_t) * mask * (1.0 - jnp.eye(chunk, dtype=q.dtype))
    solved = unit_lower_inverse(strict)
    v_solved = solved @ (v * beta[..., None])
    k_solved = solved @ (k_beta * jnp.exp(decay)[..., None])
    scores = (q @ keys_t) * mask
    if count == 1:
        return (scores @ v_solved).reshape(batch, heads, length, -1)
    q_decayed = q * jnp.exp(decay)[..., None]
    k_left = k * jnp.exp(decay[..., -1:] - decay)[..., None]
    whole = jnp.exp(decay[..., -1])

    def step(state, part):
        scores_c, v_c, k_c, q_c, k_left_c, whole_c = part
        fresh = v_c - k_c @ state
        out = q_c @ state + scores_c @ fresh
        state = state * whole_c[..., None, None] + jnp.swapaxes(k_left_c, -1, -2) @ fresh
        return state, out

    parts = (scores, v_solved, k_solved, q_decayed, k_left, whole)
    parts = tuple(jnp.moveaxis(part, 2, 0) for part in parts)
    start = jnp.zeros((batch, heads, key_dim, v.shape[-1]), q.dtype)
    _, outs = jax.lax.scan(step, start, parts)
    return jnp.moveaxis(outs, 0, 2).reshape(batch, heads, length, -1)
