#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our files against llama.cpp's own, in llama.cpp.

    against-llama.py BIN [--cli SWAGE-CLI] [--model FOLDER] [--text FOLDER] [--method gptq] [--params K=V,…] [TYPE…]

BIN is the folder of a llama.cpp build with llama-quantize, llama-imatrix and llama-perplexity. For each type the
model is written twice at that one type ("--pure", the token table included): by llama-quantize with an importance
matrix that llama-imatrix made from kjv.calibration.txt, and by swage-cli with METHOD calibrated on the same text.
Both run through llama-perplexity --kl-divergence on kjv.eval.txt, against the logits of the 32-bit model. Prints one row
for each type: bytes of both files, mean KL divergence of both, their ratio.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TYPES = ["q2_k", "q3_k", "q4_k", "q5_k", "q4_0", "iq4_nl"]


def run(command, folder):
    """Standard output and error together; ends the program when the command fails."""
    env = dict(os.environ)
    env["LD_LIBRARY_PATH"] = folder + ":" + env.get("LD_LIBRARY_PATH", "")
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode != 0:
        sys.exit("%s\nended with %d:\n%s" % (" ".join(command), done.returncode, done.stdout[-2000:]))
    return done.stdout


class Bench:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.f32 = os.path.join(work, "f32.gguf")
        self.logits = os.path.join(work, "logits.bin")
        self.imatrix = os.path.join(work, "imatrix.gguf")
        self.calibration = os.path.join(args.text, "kjv.calibration.txt")
        self.eval = os.path.join(args.text, "kjv.eval.txt")

    def llama(self, program, *options):
        return run([os.path.join(self.args.bin, program), *options], self.args.bin)

    def prepare(self):
        """What all types share: the model in 32 bits, its logits, the importance matrix."""
        if not os.path.exists(self.f32):
            run([self.args.cli, "export", self.args.model, "--format", "gguf", "--dense-type", "f32", "--rule", "*=rtn:type=f32",
                 "-f", "-o", self.f32], self.args.bin)
        if not os.path.exists(self.logits):
            self.llama("llama-perplexity", "-m", self.f32, "-f", self.eval, "-c", "512", "--kl-divergence-base", self.logits,
                       "--chunks", str(self.args.chunks))
        if not os.path.exists(self.imatrix):
            self.llama("llama-imatrix", "-m", self.f32, "-f", self.calibration, "-c", "512", "-o", self.imatrix)

    def measure(self, path):
        """(bytes, mean KL divergence, perplexity)"""
        for _ in range(5):  # on a busy machine its last lines get lost now and then: it leaves before its logger is done
            text = self.llama("llama-perplexity", "-m", path, "--kl-divergence", "--kl-divergence-base", self.logits,
                              "-t", str(self.args.threads))
            divergence = re.search(r"Mean\s+KLD:\s*([-0-9.e]+)", text)
            perplexity = re.search(r"Mean PPL\(Q\)\s*:\s*([0-9.]+)", text)
            if divergence is not None and perplexity is not None:
                break
        else:
            sys.exit("llama-perplexity printed no KL divergence:\n" + text[-2000:])
        return os.path.getsize(path), float(divergence.group(1)), float(perplexity.group(1))

    def theirs(self, name):
        path = os.path.join(self.work, "llama-%s.gguf" % name)
        if not os.path.exists(path):
            self.llama("llama-quantize", "--pure", "--imatrix", self.imatrix, self.f32, path, name.upper())
        return self.measure(path)

    def ours(self, name):
        path = os.path.join(self.work, "ours-%s.gguf" % name)
        params = "type=" + name + ("," + self.args.params if self.args.params else "")
        run([self.args.cli, "export", self.args.model, "--format", "gguf", "--rule", "*=%s:%s" % (self.args.method, params),
             "--calibration", self.calibration, "-f", "-o", path], self.args.bin)
        return self.measure(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin")
    parser.add_argument("types", nargs="*", default=TYPES)
    parser.add_argument("--cli", default=os.path.join(ROOT, "build", "app", "swage-cli"))
    parser.add_argument("--model", default=os.path.join(ROOT, "data", "sample"))
    parser.add_argument("--text", default=os.path.join(ROOT, "data", "sample"), help="holds the kjv texts")
    parser.add_argument("--method", default="gptq")
    parser.add_argument("--params", default="", help="further parameters of the method")
    parser.add_argument("--threads", type=int, default=1, help="of llama-perplexity, which spins while it waits")
    parser.add_argument("--chunks", type=int, default=-1, help="windows of the text to measure on; all by default")
    parser.add_argument("--keep", help="folder for the files; what is there already is not made again")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.keep or temporary
        os.makedirs(work, exist_ok=True)
        bench = Bench(args, work)
        bench.prepare()
        print("%-8s %10s %10s %11s %11s %8s %9s %9s" % ("type", "bytes", "theirs", "KLD", "theirs", "ratio", "PPL", "theirs"))
        for name in args.types:
            theirs, ours = bench.theirs(name), bench.ours(name)
            print("%-8s %10d %10d %11.6f %11.6f %8.3f %9.3f %9.3f"
                  % (name, ours[0], theirs[0], ours[1], theirs[1], ours[1] / theirs[1], ours[2], theirs[2]), flush=True)


if __name__ == "__main__":
    main()
