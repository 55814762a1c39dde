"""The random-weight models whose logits and greedy tokens are recorded."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shape:
    """Sizes of one qwen3_5 text model; names follow config.json."""

    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    partial_rotary_factor: float
    linear_num_key_heads: int
    linear_num_value_heads: int
    linear_key_head_dim: int
    linear_value_head_dim: int
    vocab_size: int
    num_hidden_layers: int = 4
    full_attention_interval: int = 4
    linear_conv_kernel_dim: int = 4
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    max_position_embeddings: int = 512


@dataclass(frozen=True)
class Quantization:
    """What mlx-lm is asked for; `overrides` maps a part of a module path to its own settings."""

    bits: int
    group_size: int
    overrides: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    name: str
    seed: int
    shape: Shape
    dtype: str
    nested: bool
    tied: bool
    form: str  # 'mlx': converted by mlx-lm; 'hf': as a Hugging Face repository holds it
    quantization: Quantization | None = None
    shards: int = 1
    index: bool = True


CONFIGURATIONS = [
    Configuration(
        name="nested-tied-q4g64",
        seed=11,
        shape=Shape(128, 192, 4, 2, 32, 0.25, 2, 2, 32, 32, 160),
        dtype="bfloat16",
        nested=True,
        tied=True,
        form="mlx",
        quantization=Quantization(4, 64),
    ),
    Configuration(
        name="flat-untied-q8g32",
        seed=12,
        shape=Shape(96, 160, 3, 1, 32, 0.5, 3, 3, 32, 32, 131),
        dtype="float16",
        nested=False,
        tied=False,
        form="mlx",
        quantization=Quantization(8, 32),
    ),
    Configuration(
        name="triple-value-heads-q4g32",
        seed=13,
        shape=Shape(96, 224, 5, 5, 32, 0.25, 1, 3, 32, 32, 150, 5, 2),
        dtype="float32",
        nested=True,
        tied=False,
        form="mlx",
        quantization=Quantization(4, 32),
    ),
    Configuration(
        name="flat-tied-q4g128",
        seed=14,
        shape=Shape(128, 256, 4, 1, 32, 0.25, 2, 4, 32, 32, 144),
        dtype="bfloat16",
        nested=False,
        tied=True,
        form="mlx",
        quantization=Quantization(4, 128),
    ),
    Configuration(
        name="mixed-bits-overrides",
        seed=15,
        shape=Shape(128, 192, 3, 1, 32, 0.25, 1, 3, 64, 64, 137),
        dtype="bfloat16",
        nested=True,
        tied=False,
        form="mlx",
        # o_proj's 96 inputs are no multiple of 64: mlx-lm leaves it dense.
        quantization=Quantization(
            4,
            64,
            {
                "embed_tokens": (3, 32),
                "lm_head": (8, 32),
                "v_proj": (6, 64),
                "down_proj": (5, 64),
                "layers.0.linear_attn.in_proj_z": (2, 32),
            },
        ),
    ),
    Configuration(
        name="sharded-q8g64",
        seed=16,
        shape=Shape(64, 128, 2, 1, 32, 0.5, 1, 3, 48, 64, 129),
        dtype="bfloat16",
        nested=True,
        tied=True,
        form="mlx",
        quantization=Quantization(8, 64),
        shards=3,
    ),
    Configuration(
        name="dense-bf16",
        seed=17,
        shape=Shape(72, 100, 3, 3, 24, 0.25, 3, 3, 24, 40, 133),
        dtype="bfloat16",
        nested=False,
        tied=False,
        form="mlx",
    ),
    Configuration(
        name="hf-nested-bf16",
        seed=18,
        shape=Shape(64, 112, 3, 1, 32, 0.25, 2, 6, 16, 24, 140),
        dtype="bfloat16",
        nested=True,
        tied=True,
        form="hf",
    ),
    Configuration(
        name="hf-flat-f16",
        seed=19,
        shape=Shape(72, 96, 5, 1, 16, 0.5, 3, 3, 16, 16, 130, 3, 3),
        dtype="float16",
        nested=False,
        tied=False,
        form="hf",
        shards=2,
        index=False,
    ),
]
