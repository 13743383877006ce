# SPDX-License-Identifier: MIT
"""swage-cli as other programs use it: exit status, JSON keys, figures, interruption, and nothing half-written.

Run by meson as `test_cli.py SWAGE_CLI`; prints TAP.
"""
import hashlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

CLI = sys.argv[1]
DATA = os.environ["SWAGE_DATA_DIR"]
SAMPLE = os.path.join(DATA, "sample")
EVAL = os.path.join(SAMPLE, "kjv.eval.txt")
SHARED = os.environ.get("SWAGE_SHARED", os.path.join(os.environ["SWAGE_SOURCE_ROOT"], "..", "shared"))
TMP = tempfile.mkdtemp(prefix="swage-test-cli-")
COMMANDS = ["info", "inspect", "methods", "plan", "preview", "export", "generate", "tokenize", "devices", "bench"]


class Skip(Exception):
    pass


def cli(*args, stdin=None, env=None, timeout=500):
    full = dict(os.environ, LC_ALL="C.UTF-8", **(env or {}))
    return subprocess.run([CLI, *args], input=stdin, capture_output=True, timeout=timeout, env=full)


def good(*args, **kwargs):
    result = cli(*args, **kwargs)
    assert result.returncode == 0, f"{args}: exit {result.returncode}: {result.stderr.decode()}"
    return result.stdout.decode()


def good_json(*args, **kwargs):
    return json.loads(good(*args, "--json", **kwargs))


def bad(status, mentions, *args, **kwargs):
    """One clear message on stderr, nothing on stdout."""
    result = cli(*args, **kwargs)
    text = result.stderr.decode()
    assert result.returncode == status, f"{args}: exit {result.returncode}, not {status}: {text}"
    assert mentions in text, f"{args}: “{mentions}” is not in: {text}"
    assert not result.stdout, f"{args}: printed {result.stdout[:200]}"
    return text


def path(*names):
    return os.path.join(TMP, *names)


def short_text(n=4000):
    name = path(f"short-{n}.txt")
    if not os.path.exists(name):
        with open(EVAL, "rb") as source, open(name, "wb") as target:
            target.write(source.read(n))
    return name


def test_usage():
    bad(2, "Usage")
    bad(2, "no command", "dance")
    assert "preview" in good("--help")
    assert re.match(r"swage-cli \d", good("--version"))
    for command in COMMANDS:
        text = good(command, "--help")
        assert f"swage-cli {command}" in text and "--threads" in text, text
        bad(2, "", command, "--no-such-option")
    bad(2, "Usage", "info")
    bad(2, "Usage", "info", "a", "b")
    bad(2, "--text", "preview", SAMPLE)
    bad(2, "protocol", "preview", SAMPLE, "--text", EVAL, "--protocol", "vibes")
    bad(2, "context", "preview", SAMPLE, "--text", EVAL, "--context", "1")
    bad(2, "device", "preview", SAMPLE, "--text", EVAL, "--device", "abacus")
    bad(2, "-o", "export", SAMPLE)
    bad(2, "format", "export", SAMPLE, "--format", "zip", "-o", path("x"))
    bad(2, "prompt", "generate", SAMPLE)
    bad(2, "threads", "info", SAMPLE, "--threads", "1000")
    bad(2, "bins", "inspect", SAMPLE, "--bins", "3")
    bad(2, "nosuch", "plan", SAMPLE, "--rule", "*=nosuch")
    bad(2, "bits", "plan", SAMPLE, "--rule", "*=rtn:bits=40")
    bad(2, "preset", "plan", SAMPLE, "--preset", "nosuch")


def test_info():
    info = good_json("info", SAMPLE)
    assert info["architecture"] == "llama" and info["blocks"] == 8
    assert info["parameters"] == 4096 * 256 + 8 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 768 * 256 + 2 * 256) + 256
    assert info["tokenizer"]["tokens"] == 4096
    names = [tensor["name"] for tensor in info["tensors"]]
    assert "blk.7.ffn_down" in names and "token_embd" in names and len(names) == 1 + 8 * 9 + 1
    assert sum(tensor["bytes"] for tensor in info["tensors"]) == info["bytes"]
    assert "7." in good("info", SAMPLE) or "M in" in good("info", SAMPLE)


