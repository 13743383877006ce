# SPDX-License-Identifier: MIT
"""Layer errors of the authors' GPTQ (github.com/IST-DASLab/gptq) on a small layer: tests/golden/gptq.json.

    python make_gptq.py FOLDER     FOLDER holds gptq.py and quant.py of that repository

The layer and its inputs come from the generator of tests/methods/method-fixture.h, so that they need not be kept. An error is
the sum over rows of (w − ŵ)·H·(w − ŵ)ᵀ with H = 2/n·Σ x xᵀ. Needs PyTorch; not needed to build or test.
"""
import json
import math
import os
import sys
import types

import torch

sys.path.insert(0, sys.argv[1])
sys.modules.setdefault("transformers", types.ModuleType("transformers"))
sys.modules["transformers"].Conv1D = type("Conv1D", (), {})
torch.cuda.synchronize = lambda: None
from gptq import GPTQ  # noqa: E402
from quant import Quantizer  # noqa: E402

N, ROWS, TOKENS = 128, 48, 600
MASK = (1 << 64) - 1


def normals(n, scale, seed):
    state, out = seed, []

    def uniform():
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        return (state >> 11) * 2.0 ** -53

    for _ in range(n):
        u, v = uniform(), uniform()
        out.append(scale * (math.sqrt(-2 * math.log(u + 1e-300)) * math.cos(2 * math.pi * v)))
    return torch.tensor(out, dtype=torch.float64).float()


def inputs(tokens, n, seed):
    x = normals(tokens * n, 1, seed).double().reshape(tokens, n)
    for j in range(n):
        before = 0.6 * x[:, j - 1] if j > 0 else 0
        x[:, j] = (before + x[:, j] * (0.4 + ((j * 7) % 11) / 8)).float().double()
    return x


def main():
    x = inputs(TOKENS, N, 77)
    w = normals(ROWS * N, 0.05, 78).reshape(ROWS, N)
    moments = x.t() @ x
    golden = {"sum_w": w.double().abs().sum().item(), "moment": moments[3, 4].item()}
    cases = [("int4_g32", 4, 32, False), ("int3_g32", 3, 32, False), ("int2_g32", 2, 32, False), ("int4_g128_sym", 4, 128, True)]
    for name, bits, group, symmetric in cases:
        layer = torch.nn.Linear(N, ROWS, bias=False)
        layer.weight.data = w.clone()
        gptq = GPTQ(layer)
        gptq.quantizer = Quantizer()
        gptq.quantizer.configure(bits, perchannel=True, sym=symmetric, mse=False)
        gptq.add_batch(x.float(), None)
        gptq.fasterquant(percdamp=0.01, groupsize=group)
        e = w.double() - layer.weight.data.double()
        golden[name] = torch.einsum("ri,ij,rj->", e, 2 / TOKENS * moments, e).item()
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "gptq.json"), "w") as out:
        json.dump(golden, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
