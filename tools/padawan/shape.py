"""The shape of padawan: one place, read by training, export and evaluation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    vocab: int = 1280
    hidden: int = 192
    layers: int = 4
    full_attention_interval: int = 4
    ffn: int = 512
    linear_key_heads: int = 6
    linear_value_heads: int = 6
    linear_head_dim: int = 32
    conv_kernel: int = 4
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 32
    rotary_dim: int = 16
    rope_theta: float = 10_000.0
    eps: float = 1e-6
    context: int = 2048

    @property
    def key_dim(self) -> int:
        return self.linear_key_heads * self.linear_head_dim

    @property
    def value_dim(self) -> int:
        return self.linear_value_heads * self.linear_head_dim

    @property
    def conv_dim(self) -> int:
        return 2 * self.key_dim + self.value_dim

    def is_full_attention(self, layer: int) -> bool:
        return (layer + 1) % self.full_attention_interval == 0


SHAPE = Shape()
QUANT_BITS = 4
QUANT_GROUP = 64
