"""A safetensors file whose tensors start on 64-byte boundaries.

The format allows no holes, so padding between tensors is not possible; instead the tensors whose
size is a multiple of 64 come first, and the few odd little ones follow, widest type first, so that
each is at least aligned to its own element.
"""

import json
from pathlib import Path

import ml_dtypes
import numpy as np

ALIGNMENT = 64
TYPES = {np.dtype(np.uint32): 'U32', np.dtype(np.float32): 'F32',
         np.dtype(ml_dtypes.bfloat16): 'BF16'}
DTYPES = {name: dtype for dtype, name in TYPES.items()}


def write(path: Path, tensors: dict[str, np.ndarray]) -> None:
    order = sorted(tensors, key=lambda name: (
        tensors[name].nbytes % ALIGNMENT != 0, -tensors[name].dtype.itemsize, name))
    header, offset = {'__metadata__': {'format': 'mlx'}}, 0
    for name in order:
        value = tensors[name]
        end = offset + value.nbytes
        header[name] = {'dtype': TYPES[value.dtype], 'shape': list(value.shape),
                        'data_offsets': [offset, end]}
        offset = end
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-(len(text) + 8) % ALIGNMENT)
    with open(path, 'wb') as file:
        file.write(len(text).to_bytes(8, 'little') + text)
        for name in order:
            file.write(np.ascontiguousarray(tensors[name]).tobytes())


def read(path: Path) -> dict[str, np.ndarray]:
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], 'little')
    header, data = json.loads(raw[8:8 + length]), raw[8 + length:]
    out = {}
    for name, entry in header.items():
        if name == '__metadata__':
            continue
        start, end = entry['data_offsets']
        values = np.frombuffer(data[start:end], DTYPES[entry['dtype']])
        out[name] = values.reshape(entry['shape'])
    return out