def test_inspect():
    plots = path("plots")
    data = good_json("inspect", SAMPLE, "--layers", "blk.0.*", "--text", short_text(), "--plot", plots)
    assert len(data["layers"]) == 7
    for layer in data["layers"]:
        weight = layer["weight"]
        for key in ("min", "max", "mean", "std", "absmax", "kurtosis", "outlier_share"):
            assert isinstance(weight[key], (int, float)), key
            assert isinstance(layer["activation"][key], (int, float)), key
        assert len(weight["histogram"]["edges"]) == len(weight["histogram"]["counts"]) + 1
        assert sum(weight["histogram"]["counts"]) == layer["shape"][0] * layer["shape"][1]
    assert layer["dtype"] == "BF16"
    pngs = [name for name in os.listdir(plots) if name.endswith(".png")]
    assert len(pngs) == 21, pngs
    with open(os.path.join(plots, pngs[0]), "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    svg = path("svg")
    good("inspect", SAMPLE, "--layers", "token_embd", "--plot", svg, "--plot-format", "svg")
    with open(os.path.join(svg, "token_embd.weight.svg"), encoding="utf-8") as file:
        assert "<svg" in file.read(500)
    bad(1, "nothing.*", "inspect", SAMPLE, "--layers", "nothing.*")
    # against the file itself: the statistics of one matrix in double precision
    with open(os.path.join(SAMPLE, "model.safetensors"), "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        start = file.tell()
        begin, end = header["model.layers.0.self_attn.k_proj.weight"]["data_offsets"]
        file.seek(start + begin)
        raw = file.read(end - begin)
    values = [struct.unpack("<f", b"\0\0" + raw[i:i + 2])[0] for i in range(0, len(raw), 2)]
    n = len(values)
    mean = sum(values) / n
    variance = sum((v - mean) ** 2 for v in values) / n
    kurtosis = sum((v - mean) ** 4 for v in values) / n / variance ** 2
    k = next(layer for layer in data["layers"] if layer["name"] == "blk.0.attn_k")["weight"]
    assert k["min"] == min(values) and k["max"] == max(values)
    assert abs(k["mean"] - mean) < 1e-9 and abs(k["std"] / variance ** 0.5 - 1) < 1e-5
    assert abs(k["kurtosis"] / kurtosis - 1) < 1e-5
    outliers = sum(abs(v - mean) > 6 * variance ** 0.5 for v in values) / n
    assert abs(k["outlier_share"] - outliers) < 1e-12


def test_methods():
    methods = good_json("methods")["methods"]
    ids = [method["id"] for method in methods]
    for method in methods:
        for key in ("id", "version", "family", "title", "scope", "needs", "params"):
            assert key in method, key
        assert "paper" in method
        for param in method["params"]:
            for key in ("id", "type", "default", "help"):
                assert key in param, (method["id"], param)
        assert method["id"] in good("methods", method["id"])
        assert method["title"] in good("methods", method["id"], "--markdown")
    assert len(ids) == len(set(ids)) >= 4
    bad(2, "nosuch", "methods", "nosuch")


def test_plan():
    plan = path("plan.json")
    good("plan", SAMPLE, "--rule", "blk.*=rtn:type=q4_k", "--rule", "blk.0.attn_*=", "-o", plan)
    with open(plan, encoding="utf-8") as file:
        document = json.load(file)
    assert document["swage_plan"] == 1 and document["model"]["architecture"] == "llama"
    assert document["model"]["fingerprint"].startswith("sha256:")
    assert document["rules"][1] == {"layers": "blk.0.attn_*", "steps": []}
    assert "valid" in good("plan", "--check", plan, SAMPLE)
    assert good_json("plan", "--check", plan, SAMPLE)["bits_per_weight"] < 8
    bad(1, "exists", "plan", SAMPLE, "-o", plan)
    good("plan", SAMPLE, "--preset", "q4_k_m", "-o", plan, "--force")
    assert "q4_k_m" in good("plan", "--presets")
    text = good("plan", SAMPLE, "--preset", "q6_k")
    assert json.loads(text)["rules"]
    broken = path("broken.json")
    with open(broken, "w", encoding="utf-8") as file:
        file.write('{"swage_plan": 1,\n"rules": [{"layers": "*", "steps": [{"method": "rtn",\n"type": "q9"}]}]}')
    message = bad(1, "line 3", "plan", "--check", broken, SAMPLE)
    assert "type" in message and "q4_k" in message and broken in message
    bad(1, "magic", "preview", SAMPLE, "--text", short_text(), "--plan", "-",
        stdin=b'{"swage_plan": 1, "rules": [], "magic": 1}')


def test_reference_perplexity():
    """The figures of a float32 reference outside the project."""
    hf = good_json("preview", SAMPLE, "--text", EVAL, "--protocol", "hf", "--context", "512")
    assert abs(hf["perplexity"] / 33.689 - 1) < 1e-3, hf["perplexity"]
    assert hf["kld_mean"] == 0 and hf["top1_agreement"] == 1
    llama = good_json("preview", SAMPLE, "--text", EVAL, "--protocol", "llama.cpp", "--context", "512")
    assert abs(llama["perplexity"] / 41.919 - 1) < 1e-3, llama["perplexity"]


def test_preview_json():
    result = good_json("preview", SAMPLE, "--text", short_text(8000), "--context", "256", "--rule", "blk.*=rtn:type=q3_k")
    for key in ("perplexity", "perplexity_stderr", "baseline_perplexity", "kld_mean", "kld_p99", "top1_agreement", "bytes",
                "bits_per_weight", "tokens", "seconds", "tokens_per_second", "device", "protocol", "context", "peak_rss_bytes"):
        assert key in result, key
    assert result["device"] == "cpu" and result["protocol"] == "hf" and result["context"] == 256
    assert result["kld_mean"] > 0 and 0 < result["top1_agreement"] < 1
    assert result["tokens"] % 255 == 0
    human = good("preview", SAMPLE, "--text", short_text(8000), "--context", "256", "--rule", "blk.*=rtn:type=q3_k")
    assert "perplexity" in human and "KL" in human


def test_preview_families():
    for rule in ("magnitude:sparsity=0.3", "wanda:sparsity=0.5,pattern=2:4", "svd:by=size_ratio,size_ratio=0.6",
                 "svd:by=energy,energy=0.95+rtn:type=int,bits=8", "rtn:type=int,bits=4,group_size=64"):
        result = good_json("preview", SAMPLE, "--text", short_text(), "--context", "128", "--rule", f"blk.2.*={rule}")
        assert 0 < result["kld_mean"] < 1, (rule, result["kld_mean"])


def test_stories_agree():
    gguf = os.path.join(SHARED, "models", "stories260K-gguf", "stories260K.gguf")
    folder = os.path.join(SHARED, "models", "stories260K-hf")
    if not os.path.exists(gguf):
        raise Skip("the shared models are not here")
    text = os.path.join(SHARED, "text", "tinystories.val.txt")
    short = path("stories.txt")
    with open(text, "rb") as source, open(short, "wb") as target:
        target.write(source.read(60000))
    a, b = (good_json("preview", model, "--text", short, "--context", "256")["perplexity"] for model in (gguf, folder))
    assert abs(a / b - 1) < 1e-4, (a, b)


def sha256(name):
    with open(name, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def test_export_replays():
    """The same plan gives the same bytes, whatever the number of threads; the digest is that of the file."""
    plan = path("replay.json")
    good("plan", SAMPLE, "--rule", "*=rtn:type=q6_k", "--rule", "blk.*=wanda:sparsity=0.5+rtn:type=q4_k", "--force", "-o", plan)
    digests = set()
    for threads in ("1", "2"):
        out = path(f"replay-{threads}.gguf")
        result = good_json("export", SAMPLE, "--plan", plan, "--format", "gguf", "-o", out, "--threads", threads)
        assert result["bytes"] == os.path.getsize(out) and result["path"] == out
        assert result["sha256"] == sha256(out)
        digests.add(result["sha256"])
    assert len(digests) == 1, digests
    bad(1, "exists", "export", SAMPLE, "--plan", plan, "--format", "gguf", "-o", path("replay-1.gguf"))
    good("export", SAMPLE, "--plan", plan, "--format", "gguf", "-o", path("replay-1.gguf"), "--force")
    # and what was written is a model again, with the perplexity that the preview promised
    promised = good_json("preview", SAMPLE, "--plan", plan, "--text", short_text(8000), "--context", "256")
    measured = good_json("preview", path("replay-1.gguf"), "--text", short_text(8000), "--context", "256")
    assert abs(promised["perplexity"] / measured["perplexity"] - 1) < 1e-4, (promised, measured)


def test_export_safetensors():
    out = path("pruned")
    result = good_json("export", SAMPLE, "--rule", "blk.*=magnitude:sparsity=0.5", "--format", "safetensors", "-o", out)
    assert os.path.exists(os.path.join(out, "config.json")) and os.path.exists(os.path.join(out, "tokenizer.json"))
    again = good_json("info", out)
    assert again["architecture"] == "llama" and again["blocks"] == 8
    promised = good_json("preview", SAMPLE, "--rule", "blk.*=magnitude:sparsity=0.5", "--text", short_text(8000), "--context", "256")
    measured = good_json("preview", out, "--text", short_text(8000), "--context", "256")
    assert abs(promised["perplexity"] / measured["perplexity"] - 1) < 1e-4
    assert result["sha256"] and result["bytes"] > 0


def test_export_refuses():
    before = set(os.listdir(TMP))
    text = bad(1, "blk.0.ffn_up", "export", SAMPLE, "--rule", "blk.0.ffn_up=svd:by=rank,rank=16", "--format", "gguf", "-o",
               path("no.gguf"))
    assert "dense-type" in text or "GGUF" in text
    bad(1, "no-such", "export", SAMPLE, "--format", "gguf", "-o", path("no-such", "x.gguf"))
    assert set(os.listdir(TMP)) == before


def test_generate():
    args = ("generate", SAMPLE, "--prompt", "In the beginning", "-n", "12")
    a = good(*args)
    assert a.startswith("In the beginning") and len(a) > 20
    assert a == good(*args) == good(*args, "--threads", "1")
    warm = args + ("--temperature", "1.0")
    assert good(*warm, "--seed", "1") == good(*warm, "--seed", "1") != good(*warm, "--seed", "2")
    assert good(*args, "--rule", "blk.*=rtn:type=q2_k").startswith("In the beginning")


def test_tokenize():
    text = "And God said, Let there be light: and there was light.\n".encode()
    ids = good("tokenize", SAMPLE, stdin=text)
    assert re.fullmatch(r"\d+( \d+)*\n", ids)
    assert good("tokenize", SAMPLE, "--decode", stdin=ids.encode()).encode() == text
    assert good("tokenize", SAMPLE, stdin=b"") == "\n"
    bad(1, "no", "tokenize", SAMPLE, "--decode", stdin=b"1 no 2")
    bad(1, "999999", "tokenize", SAMPLE, "--decode", stdin=b"999999")


def test_devices():
    data = good_json("devices")
    assert data["cpu"]["threads"] >= 1 and data["cpu"]["kernels"] in ("portable", "avx2", "avx512", "avx512_bf16")
    assert isinstance(data["vulkan"], list)
    assert "cpu" in good("devices")


def test_bad_files():
    bad(1, "/nowhere", "info", "/nowhere")
    empty = path("empty")
    open(empty, "w").close()
    bad(1, "empty", "info", empty)
    text = path("text.txt")
    shutil.copy(EVAL, text)
    bad(1, "text.txt", "info", text)
    with open(os.path.join(SAMPLE, "model.safetensors"), "rb") as file:
        whole = file.read()
    for n in (0, 7, 8, 100, 5000, len(whole) - 1):
        folder = path(f"cut-{n}")
        os.mkdir(folder)
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(os.path.join(SAMPLE, name), folder)
        with open(os.path.join(folder, "model.safetensors"), "wb") as file:
            file.write(whole[:n])
        bad(1, "model.safetensors", "info", folder)
    strange = path("strange")
    os.mkdir(strange)
    with open(os.path.join(strange, "config.json"), "w", encoding="utf-8") as file:
        json.dump({"model_type": "perceptron-9000"}, file)
    shutil.copy(os.path.join(SAMPLE, "model.safetensors"), strange)
    assert "llama" in bad(1, "perceptron-9000", "info", strange)  # and says which are known
    mute = path("mute")
    os.mkdir(mute)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(os.path.join(SAMPLE, name), mute)
    assert json.loads(good("info", mute, "--json"))["tokenizer"]["model"] is None
    bad(1, "tokenizer", "preview", mute, "--text", EVAL)
    bad(1, "tokens", "preview", SAMPLE, "--text", short_text(50))
    bad(1, "/nowhere", "preview", SAMPLE, "--text", "/nowhere")
    bad(1, "/nowhere", "preview", SAMPLE, "--text", EVAL, "--plan", "/nowhere")


def test_interrupt():
    """SIGINT in the middle of an export: status 130, the old file untouched, nothing new."""
    folder = path("interrupt")
    os.mkdir(folder)
    out = os.path.join(folder, "model.gguf")
    with open(out, "w", encoding="utf-8") as file:
        file.write("the old one")
    hits = 0
    for delay in (0.02, 0.05, 0.1, 0.2, 0.4):
        process = subprocess.Popen([CLI, "export", SAMPLE, "--rule", "*=rtn:type=q2_k", "--format", "gguf", "-o", out, "--force",
                                    "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        message = process.communicate(timeout=60)[1].decode()
        if process.returncode == 130:
            hits += 1
            assert "nterrupted" in message, message
            with open(out, encoding="utf-8") as file:
                assert file.read() == "the old one"
        else:
            # before the signal was caught, or after the work was done
            assert process.returncode in (0, -signal.SIGINT), process.returncode
        assert os.listdir(folder) == ["model.gguf"], os.listdir(folder)
        if process.returncode == 0:
            break
    if hits == 0:
        raise Skip("the machine was too fast or too slow to be interrupted in the middle")


def test_kill():
    """kill -9 in the middle of an export: nothing half-written, here too."""
    folder = path("kill")
    os.mkdir(folder)
    out = os.path.join(folder, "model.gguf")
    for delay in (0.05, 0.1, 0.3):
        process = subprocess.Popen([CLI, "export", SAMPLE, "--rule", "*=rtn:type=q2_k", "--format", "gguf", "-o", out, "--force",
                                    "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()
        left = os.listdir(folder)
        assert left in ([], ["model.gguf"]), left
        if left:
            good("info", out)


def test_full_disk():
    if os.geteuid() != 0:
        raise Skip("a small file system can be mounted by root alone")
    mount = path("small")
    os.mkdir(mount)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount], capture_output=True).returncode != 0:
        raise Skip("no file system can be mounted here")
    try:
        bad(1, "space", "export", SAMPLE, "--format", "gguf", "-o", os.path.join(mount, "x.gguf"))
        assert os.listdir(mount) == []
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        bad(1, mount, "export", SAMPLE, "--format", "gguf", "-o", os.path.join(mount, "x.gguf"))
        bad(1, mount, "plan", SAMPLE, "-o", os.path.join(mount, "plan.json"))
    finally:
        subprocess.run(["umount", mount], check=True)


def test_manual():
    for args in ([], *([command] for command in COMMANDS)):
        text = good(*args, "--manual")
        assert text.startswith(".TH") and ".SH NAME" in text and ".SH EXIT STATUS" in text


def main():
    tests = [(name[5:].replace("_", "-"), function) for name, function in globals().items() if name.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}")
    for number, (name, function) in enumerate(tests, 1):
        try:
            function()
            print(f"ok {number} /cli/{name}", flush=True)
        except Skip as reason:
            print(f"ok {number} /cli/{name} # SKIP {reason}", flush=True)
        except Exception as error:  # a failed assertion, a hang, anything
            failed += 1
            print(f"not ok {number} /cli/{name}", flush=True)
            for line in f"{type(error).__name__}: {error}".splitlines()[:20]:
                print(f"# {line}", flush=True)
    shutil.rmtree(TMP, ignore_errors=True)
    sys.exit(1 if failed else 0)


main()
