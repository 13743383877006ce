#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Singular values of small matrices from NumPy: tests/golden/spectrum.json. Run with NumPy: make_spectrum.py > spectrum.json

The matrices are made of a 32-bit linear congruential generator, in single precision, with columns that fall in size, so that the
test makes the same ones.
"""
import json

import numpy

SHAPES = [(1, 1), (1, 9), (24, 24), (17, 40), (40, 17), (96, 130)]


def matrix(rows, cols, seed):
    state, out = seed, numpy.empty((rows, cols), dtype=numpy.float32)
    for i in range(rows):
        for j in range(cols):
            state = (state * 1664525 + 1013904223) % 2**32
            out[i, j] = numpy.float32((state >> 8) / 2**24 - 0.5) * numpy.float32(2.0 ** -(j % 8))
    return out


cases = []
for seed, (rows, cols) in enumerate(SHAPES, 1):
    m = matrix(rows, cols, seed).astype(numpy.float64)
    cases.append({"rows": rows, "cols": cols, "seed": seed, "sigma": numpy.linalg.svd(m, compute_uv=False).tolist()})
print(json.dumps({"numpy": numpy.__version__, "cases": cases}, indent=1))
