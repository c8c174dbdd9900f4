#!/usr/bin/python3
"""Holds the formulas of server/README.md, "Capacity", against a server under load: the shipped model of
clothes, and `diffusionctl load`. Loopback only; ends what it starts.

  tests/benchmarks/capacity/capacity_benchmark.py [--build=build/dev] [--seconds=40] [--quick]

A calm load of requests alike tells how many network passes an image takes and what a pass costs. From
these two come the predictions for the loads that follow, of --seconds each, with times of sending drawn
at random. Measured are latencies by the load generator, from the intended time of sending, and the busy
part by /metrics. The last load is of two kinds and more than the server carries: images a second. The
load generator shares the cores; what other processes took of them is in the last column."""

import argparse
import csv
import dataclasses
import math
import os
import subprocess
import sys
import tempfile
import time

from capacity import Cost, Reading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from printed import line, processor  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
CALM = 0.3  # Parts of what the server carries.
LOADS = (0.5, 0.7, 0.85)
OVERLOAD = 1.3
LONG_SHARE = 0.2
COLUMNS = ("images/s", "ms a pass", "busy, predicted", "measured", "mean latency in ms, shared equally",
           "in order", "measured", "p99", "cores of others")


def parsed(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(SOURCE, "build/dev"))
    parser.add_argument("--bin", help="folder of the programs, if not BUILD/bin")
    parser.add_argument("--seconds", type=float, help="of each load; 40")
    parser.add_argument("--seed", type=int, default=1, help="of the times of sending")
    parser.add_argument("--quick", action="store_true", help="seconds: the numbers mean nothing")
    arguments = parser.parse_args(argv)
    arguments.seconds = arguments.seconds or (0.5 if arguments.quick else 40)
    arguments.bin = arguments.bin or os.path.join(arguments.build, "bin")
    return arguments


def find_programs(arguments):
    """Before diffusiond_process is imported, which asks for them."""
    os.environ["DIFFUSIOND_BIN_DIR"] = arguments.bin
    os.environ["DIFFUSIOND_SOURCE_DIR"] = SOURCE
    sys.path[:0] = [os.path.join(SOURCE, "tests/e2e"), os.path.join(arguments.build, "tests/e2e")]


def shipped_models(repository):
    os.symlink(os.path.join(SOURCE, "model/checkpoints"), repository)


class Cores:
    """Seconds that processors have worked for others than this benchmark and its children."""

    def __init__(self, server):
        self.begin, self.server = time.monotonic(), server
        self.others = self._others()

    def _others(self):
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:8])
        with open(f"/proc/{self.server.process.pid}/stat", encoding="ascii") as file:
            ours = sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        return ((user + nice + system + sum(interrupts) - ours) / os.sysconf("SC_CLK_TCK") -
                sum(os.times()[:4]))

    def of_others(self):
        """How many of them, on average since this was made."""
        return max(0.0, self._others() - self.others) / (time.monotonic() - self.begin)


class Load:
    """What one run of the load generator asked for, and what became of it."""

    def __init__(self, bench, mix, *flags):
        with tempfile.NamedTemporaryFile() as file:
            cores = Cores(bench.server)
            before = Reading.of(bench.server.metrics_text())
            reply = subprocess.run(
                [os.path.join(bench.arguments.bin, "diffusionctl"), "load", f"--mix={mix}",
                 f"--server={bench.server.address}", f"--seed={bench.arguments.seed}",
                 f"--csv={file.name}", *flags], text=True, capture_output=True, check=False)
            if reply.returncode != 0:
                sys.exit(f"failed: the load generator ended with {reply.returncode}:\n"
                         f"{reply.stdout[-2000:]}{reply.stderr[-2000:]}")
            self.change = Reading.of(bench.server.metrics_text()).since(before)
            self.cores_of_others = cores.of_others()
            with open(file.name, encoding="utf-8") as lines:
                rows = [row for row in csv.DictReader(lines) if row["outcome"] == "ok"]
        if not rows:
            sys.exit(f"failed: no request succeeded:\n{reply.stdout[-2000:]}")
        self.latencies = sorted(float(row["finished_s"]) - float(row["intended_s"]) for row in rows)
        self.images = len(rows)
        self.seconds = (max(float(row["finished_s"]) for row in rows) -
                        min(float(row["sent_s"]) for row in rows))

    @property
    def mean_latency(self):
        return sum(self.latencies) / self.images

    @property
    def p99(self):
        return self.latencies[math.ceil(0.99 * self.images) - 1]

    @property
    def busy(self):
        return self.change.busy_seconds / (self.change.workers * self.seconds)


