#!/usr/bin/env python3
"""Runs hostile clients of one kind, one process each, until its standard input ends. Then it ends
them and prints the processor time that they took, in seconds.

  hostile_clients.py KIND --clients=N --grpc=HOST:PORT --metrics=HOST:PORT --http=HOST:PORT
      --counts=FILE

KIND `all` gives each client another kind; `burn` only takes --cpu seconds of processor time a
second, all together. --counts is a file of N records (events, bytes sent) as two float64 each."""

import argparse
import mmap
import multiprocessing
import os
import resource
import struct
import sys
import time

import bombs
from attack import Attack, Pace
from attack_kinds import KINDS

RECORD = struct.Struct("dd")


def parsed(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=[*KINDS, "all", "burn"])
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--addresses", type=int, default=1, help="that they come from")
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--http", required=True)
    parser.add_argument("--counts", required=True)
    parser.add_argument("--mbit", type=float, default=40, help="a second and client")
    parser.add_argument("--rate", type=float, default=100, help="events a second and client")
    parser.add_argument("--cpu", type=float, default=0)
    parser.add_argument("--nice", type=int, default=0, help="as nice(1)")
    return parser.parse_args(argv)


def split_address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def burn(share):
    """Takes `share` of one core, in pieces of two milliseconds."""
    while True:
        end = time.monotonic() + 0.002
        while time.monotonic() < end:
            pass
        if share < 1:
            time.sleep(0.002 * (1 - share) / max(share, 1e-3))


def attack_until_ended(run, attack):
    while True:
        try:
            run(attack)
        except OSError:
            attack.pace.spend_event()


def client(arguments, number, counts):
    if arguments.kind == "burn":
        burn(arguments.cpu / arguments.clients)

    def note(events=0, sent=0):
        before = RECORD.unpack_from(counts, number * RECORD.size)
        RECORD.pack_into(counts, number * RECORD.size, before[0] + events, before[1] + sent)

    names = list(KINDS) if arguments.kind == "all" else [arguments.kind]
    attack = Attack(split_address(arguments.grpc), split_address(arguments.metrics),
                    split_address(arguments.http), f"127.0.1.{1 + number % arguments.addresses}",
                    number, Pace(arguments.mbit * 1e6 / 8, arguments.rate, note))
    attack_until_ended(KINDS[names[number % len(names)]].run, attack)


def main():
    arguments = parsed(sys.argv[1:])
    with open(arguments.counts, "w+b") as file:
        file.truncate(RECORD.size * arguments.clients)
        counts = mmap.mmap(file.fileno(), 0)
    if arguments.kind == "all" or arguments.kind in KINDS and KINDS[arguments.kind].takes_bombs:
        bombs.make_all()
    os.nice(arguments.nice)
    fork = multiprocessing.get_context("fork")
    clients = [fork.Process(target=client, args=(arguments, number, counts), daemon=True)
               for number in range(arguments.clients)]
    for process in clients:
        process.start()
    print("attacking", flush=True)
    while os.read(0, 4096):
        pass
    for process in clients:
        process.terminate()
    for process in clients:
        process.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime)


if __name__ == "__main__":
    main()
