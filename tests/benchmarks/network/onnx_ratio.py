"""ONNX Runtime's milliseconds an image over ours: the DDPM paper's network for CIFAR-10 and the
shipped model of clothes', in turn, the least of several rounds each.

    npm install --ignore-scripts onnxruntime-node      # in any folder
    apt-get install python3-torch                      # export_onnx.py
    onnx_ratio.py --build=build/release --modules=FOLDER/node_modules [--rounds=4]
"""
import argparse
import itertools
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NETWORKS = {  # Image, checkpoint that network_benchmark reads.
    "clothes": ("1x28x28", [HERE.parents[2] / "model" / "checkpoints" / "fashion-mnist"]),
    "cifar": ("3x32x32", []),
}


def milliseconds(command, folder=None):
    return float(subprocess.run(command, cwd=folder, check=True, capture_output=True,
                                text=True).stdout.split()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--modules", required=True)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    args = parser.parse_args()
    ours = pathlib.Path(args.build).resolve() / "bin" / "network_benchmark"
    with tempfile.TemporaryDirectory() as scratch:
        # Node looks for modules beside the script.
        peer = shutil.copy(HERE / "onnx_peer.mjs", scratch)
        (pathlib.Path(scratch) / "node_modules").symlink_to(pathlib.Path(args.modules).resolve())
        print(f"{'network':8} {'threads':8} {'rows':>5} {'ours, ms/row':>14} "
              f"{'ONNX, ms/row':>14} {'ratio':>6}")
        for network, (sides, checkpoint) in NETWORKS.items():
            model = pathlib.Path(scratch) / f"{network}.onnx"
            subprocess.run(["/usr/bin/python3", HERE / "export_onnx.py", model,
                            f"--network={network}"], check=True, capture_output=True)
            for threads, rows in itertools.product(args.threads, (1, 2, 8)):
                least = [1e9, 1e9]
                for _ in range(args.rounds):
                    least[0] = min(least[0], milliseconds(
                        [ours, f"--threads={threads}", f"--rows={rows}", *checkpoint]))
                    least[1] = min(least[1], milliseconds(
                        ["node", peer, model, sides, str(threads), str(rows)], scratch))
                print(f"{network:8} {threads:<8} {rows:5} {least[0]:14.2f} {least[1]:14.2f} "
                      f"{least[1] / least[0]:6.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
