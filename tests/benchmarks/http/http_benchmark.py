#!/usr/bin/python3
"""What the HTTP front costs: previews, in images that are not drawn meanwhile, and streams that wait, in
memory and threads. The shipped model of clothes; loopback only; ends what it starts.

  tests/benchmarks/http/http_benchmark.py [--build=build/dev] [--rounds=12] [--streams=1000] [--quick]

Previews: --images of --steps steps are asked for in one request, as server-sent events, in turn without
previews and with both kinds at every step, as the gallery asks. The client is a process of its own that
counts events by their names and looks at nothing else; it shares the cores, and its processor time is
printed beside the server's.

Streams that wait: --streams requests, each over its own connection, stand in the queue behind a few
that take long. Resident memory and threads are told before and with them; then all close."""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "../hostile")]
from attacked_server import ProcessReadings  # noqa: E402
from printed import line, processor  # noqa: E402

EVENTS = (b"event: progress", b"event: preview", b"event: image", b"event: completed")
LONGEST = max(map(len, EVENTS))
LONG_STREAMS = 2  # Of images enough for minutes.
LONG_STEPS = 1000
RESIDENT = 32
MOST_LOST = 0.05  # Of the throughput.
MOST_MIB_MORE = 50
ROOM = 200  # Connections and images beside those that wait.


def parsed(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(SOURCE, "build/dev"))
    parser.add_argument("--bin", help="folder of diffusiond, if not BUILD/bin")
    parser.add_argument("--images", type=int, help="of a request; 64")
    parser.add_argument("--steps", type=int, help="of an image; 20")
    parser.add_argument("--rounds", type=int, help="of one request without previews and one with; 12")
    parser.add_argument("--streams", type=int, help="that wait; 1000")
    parser.add_argument("--quick", action="store_true", help="seconds: the numbers mean nothing")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    whole, quick = (64, 20, 12, 1000), (4, 2, 1, 20)
    for name, value in zip(("images", "steps", "rounds", "streams"), quick if arguments.quick else whole):
        setattr(arguments, name, getattr(arguments, name) or value)
    return arguments


def find_programs(arguments):
    """Before diffusiond_process is imported, which asks for them."""
    os.environ["DIFFUSIOND_BIN_DIR"] = arguments.bin or os.path.join(arguments.build, "bin")
    os.environ["DIFFUSIOND_SOURCE_DIR"] = SOURCE
    sys.path[:0] = [os.path.join(SOURCE, "tests/e2e"), os.path.join(arguments.build, "tests/e2e")]


def shipped_models(repository):
    os.symlink(os.path.join(SOURCE, "model/checkpoints"), repository)


def asked(address, request):
    """A socket on which the events of a request come, and then its end."""
    host, _, port = address.rpartition(":")
    stream = socket.create_connection((host, int(port)))
    body = json.dumps(request)
    stream.sendall(f"POST /v1/generate HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n"
                   f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                   f"Connection: close\r\n\r\n{body}".encode())
    return stream


def counted_events(stream):
    """How many of each of EVENTS came until the end, and bytes."""
    counts, size = [0] * len(EVENTS), 0
    # What may be the beginning of a name stays in front of what comes.
    kept = LONGEST - 1
    buffer = bytearray(kept + (1 << 18))
    free = memoryview(buffer)[kept:]
    while received := stream.recv_into(free):
        end = kept + received
        for number, name in enumerate(EVENTS):
            counts[number] += buffer.count(name, kept - len(name) + 1, end)
        buffer[:kept] = buffer[end - kept:end]
        size += received
    return counts, size


def serve_as_client(address):
    """Each line of standard input is a request; its answer, a line of what it took."""
    for text in sys.stdin:
        begin, cpu = time.monotonic(), time.process_time()
        with asked(address, json.loads(text)) as stream:
            counts, size = counted_events(stream)
        print(json.dumps({"seconds": time.monotonic() - begin, "cpu": time.process_time() - cpu,
                          "bytes": size, **{name.decode().split()[1]: count
                                            for name, count in zip(EVENTS, counts)}}), flush=True)


class Client:
    """A context manager: the process of serve_as_client."""

    def __init__(self, address):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), f"--client={address}"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        with self.process:
            self.process.stdin.close()

    def draw(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline() or sys.exit("failed: the client ended"))


class Sums:
    """Of some requests alike."""

    def __init__(self):
        self.took = []
        self.cpu = 0.0  # The server's.

    def add(self, took, cpu, images):
        if took["image"] != images or took["completed"] != 1:
            sys.exit(f"failed: {took['image']} images of {images} came, completed: "
                     f"{took['completed']}")
        self.took.append(took)
        self.cpu += cpu

    def of(self, name):
        return sum(took[name] for took in self.took)


def measure_previews(arguments, server, client):
    """Sums without previews, and with."""
    readings = ProcessReadings(server.process.pid)
    plain, shown = Sums(), Sums()

    def draw(sums, seed, more):
        cpu = readings.cpu_seconds()
        took = client.draw({"count": arguments.images, "className": "bag", "seed": str(seed),
                            "sampling": {"steps": arguments.steps}, **more})
        sums.add(took, readings.cpu_seconds() - cpu, arguments.images)

    previews = {"preview": {"everySteps": 1, "kind": "PREVIEW_KIND_BOTH"}}
    for warm_up in ({}, previews):
        draw(Sums(), 0, warm_up)
    for seed in range(1, arguments.rounds + 1):
        draw(plain, seed, {})
        draw(shown, seed, previews)
    return plain, shown


