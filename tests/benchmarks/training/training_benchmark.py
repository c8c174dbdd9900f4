#!/usr/bin/env python3
"""Images a second of diffusion-train against PyTorch's own step, in one run: the same network,
batch and optimiser (AdamW, gradient clipping, EMA) on the same threads, in turn.

  tests/benchmarks/training/training_benchmark.py [--binary=build/dev/bin/diffusion-train] [--quick]

The network is the DDPM paper's for 3x32x32 at two widths. Prints the median of each side and the
ratio; needs python3-torch (Debian) for the other side. Nothing else should run meanwhile.

On a GPU: --device=cuda --settings=32:128:100,128:128:50. There each side is measured in float32, then
as one tunes it: bf16, channels-last, fused AdamW, and for us the step as a CUDA graph, which
PyTorch's users write by hand and the peer does not."""
import argparse
import json
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from printed import processor  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def write_png(path, rng):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + rng.randbytes(3 * 32) for _ in range(32))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def parameters_of(checkpoint):
    with open(checkpoint / "unet" / "diffusion_pytorch_model.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            count = 1
            for size in tensor["shape"]:
                count *= size
            total += count
    return total


# Of the two sides: in float32, and tuned for a GPU.
MODES = {"": ([], []),
         "tuned": (["--bf16", "--channels_last", "--cuda_graph"], ["--fast"])}


def ours(binary, data, out, width, batch, steps, threads, flags):
    subprocess.run(
        [binary, f"--data={data}", f"--out={out}", "--held_out=0", f"--threads={threads}",
         f"--channels={width},{2 * width},{2 * width},{2 * width}", "--layers_per_block=2",
         "--attention_at=16", f"--attention_head_dim={2 * width}", "--norm_num_groups=32",
         f"--batch_size={batch}", f"--steps={steps}", "--log_every=1", "--sample_every=0",
         "--eval_every=0", "--save_every=0", "--sampler_steps=1", "--noreport", *flags],
        check=True, stdout=subprocess.DEVNULL)
    points = [json.loads(line) for line in open(out / "log.jsonl")]
    # The first step sets up kernels and buffers.
    return [p["images_per_second"] for p in points[1:]], parameters_of(out / "checkpoint")


def theirs(python, width, batch, steps, threads, flags):
    run = subprocess.run([python, HERE / "peer_trainer.py", f"--width={width}", f"--batch={batch}",
                          f"--steps={steps}", f"--threads={threads}", *flags],
                         check=True, capture_output=True, text=True)
    lines = run.stdout.split()
    return [batch / float(seconds) for seconds in lines[2:]], int(lines[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="build/dev/bin/diffusion-train")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--settings", default="32:32:8,128:16:3", help="width:batch:steps, ...")
    parser.add_argument("--quick", action="store_true",
                        help="as short as it can be; the numbers mean nothing")
    args = parser.parse_args()
    if args.quick:
        args.settings, args.rounds = "32:1:1", 1
    print_processor(args)
    peer = subprocess.run([args.python, "-c", "import torch"], capture_output=True).returncode == 0
    if not peer:
        print(f"no PyTorch in {args.python} (python3-torch): only one side is measured")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "data").mkdir()
        rng = random.Random(1)
        for i in range(128):
            write_png(scratch / "data" / f"{i}.png", rng)
        for setting in args.settings.split(","):
            for mode in MODES if args.device != "cpu" else [""]:
                compare(args, peer, scratch, setting, mode)


def print_processor(args):
    print(f"{processor()}{'; --quick: the numbers mean nothing' if args.quick else ''}", flush=True)


def compare(args, peer, scratch, setting, mode):
    width, batch, steps = (int(part) for part in setting.split(":"))
    flags, peer_flags = ([f"--device={args.device}"] + tuned for tuned in MODES[mode])
    rates, peer_rates = [], []
    for turn in range(args.rounds):
        got, parameters = ours(args.binary, scratch / "data", scratch / f"{width}-{mode}-{turn}",
                               width, batch, steps + 1, args.threads, flags)
        rates += got
        if peer:
            got, peer_parameters = theirs(args.python, width, batch, steps + 1, args.threads,
                                          peer_flags)
            peer_rates += got
            if peer_parameters != parameters:
                sys.exit(f"not the same network: {parameters} and {peer_parameters} parameters")
    if not rates:
        sys.exit("failed: no step was measured")
    where = f"{args.threads} threads" if args.device == "cpu" else f"{args.device} {mode}".strip()
    line = (f"width {width}, batch {batch}, {where}, {parameters} parameters: "
            f"{statistics.median(rates):.2f} images/s")
    if peer:
        line += (f"; PyTorch {statistics.median(peer_rates):.2f}; ratio "
                 f"{statistics.median(rates) / statistics.median(peer_rates):.2f}")
    print(line, flush=True)


if __name__ == "__main__":
    main()