class Bench:
    def __init__(self, arguments, server):
        self.arguments = arguments
        self.server = server
        self.short, self.long = (2, 5) if arguments.quick else (20, 250)
        self.alike = f"short steps={self.short} class=bag"

    def offer(self, rate):
        return Load(self, self.alike, f"--rate={rate}", f"--duration={self.arguments.seconds}s")

    def measure_cost(self):
        # The first warms up.
        for _ in range(2):
            one = Load(self, self.alike, "--requests=1", "--rate=1")
        calm = self.offer(CALM * Cost.of(one.change).capacity)
        self.cost = Cost.of(calm.change)
        return calm

    def row(self, load):
        # What was drawn, not what was asked for on average: an operator reads it off as well.
        cost, rate = self.cost, load.images / self.arguments.seconds
        seconds = (cost.latency(rate, cost.passes_an_image),
                   cost.latency_in_order(rate, cost.passes_an_image), load.mean_latency, load.p99)
        return [f"{rate:.2f}", f"{1e3 * Cost.of(load.change).seconds_a_pass:.3f}",
                f"{cost.busy(rate):.2f}", f"{load.busy:.2f}", *(f"{1e3 * one:.0f}" for one in seconds),
                f"{load.cores_of_others:.2f}"]

    def overload(self):
        """A load of two kinds; (passes an image, images a second predicted, measured, cores of
        others)."""
        mix = (f"{self.alike} weight={1 - LONG_SHARE}; "
               f"long steps={self.long} class=bag weight={LONG_SHARE}")
        longer = 1 - LONG_SHARE + LONG_SHARE * self.long / self.short
        load = Load(self, mix, f"--rate={OVERLOAD * self.cost.capacity / longer}",
                    f"--duration={self.arguments.seconds}s")
        # The kinds are not drawn in the parts asked for.
        passes = load.change.passes / load.images
        mixed = dataclasses.replace(self.cost, passes_an_image=passes)
        return passes, mixed.capacity, load.images / load.seconds, load.cores_of_others


def main():
    arguments = parsed(sys.argv[1:])
    find_programs(arguments)
    from diffusiond_process import Diffusiond
    with Diffusiond("--default_model=fashion-mnist", fill=shipped_models) as server:
        bench = Bench(arguments, server)
        print(f"{processor()}; load {os.getloadavg()[0]:.1f}; {arguments.seconds:g} s a load",
              flush=True)
        calm = bench.measure_cost()
        cost = bench.cost
        print(f"the calm load: {1e3 * cost.seconds_a_pass:.3f} ms a pass, {cost.passes_an_image:g} "
              f"passes an image, {cost.workers} worker: {cost.capacity:.2f} images/s at most\n"
              f"{cost.replicas(100, 0.7)} replicas for 100 images/s at 0.7; 64 images that wait: "
              f"{cost.backlog_seconds(64):.1f} s\n\n"
              f"{line(COLUMNS)}\n{line(['---'] * len(COLUMNS))}\n{line(bench.row(calm))}",
              flush=True)
        for part in LOADS:
            print(line(bench.row(bench.offer(part * cost.capacity))), flush=True)
        passes, predicted, measured, others = bench.overload()
        print(f"\nmore than it carries, of two kinds, {passes:.1f} passes an image: "
              f"{predicted:.2f} images/s predicted, {measured:.2f} measured; cores of others "
              f"{others:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
