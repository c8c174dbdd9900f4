"""Writes the DDPM paper's network for CIFAR-10, untrained, as an ONNX file for onnx_peer.mjs.

    export_onnx.py FILE.onnx [--width=128]        needs python3-torch
"""
import argparse
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "training"))
import peer_trainer  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--width", type=int, default=128)
    args = parser.parse_args()
    torch.manual_seed(0)
    network = peer_trainer.UNet(args.width).eval()
    rows = {0: "rows"}
    with torch.no_grad():
        torch.onnx.export(network, (torch.zeros(2, 3, 32, 32), torch.full((2,), 500.0)), args.file,
                          input_names=["x", "t"], output_names=["f"], opset_version=13,
                          dynamic_axes={"x": rows, "t": rows, "f": rows})


if __name__ == "__main__":
    main()
