#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tiny random checkpoints of every architecture, and the logits that transformers computes for them.

    python make_logits.py [SHARED]

needs torch (CPU), transformers and safetensors, and rewrites models/NAME/{config.json,model.safetensors,logits.safetensors}
beside this script. SHARED is the folder of shared models; with it capp-gpt's and stories260K's logits are made too.
The product, its build and its tests never run this.

Weights come from a seeded generator and are several times larger than a fresh initialisation, so that attention is peaked,
every nonlinearity is used on both sides and logits are of the order of several units: an error anywhere shows. Each config
is written by hand in the dialect that published checkpoints of that family use, not as this transformers would save it.
logits.safetensors holds tokens (int32, [n_seq, n_tok]) and logits (float32, [n_seq, n_tok, n_vocab]), computed in float32 with
the eager attention, one sequence at a time.
"""
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

HERE = pathlib.Path(__file__).resolve().parent

MODELS = {
    # Llama 1/2: every head its own keys and values.
    "llama": (torch.bfloat16, 40, dict(
        architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=48, intermediate_size=104,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, vocab_size=131,
        max_position_embeddings=128, rms_norm_eps=1e-6, rope_theta=10000.0, rope_scaling=None, hidden_act="silu",
        tie_word_embeddings=False, attention_bias=False, mlp_bias=False)),
    # Llama 3: grouped queries; the original context is so short that all three bands of the scaling are in use.
    "llama3": (torch.bfloat16, 72, dict(
        architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=64, intermediate_size=112,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=120,
        max_position_embeddings=512, rms_norm_eps=1e-5, rope_theta=500000.0,
        rope_scaling=dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                          original_max_position_embeddings=64, rope_type="llama3"),
        hidden_act="silu", tie_word_embeddings=True, attention_bias=False, mlp_bias=False)),
    # Mistral: each token sees the last 12 alone.
    "mistral": (torch.bfloat16, 48, dict(
        architectures=["MistralForCausalLM"], model_type="mistral", hidden_size=64, intermediate_size=96,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, vocab_size=128,
        max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=10000.0, sliding_window=12, hidden_act="silu",
        tie_word_embeddings=False)),
    "qwen2": (torch.bfloat16, 40, dict(
        architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_size=56, intermediate_size=100,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=150,
        max_position_embeddings=256, rms_norm_eps=1e-6, rope_theta=1000000.0, hidden_act="silu",
        tie_word_embeddings=True, use_sliding_window=False, sliding_window=16, max_window_layers=1)),
    # Qwen3: heads wider than hidden / heads, norms on queries and keys; in the dialect of transformers 5.
    "qwen3": (torch.float16, 40, dict(
        architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_size=48, intermediate_size=96,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=20, vocab_size=140,
        max_position_embeddings=256, rms_norm_eps=1e-6,
        rope_parameters=dict(rope_theta=1000000.0, rope_type="default"), hidden_act="silu",
        tie_word_embeddings=False, attention_bias=False, use_sliding_window=False, sliding_window=None)),
    "gpt2": (torch.float32, 40, dict(
        architectures=["GPT2LMHeadModel"], model_type="gpt2", n_embd=40, n_head=4, n_layer=2, n_positions=64,
        n_ctx=64, vocab_size=133, activation_function="gelu_new", layer_norm_epsilon=1e-5)),
    # OPT: positions start at row 2 of their table.
    "opt": (torch.float16, 40, dict(
        architectures=["OPTForCausalLM"], model_type="opt", hidden_size=48, word_embed_proj_dim=48, ffn_dim=112,
        num_hidden_layers=2, num_attention_heads=3, vocab_size=129, max_position_embeddings=64,
        activation_function="relu", do_layer_norm_before=True, enable_bias=True, layer_norm_elementwise_affine=True,
        tie_word_embeddings=True)),
}
# What a saved checkpoint leaves out: tied copies and buffers.
SKIP = ("rotary_emb", ".attn.bias", ".attn.masked_bias")


def value_for(name, shape, gen):
    """Weights of gain about 1.5, norms around 1, biases that matter, embeddings of unit size."""
    x = torch.randn(shape, generator=gen)
    is_norm = "norm" in name or "ln_" in name
    if is_norm and name.endswith("weight"):
        return 1.0 + 0.25 * x
    if name.endswith("bias"):
        return 0.3 * x
    if any(s in name for s in ("embed", "wte", "wpe")):
        return 0.6 * x
    n_in = shape[0] if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")) else shape[1]
    return 1.5 * x / n_in ** 0.5


def save(tensors, path, **kwargs):
    save_file(tensors, path, **kwargs)
    path.chmod(0o644)  # safetensors makes private files


def logits_of(model, tokens):
    with torch.no_grad():
        return torch.stack([model(input_ids=row[None].long(), use_cache=False).logits[0] for row in tokens]).contiguous()


def make(name, dtype, n_tok, config_json, seed):
    folder = HERE / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_json, indent=2) + "\n")
    config = AutoConfig.from_pretrained(folder)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()

    gen = torch.Generator().manual_seed(seed)
    tied = model.config.tie_word_embeddings
    state = {}
    for key, tensor in model.state_dict().items():
        if any(s in key for s in SKIP) or (tied and key == "lm_head.weight"):
            continue
        state[key] = value_for(key, tensor.shape, gen).to(dtype).contiguous()
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    if tied:
        model.tie_weights()
    save(state, folder / "model.safetensors", metadata={"format": "pt"})

    tokens = torch.randint(0, model.config.vocab_size, (2, n_tok), generator=gen, dtype=torch.int32)
    logits = logits_of(model, tokens)
    save({"tokens": tokens, "logits": logits}, folder / "logits.safetensors")
    wide = logits_of(model.double(), tokens)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:8} {sum(v.numel() for v in state.values()):7} parameters, {size:7} bytes, logits up to "
          f"{logits.abs().max():.2f}, float32 against float64 {(wide - logits).abs().max():.1e}")
    return logits, tokens, config_json


def check_window(config_json, folder):
    """The window must matter, or the golden proves nothing."""
    config = AutoConfig.from_pretrained(folder)
    config.sliding_window = None
    with_window = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    without = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32,
                                                   attn_implementation="eager").eval()
    tokens = torch.arange(40, dtype=torch.int32)[None]
    diff = (logits_of(with_window, tokens) - logits_of(without, tokens)).abs().amax(-1)[0]
    n = config_json["sliding_window"]
    assert diff[:n].max() < 1e-5 < diff[n], "the window does not start where it is said to"
    print(f"mistral  window {n}: position {n} is the first that differs from full attention")


def make_shared(shared, name, folder, n_tok):
    model = AutoModelForCausalLM.from_pretrained(shared / "models" / folder, dtype=torch.float32,
                                                 attn_implementation="eager").eval()
    gen = torch.Generator().manual_seed(99)
    tokens = torch.randint(0, model.config.vocab_size, (1, n_tok), generator=gen, dtype=torch.int32)
    out = HERE / "models" / name
    out.mkdir(parents=True, exist_ok=True)
    save({"tokens": tokens, "logits": logits_of(model, tokens)}, out / "logits.safetensors")
    print(f"{name}: {n_tok} tokens")


def main():
    print("torch", torch.__version__, "transformers", transformers.__version__)
    torch.set_num_threads(1)
    for seed, (name, (dtype, n_tok, config_json)) in enumerate(MODELS.items()):
        make(name, dtype, n_tok, config_json, 1000 + seed)
    check_window(MODELS["mistral"][2], HERE / "models" / "mistral")
    if len(sys.argv) > 1:
        make_shared(pathlib.Path(sys.argv[1]), "capp-gpt", "capp-gpt", 64)
        make_shared(pathlib.Path(sys.argv[1]), "stories260K", "stories260K-hf", 24)


if __name__ == "__main__":
    main()
