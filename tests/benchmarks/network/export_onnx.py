"""Writes a network, untrained, as an ONNX file for onnx_peer.mjs: the DDPM paper's for CIFAR-10, or
that of the shipped model of clothes.

    export_onnx.py FILE.onnx [--network=cifar|clothes]        needs python3-torch
"""
import argparse
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "training"))
import peer_trainer  # noqa: E402

SHAPES = {"cifar": peer_trainer.Shape(128), "clothes": peer_trainer.ClothesShape(32)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--network", choices=SHAPES, default="cifar")
    args = parser.parse_args()
    torch.manual_seed(0)
    shape = SHAPES[args.network]
    network = peer_trainer.UNet(shape).eval()
    print(sum(parameter.numel() for parameter in network.parameters()), "parameters")
    inputs = {"x": torch.zeros(2, shape.channels, shape.side, shape.side),
              "t": torch.full((2,), 500.0)}
    if shape.classes:
        inputs["label"] = torch.ones(2, dtype=torch.int64)
    with torch.no_grad():
        torch.onnx.export(network, tuple(inputs.values()), args.file, input_names=list(inputs),
                          output_names=["f"], opset_version=13,
                          dynamic_axes={name: {0: "rows"} for name in (*inputs, "f")})


if __name__ == "__main__":
    main()
