#!/usr/bin/env python3
"""An honest client that asks for one thing again and again, and writes a line for each answer: when
it began (time.monotonic), how long it took, and 1 if it was good, else 0 and why.

  probes.py images|health|scrape --grpc=HOST:PORT --metrics=HOST:PORT"""

import argparse
import itertools
import time
import urllib.request

import grpc

import health_pb2
import health_pb2_grpc
from diffusiond.v1 import diffusion_pb2 as pb
from diffusiond.v1 import diffusion_pb2_grpc

PAUSE_SECONDS = {"images": 0.01, "health": 0.02, "scrape": 0.2}
TIMEOUT_SECONDS = 20


def asker(arguments):
    """A function that asks once; raises if there is no good answer."""
    if arguments.what == "scrape":
        url = f"http://{arguments.metrics}/metrics"
        return lambda: urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS).read()
    channel = grpc.insecure_channel(arguments.grpc)
    if arguments.what == "health":
        health, request = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest()
        return lambda: health.Check(request, timeout=TIMEOUT_SECONDS)
    stub, seeds = diffusion_pb2_grpc.DiffusionServiceStub(channel), itertools.count()
    return lambda: stub.GenerateImages(
        pb.GenerateRequest(class_id=3, count=1,
                           sampling={"sampler": "ddim", "steps": arguments.steps},
                           seed=next(seeds)), timeout=TIMEOUT_SECONDS)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=PAUSE_SECONDS)
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--steps", type=int, default=5)
    arguments = parser.parse_args()
    ask = asker(arguments)
    while True:
        begin, fault = time.monotonic(), "1"
        try:
            ask()
        except grpc.RpcError as error:
            fault = f"0 {error.code().name}: {error.details()}".replace("\n", " ")
        except OSError as error:
            fault = f"0 {error}"
        print(begin, time.monotonic() - begin, fault, flush=True)
        time.sleep(PAUSE_SECONDS[arguments.what])


if __name__ == "__main__":
    main()
