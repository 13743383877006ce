#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Goldens of the number types. Run by hand; the results are committed.

    python tests/golden/make_types.py [LIBGGML_BASE]

needs numpy and gguf, and writes beside this script
  types/decode.bin   random blocks of every block type and the floats that gguf.quants.dequantize() makes of them, as
                     records, little-endian: u32 ggml type, u32 bytes, u32 floats, the bytes, the floats (float32)
and, given llama.cpp's libggml-base.so (and torch and safetensors, for reading the sample), also
  types/rmse.json    root mean square error of llama.cpp's own quantizers over all matrices of data/sample, without
                     importance (what `llama-quantize --pure` does), and the number of weights
"""
import ctypes
import json
import pathlib
import struct
import sys

import gguf
import numpy as np

TYPES = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS".split()
HALVES = {  # where in a block its halves lie
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}
here = pathlib.Path(__file__).parent
out = here / "types"
out.mkdir(exist_ok=True)


def write_decode():
    rng = np.random.default_rng(20261122)
    with open(out / "decode.bin", "wb") as f:
        for name in TYPES:
            kind = gguf.GGMLQuantizationType[name]
            block, size = gguf.GGML_QUANT_SIZES[kind]
            n = 4 if block == 256 else 16
            data = rng.integers(0, 256, (n, size), dtype=np.uint8)
            for at in HALVES[name]:
                # any finite half, subnormal and negative ones too
                half = rng.integers(0, 0x7C00, n, dtype=np.uint16) | (rng.integers(0, 2, n, dtype=np.uint16) << 15)
                half[0] &= 0x83FF
                data[:, at:at + 2] = half.astype("<u2").view(np.uint8).reshape(n, 2)
            floats = gguf.quants.dequantize(data, kind).astype("<f4").reshape(-1)
            assert floats.size == n * block and np.isfinite(floats).all()
            f.write(struct.pack("<III", int(kind), data.size, floats.size) + data.tobytes() + floats.tobytes())


def write_rmse(library):
    from safetensors import safe_open

    ggml = ctypes.CDLL(library)
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                         ctypes.c_int64, ctypes.c_void_p]
    with safe_open(here.parent.parent / "data" / "sample" / "model.safetensors", "pt") as f:
        matrices = [t.float().numpy().copy() for t in map(f.get_tensor, sorted(f.keys())) if t.ndim == 2]
    weights = sum(m.size for m in matrices)
    result = {"weights": weights, "rmse": {}}
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        squares = 0.0
        for m in matrices:
            shape = gguf.quants.quant_shape_to_byte_shape(m.shape, kind)
            data = np.zeros(shape, np.uint8)
            ggml.ggml_quantize_chunk(int(kind), m.ctypes.data, data.ctypes.data, 0, m.shape[0], m.shape[1], None)
            squares += ((gguf.quants.dequantize(data, kind).astype(np.float64) - m) ** 2).sum()
        result["rmse"][name.lower()] = (squares / weights) ** 0.5
    (out / "rmse.json").write_text(json.dumps(result, indent=1) + "\n")


write_decode()
if len(sys.argv) > 1:
    write_rmse(sys.argv[1])
