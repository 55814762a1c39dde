"""The pieces that must agree with MLX and with each other, on small random inputs."""

import jax.numpy as jnp
import ml_dtypes
import numpy as np

import delta
import export
import model
import quantise
import safetensors_file
from shape import Shape

SMALL = Shape(vocab=128, hidden=64, ffn=128, linear_key_heads=2, linear_value_heads=2, heads=2)


def recurrent(q, k, v, log_decay, beta):
    batch, heads, length, dim = q.shape
    state = np.zeros((batch, heads, dim, v.shape[-1]))
    out = np.zeros(v.shape)
    for t in range(length):
        state = state * np.exp(log_decay[:, :, t])[..., None, None]
        seen = np.einsum('bhkv,bhk->bhv', state, k[:, :, t])
        fresh = (v[:, :, t] - seen) * beta[:, :, t, None]
        state = state + k[:, :, t, :, None] * fresh[:, :, None]
        out[:, :, t] = np.einsum('bhkv,bhk->bhv', state, q[:, :, t])
    return out


def test_chunked_delta_rule_equals_the_recurrence():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 3, 96, 16)) for _ in range(3))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    log_decay, beta = -rng.uniform(0, 2, (2, 3, 96)), rng.uniform(0, 1, (2, 3, 96))
    want = recurrent(q, k, v, log_decay, beta)
    got = delta.gated_delta(*(jnp.asarray(x, jnp.float32) for x in (q, k, v, log_decay, beta)))
    np.testing.assert_allclose(got, want, atol=2e-4)


def test_quantised_matrix_is_the_one_seen_in_training():
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(24, 128)).astype(np.float32)
    weight[3, :64] = 0.0
    shipped = quantise.dequantise(*quantise.quantise(weight))
    seen = np.asarray(quantise.fake(jnp.asarray(weight), 1.0))
    np.testing.assert_allclose(shipped, seen, atol=1e-6)
    assert np.abs(shipped - weight).max() < 0.4


def test_mlx_reads_the_packed_matrix_the_same():
    import mlx.core as mx
    weight = np.random.default_rng(2).normal(size=(8, 192)).astype(np.float32)
    packed, scales, biases = quantise.quantise(weight)
    parts = [mx.array(packed)] + [mx.array(x.astype(np.float32)) for x in (scales, biases)]
    theirs = np.array(mx.dequantize(*parts, group_size=64, bits=4))
    np.testing.assert_allclose(theirs, quantise.dequantise(packed, scales, biases), atol=1e-6)


def test_safetensors_survive_a_round_trip_aligned(tmp_path):
    path = tmp_path / 'x.safetensors'
    tensors = export.tensors_of(model.init(SMALL, 3))
    safetensors_file.write(path, tensors)
    back = safetensors_file.read(path)
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(back[name], value)
    assert (8 + int.from_bytes(path.read_bytes()[:8], 'little')) % safetensors_file.ALIGNMENT == 0


def test_reference_library_accepts_the_file(tmp_path):
    from safetensors.numpy import load_file
    path = tmp_path / 'x.safetensors'
    value = {'a': np.arange(3, dtype=np.float32), 'b': np.ones((4, 16), ml_dtypes.bfloat16)}
    safetensors_file.write(path, value)
    np.testing.assert_array_equal(load_file(path)['a'], value['a'])


def test_exported_parameters_come_back():
    params = model.init(SMALL, 4)
    back = export.params_of(export.tensors_of(params))
    assert back.keys() == params.keys()
    for name, value in params.items():
        assert back[name].shape == value.shape
