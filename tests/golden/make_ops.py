#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Goldens of the operators from PyTorch: writes ops.json beside itself. Needs torch alone."""
import json
import math
import os

import torch
import torch.nn.functional as F

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)


def flat(t):
    return [float("%.9g" % v) for v in t.reshape(-1).tolist()]


def rand(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).float().double()  # inputs are float32 values


out = {}

x, w, b = rand(3, 37, scale=2), rand(37), rand(37)
out["rms_norm"] = {"k": 37, "m": 3, "x": flat(x), "weight": flat(w), "eps": 1e-5,
                   "y": flat(F.rms_norm(x, (37,), w, 1e-5))}
out["layer_norm"] = {"k": 37, "m": 3, "x": flat(x), "weight": flat(w), "bias": flat(b), "eps": 1e-5,
                     "y": flat(F.layer_norm(x, (37,), w, b, 1e-5))}

x = rand(61, scale=3)
out["act"] = {"x": flat(x), "silu": flat(F.silu(x)), "relu": flat(F.relu(x)),
              "gelu_tanh": flat(F.gelu(x, approximate="tanh")), "gelu_erf": flat(F.gelu(x))}

# rotate-half rope, as in modeling_llama.py
heads, tokens, dim = 3, 5, 16
x = rand(tokens, heads, dim)
pos = torch.tensor([0, 1, 7, 100, 511])
inv = (1.0 / (10000 ** (torch.arange(0, dim, 2) / dim))).float().double()
angle = (pos.float()[:, None] * inv.float()[None, :]).double()
cos = torch.cat([angle, angle], -1).cos()[:, None, :]
sin = torch.cat([angle, angle], -1).sin()[:, None, :]
half = torch.cat([-x[..., dim // 2:], x[..., :dim // 2]], -1)
out["rope"] = {"dim": dim, "heads": heads, "tokens": tokens, "pos": pos.tolist(), "inv_freq": flat(inv),
               "x": flat(x), "y": flat(x * cos + half * sin)}

# attention: batch of 2, 4 heads on 2 key heads, 3 queries at the end of 9 keys
batch, heads, kv, n_tok, n_key, dim = 2, 4, 2, 3, 9, 8
q, k, v = rand(batch, heads, n_tok, dim), rand(batch, kv, n_key, dim), rand(batch, kv, n_key, dim)
mask = torch.ones(n_tok, n_key, dtype=torch.bool).tril(n_key - n_tok)
y = F.scaled_dot_product_attention(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1), attn_mask=mask)
swap = lambda t: flat(t.transpose(1, 2).contiguous())  # [seq][token][head][dim]
out["attention"] = {"dim": dim, "heads": heads, "kv_heads": kv, "n_tok": n_tok, "n_key": n_key, "n_seq": batch,
                    "scale": 1 / math.sqrt(dim), "q": swap(q), "k": swap(k), "v": swap(v), "y": swap(y)}

a = rand(4, 50, scale=4)
c = a + rand(4, 50, scale=0.2)
c = c.float().double()
target = torch.tensor([3, 49, 0, 17])
pa, pc = F.log_softmax(a, -1), F.log_softmax(c, -1)
out["softmax"] = {"vocab": 50, "m": 4, "base": flat(a), "other": flat(c), "target": target.tolist(),
                  "nll_base": flat(F.cross_entropy(a, target, reduction="none")),
                  "nll_other": flat(F.cross_entropy(c, target, reduction="none")),
                  "lse": flat(torch.logsumexp(a, -1)), "argmax": a.argmax(-1).tolist(),
                  "kld": flat(F.kl_div(pc, pa, log_target=True, reduction="none").sum(-1)),
                  "same_top": (a.argmax(-1) == c.argmax(-1)).int().tolist()}

# FP8 casts of torch on scaled values
x = rand(64, scale=20)
for name, dtype, top in (("e4m3", torch.float8_e4m3fn, 448.0), ("e5m2", torch.float8_e5m2, 57344.0)):
    s = (x.abs().max() / top).float()
    v = (x.float() / s).clamp(-top, top)
    out["quant_" + name] = {"x": flat(x), "y": flat((v.to(dtype).float() * s).double())}
s = (x.abs().max() / 127).float()
out["quant_int8"] = {"x": flat(x), "y": flat(((x.float() / s).round().clamp(-127, 127) * s).double())}

q1, q2, x = rand(3, 3), rand(4, 4), rand(2, 12)
out["rotate"] = {"a": 3, "b": 4, "m": 2, "q1": flat(q1), "q2": flat(q2), "x": flat(x),
                 "y": flat(x @ torch.kron(q1, q2).T), "inverse": flat(x @ torch.kron(q1, q2))}

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "ops.json"), "w") as f:
    json.dump(out, f, separators=(",", ":"))
    f.write("\n")