def print_previews(arguments, plain, shown):
    images = arguments.images * arguments.rounds
    print(f"{arguments.images} images of {arguments.steps} steps in one request, {arguments.rounds} "
          "times each in turn\n")
    columns = ("", "without previews", "both kinds at every step", "ratio")
    print(f"{line(columns)}\n{line(['---'] * len(columns))}")

    def row(name, of, form):
        values = of(plain), of(shown)
        ratio = f"{values[1] / values[0]:.3f}" if values[0] else ""
        print(line([name, *(format(value, form) for value in values), ratio]))

    row("images/s", lambda sums: images / sums.of("seconds"), ".2f")
    row("server's processor, ms an image", lambda sums: 1e3 * sums.cpu / images, ".2f")
    row("client's processor, ms an image", lambda sums: 1e3 * sums.of("cpu") / images, ".2f")
    row("events of progress, an image", lambda sums: sums.of("progress") / images, ".1f")
    row("previews, an image", lambda sums: sums.of("preview") / images, ".1f")
    row("KiB an image", lambda sums: sums.of("bytes") / images / 1024, ".1f")
    pairs = [1 - one["seconds"] / other["seconds"] for one, other in zip(plain.took, shown.took)]
    print(f"\npreviews cost {statistics.median(pairs):.1%} of the throughput (the median of rounds, which "
          f"are {min(pairs):.1%} .. {max(pairs):.1%}), target at most {MOST_LOST:.0%}", flush=True)


class Streams:
    """Requests of `count` images that take long, each over its own connection. A context manager."""

    def __init__(self, server, streams, count, priority):
        self.sockets = []
        self.server, self.streams, self.count, self.priority = server, streams, count, priority

    def __enter__(self):
        for seed in range(self.streams):
            request = {"count": self.count, "className": "bag", "seed": str(seed),
                       "priority": self.priority, "sampling": {"steps": LONG_STEPS}}
            self.sockets.append(asked(self.server.http_address, request))
        for stream in self.sockets:
            self._await_acceptance(stream)
        return self

    def __exit__(self, *unused):
        for stream in self.sockets:
            stream.close()

    @staticmethod
    def _await_acceptance(stream):
        text = b""
        while b"event: accepted" not in text or not text.endswith(b"\r\n"):
            received = stream.recv(1 << 16)
            if not received:
                sys.exit(f"failed: a stream ended: {text[-500:].decode(errors='replace')}")
            text += received

    def silent(self):
        """How many were told nothing since they were accepted."""
        found = 0
        for stream in self.sockets:
            stream.setblocking(False)
            try:
                stream.recv(1)
            except BlockingIOError:
                found += 1
        return found


def settled(readings):
    """(resident MiB, threads), once both stay as they are for a second."""
    last, since = None, 0.0
    while last is None or time.monotonic() < since + 1:
        now = round(readings.resident_mib(), 1), readings.threads()
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.1)
    return last


def measure_streams(arguments, eventually, server):
    readings = ProcessReadings(server.process.pid)
    waiting, resident, in_flight = ("diffusiond_waiting_trajectories", "diffusiond_resident_trajectories",
                                    "diffusiond_requests_in_flight")
    with Streams(server, LONG_STREAMS, 64, "PRIORITY_NORMAL"):
        eventually(lambda: server.metric(resident) > 0, "the long ones are drawn")
        before = settled(readings)
        with Streams(server, arguments.streams, 1, "PRIORITY_LOW") as streams:
            within = settled(readings)
            queued, silent = server.metric(waiting), streams.silent()
        eventually(lambda: server.metric(in_flight) == LONG_STREAMS, "no closed stream is in flight")
        queued -= server.metric(waiting)
    eventually(lambda: server.metric(waiting) + server.metric(resident) + server.metric(in_flight) == 0,
               "nothing is left")
    after = settled(readings)
    if queued != arguments.streams or silent != arguments.streams:
        sys.exit(f"failed: of {arguments.streams} streams {queued:g} waited until they closed, {silent} "
                 "were told nothing")
    print(f"\n{arguments.streams} streams that wait, each over its own connection\n")
    columns = ("", "before", "with them", "after", "more", "target at most")
    print(f"{line(columns)}\n{line(['---'] * len(columns))}")
    for name, index, form, most in (("resident, MiB", 0, ".1f", MOST_MIB_MORE), ("threads", 1, "d", 0)):
        values = before[index], within[index], after[index], within[index] - before[index]
        print(line([name, *(format(value, form) for value in values), str(most)]))
    print(f"{(within[0] - before[0]) * 1024 / arguments.streams:.1f} KiB a stream; when they closed, "
          "nothing was left in the queue or in flight", flush=True)


def main():
    arguments = parsed(sys.argv[1:])
    if arguments.client:
        serve_as_client(arguments.client)
        return 0
    find_programs(arguments)
    from diffusiond_process import Diffusiond, eventually
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    room = arguments.streams + ROOM
    print(f"{processor()}; load {os.getloadavg()[0]:.1f}", flush=True)
    with Diffusiond("--default_model=fashion-mnist", fill=shipped_models) as server:
        with Client(server.http_address) as client:
            print_previews(arguments, *measure_previews(arguments, server, client))
    # So few places that who waits goes on waiting.
    with Diffusiond("--default_model=fashion-mnist", f"--max_http_connections={room}",
                    f"--max_http_connections_per_address={room}",
                    f"--max_connections_per_second_per_address={room}", f"--max_queued_images={room}",
                    "--queue_share=1", f"--max_resident_images={RESIDENT}", "--priority_ageing=1h",
                    fill=shipped_models) as server:
        with Client(server.http_address) as client:
            client.draw({"className": "bag", "sampling": {"steps": 2}})
        measure_streams(arguments, eventually, server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
