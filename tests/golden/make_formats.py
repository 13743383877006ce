#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/formats/fixtures with the reference writers: safetensors, gguf and transformers from PyPI.

Values follow a formula that the tests repeat: value(i, k) = ((37·i + 11·k) mod 101 − 50) / 16, exact in F16 and BF16 (i: the element in row-major
order, k: a number for each tensor). Run from the project's root: tests/golden/make_formats.py
"""
import json
import pathlib
import shutil

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parents[1] / "formats" / "fixtures"


def values(shape, k):
    i = np.arange(int(np.prod(shape)), dtype=np.int64)
    return (((37 * i + 11 * k) % 101 - 50) / 16).astype(np.float32).reshape(shape)


def make_safetensors():
    tensors = {
        "float32": torch.tensor(values((3, 5), 1)),
        "float16": torch.tensor(values((4, 2), 2)).half(),
        "bfloat16": torch.tensor(values((2, 2, 3), 3)).bfloat16(),
        "int64": torch.arange(7),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "fp8": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn),
    }
    save_file(tensors, ROOT / "foreign.safetensors", metadata={"format": "pt", "note": "Grüße"})


def make_gguf():
    w = gguf.GGUFWriter(ROOT / "foreign.gguf", "test")
    w.add_custom_alignment(64)
    w.add_uint8("k.u8", 200)
    w.add_int8("k.i8", -100)
    w.add_uint16("k.u16", 60000)
    w.add_int16("k.i16", -30000)
    w.add_uint32("k.u32", 4000000000)
    w.add_int32("k.i32", -2000000000)
    w.add_float32("k.f32", 0.1)
    w.add_bool("k.bool", True)
    w.add_string("k.string", "Grüße ▁Ġ")
    w.add_uint64("k.u64", 2**63 + 5)
    w.add_int64("k.i64", -(2**62))
    w.add_float64("k.f64", 0.1)
    w.add_array("k.strings", ["", "a", "▁the", "Ġ"])
    w.add_array("k.ints", [1, -2, 3])
    w.add_array("k.floats", [0.5, -1.25])
    w.add_tensor("float32", values((3, 5), 1))
    w.add_tensor("float16", values((4, 2), 2).astype(np.float16))
    w.add_tensor("q8_0", gguf.quantize(values((2, 64), 3), gguf.GGMLQuantizationType.Q8_0),
                 raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    w.add_tensor("vector", values((9,), 4))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_split():
    """A file in parts, by gguf's own splitting of tensors."""
    w = gguf.GGUFWriter(ROOT / "split.gguf", "test", split_max_tensors=2)
    w.add_uint32("k.first", 7)
    for k in range(5):
        w.add_tensor(f"t{k}", values((k + 1, 4), k))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_llama():
    """One small Llama as Hugging Face folder and as GGUF; queries and keys reordered by llama.cpp's formula."""
    embd, ff, heads, kv, vocab, blocks = 32, 40, 4, 2, 24, 2
    dim = embd // heads
    shapes = {"model.embed_tokens.weight": (vocab, embd)}
    for b in range(blocks):
        p = f"model.layers.{b}."
        shapes |= {
            p + "input_layernorm.weight": (embd,), p + "self_attn.q_proj.weight": (heads * dim, embd),
            p + "self_attn.k_proj.weight": (kv * dim, embd), p + "self_attn.v_proj.weight": (kv * dim, embd),
            p + "self_attn.o_proj.weight": (embd, heads * dim), p + "post_attention_layernorm.weight": (embd,),
            p + "mlp.gate_proj.weight": (ff, embd), p + "mlp.up_proj.weight": (ff, embd),
            p + "mlp.down_proj.weight": (embd, ff),
            p + "self_attn.q_proj.bias": (heads * dim,), p + "self_attn.k_proj.bias": (kv * dim,),
            p + "self_attn.v_proj.bias": (kv * dim,), p + "self_attn.o_proj.bias": (embd,),
        }
    shapes |= {"model.norm.weight": (embd,), "lm_head.weight": (vocab, embd)}
    tensors = {name: values(shape, k) for k, (name, shape) in enumerate(shapes.items())}
    folder = ROOT / "llama"
    folder.mkdir(exist_ok=True)
    save_file({n: torch.tensor(t).half() for n, t in tensors.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": embd, "intermediate_size": ff,
        "num_hidden_layers": blocks, "num_attention_heads": heads, "num_key_value_heads": kv, "vocab_size": vocab,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "attention_bias": True, "tie_word_embeddings": False, "torch_dtype": "float16",
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 32},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    from transformers import AutoConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
    inv_freq = LlamaRotaryEmbedding(AutoConfig.from_pretrained(folder)).inv_freq.numpy()
    plain = 1.0 / (10000.0 ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)))

    def permute(t, n):
        return t.reshape(n, 2, t.shape[0] // n // 2, *t.shape[1:]).swapaxes(1, 2).reshape(t.shape)

    names = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
             "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
             "post_attention_layernorm": "ffn_norm", "gate_proj": "ffn_gate", "up_proj": "ffn_up",
             "down_proj": "ffn_down"}
    w = gguf.GGUFWriter(ROOT / "llama.gguf", "llama")
    w.add_block_count(blocks)
    w.add_context_length(64)
    w.add_embedding_length(embd)
    w.add_feed_forward_length(ff)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(dim)
    w.add_rope_freq_base(10000.0)
    w.add_vocab_size(vocab)
    w.add_tokenizer_model("none")
    w.add_tensor("rope_freqs.weight", (plain / inv_freq).astype(np.float32))
    for name, tensor in tensors.items():
        parts = name.split(".")
        block = f"blk.{parts[2]}." if parts[1] == "layers" else ""
        target = block + names[parts[-2]] + "." + parts[-1]
        if ".q_proj." in name:
            tensor = permute(tensor, heads)
        if ".k_proj." in name:
            tensor = permute(tensor, kv)
        w.add_tensor(target, tensor if tensor.ndim == 1 else tensor.astype(np.float16))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_rope():
    """Rotary frequencies as transformers computes them, for the configs that tests/formats/test-model.c repeats."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
    base = dict(hidden_size=256, num_attention_heads=2, max_position_embeddings=131072)
    cases = {
        "default": {"rope_type": "default", "rope_theta": 10000.0},
        "theta": {"rope_type": "default", "rope_theta": 500000.0},
        "linear": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
        "llama3": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 8192, "rope_theta": 500000.0},
    }
    tensors = {name: LlamaRotaryEmbedding(LlamaConfig(**base, rope_parameters=p)).inv_freq.float().contiguous()
               for name, p in cases.items()}
    save_file(tensors, ROOT / "rope.safetensors")


if __name__ == "__main__":
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    make_safetensors()
    make_gguf()
    make_split()
    make_llama()
    make_rope()
    for path in sorted(ROOT.rglob("*")):
        if path.is_file():
            print(path.relative_to(ROOT), path.stat().st_size)
