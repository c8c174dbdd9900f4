#!/usr/bin/python3
"""What an honest client of diffusiond notices of hostile ones: its p99 under attack over its p99 in
quiet, kind by kind and all kinds together. Loopback only; ends what it starts.

  tests/benchmarks/hostile/hostile_benchmark.py [--build=build/dev] [--quick] [--kinds=a,b]

The honest client comes from 127.0.0.1 and asks for one image of --steps steps after the other; the
hostile ones, --clients processes, come from --addresses others. Each sends at most --mbit and
--rate events (calls, connections or frames, whatever the attack is made of) a second: 24 times 40
Mbit/s fill a link of one gigabit. They run on the server's own cores, with what it leaves (--nice):
strangers bring processors of their own. And each kind is followed by a control: as many processes
take the same processor time, as nicely, and ask for nothing; "by control" is the ratio to that.

Quiet is measured at the start, and after each kind; the p99 of all of it is what ratios are to, and
its spread is printed. The server runs with its default flags, but for a micro-batch that is the same in
each run, and a network of 300,000 parameters.
With some fifty answers a kind, p99 is the slowest. Nothing else should run meanwhile."""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from printed import line, processor  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
LEAST_SHARE = 0.005  # Of a core: with less there is nothing to control for.
COLUMNS = ("kind", "events/s", "Mbit/s", "client CPU", "server CPU", "p50 ms", "p99 ms", "by quiet",
           "by control", "failed", "health ms", "scrape ms", "threads", "MiB before", "peak",
           "after", "log KiB")


def parsed(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(SOURCE, "build/dev"))
    parser.add_argument("--bin", help="folder of diffusiond, if not BUILD/bin")
    parser.add_argument("--quick", action="store_true", help="under a minute: short, no controls")
    parser.add_argument("--kinds", help="with commas between; all if absent")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--addresses", type=int, default=1)
    parser.add_argument("--mbit", type=float, default=40)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--nice", type=int, default=19, help="of the hostile clients; 0: as others")
    parser.add_argument("--seconds", type=float, help="of each attack and control; 10")
    parser.add_argument("--settle", type=float, help="seconds from an attack to what follows; 3")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--server_flags", default="", help="more flags of diffusiond, with spaces")
    arguments = parser.parse_args(argv)
    arguments.seconds = arguments.seconds or (0.6 if arguments.quick else 10)
    arguments.settle = arguments.settle or (0.3 if arguments.quick else 3)
    return arguments


def find_programs(arguments):
    """Before diffusiond_process is imported, which asks for them."""
    os.environ["DIFFUSIOND_BIN_DIR"] = arguments.bin or os.path.join(arguments.build, "bin")
    os.environ["DIFFUSIOND_SOURCE_DIR"] = SOURCE
    folders = [HERE, os.path.join(SOURCE, "tests/e2e"), os.path.join(arguments.build, "tests/e2e")]
    sys.path[:0] = folders
    os.environ["PYTHONPATH"] = ":".join(folders)


def quantile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


class Probe:
    """A process that asks honestly; see probes.py."""

    def __init__(self, what, server, steps):
        self.lines = tempfile.NamedTemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "probes.py"), what, f"--grpc={server.address}",
             f"--metrics={server.metrics_address}", f"--steps={steps}"], stdout=self.lines)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.lines.close()

    def assert_asks(self):
        """It goes on as long as the benchmark; its own fault is on standard error."""
        if self.process.poll() is not None:
            sys.exit(f"failed: a probe ended with {self.process.returncode}")

    def answers(self):
        """[(when it was asked, seconds, fault or None)]."""
        found = []
        with open(self.lines.name, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    begin, seconds, good, *fault = line.rstrip("\n").split(" ", maxsplit=3)
                    found.append((float(begin), float(seconds),
                                  None if good == "1" else " ".join(fault) or "no reason"))
        return found

    def asked_within(self, begin, end):
        """Waits for the answer to the last question of that time."""
        pause = threading.Event()
        while not any(asked > end for asked, _, _ in self.answers()[-1:]):
            self.assert_asks()
            pause.wait(0.05)
        return [answer for answer in self.answers() if begin <= answer[0] <= end]


class Window:
    """What the probes and the process saw in some seconds."""

    def __init__(self, bench, seconds):
        begin, cpu = time.monotonic(), bench.readings.cpu_seconds()
        self.peak, self.threads = 0.0, 0
        while time.monotonic() < begin + seconds:
            self.peak = max(self.peak, bench.readings.resident_mib())
            self.threads = max(self.threads, bench.readings.threads())
            time.sleep(0.05)
        end = time.monotonic()
        self.seconds = end - begin
        self.server_cpu = (bench.readings.cpu_seconds() - cpu) / self.seconds
        self.seen = {what: probe.asked_within(begin, end) for what, probe in bench.probes.items()}

    def times(self, what="images"):
        """Milliseconds; those of failures too: their client waited as well."""
        return [seconds * 1e3 for _, seconds, _ in self.seen[what]]

    def faults(self, what):
        return [fault for _, _, fault in self.seen[what] if fault]

    def p99(self):
        return quantile(self.times(), 0.99)


class Bench:
    def __init__(self, arguments, server):
        from attacked_server import HostileClients, ProcessReadings
        self.hostile_clients = HostileClients
        self.arguments = arguments
        self.server = server
        self.readings = ProcessReadings(server.process.pid)
        self.probes = {what: Probe(what, server, arguments.steps)
                       for what in ("images", "health", "scrape")}
        self.quiet = []
        self.rows = []

    def attackers(self, kind, *flags):
        arguments = self.arguments
        return self.hostile_clients(kind, self.server, arguments.clients, *flags,
                                    f"--addresses={arguments.addresses}",
                                    f"--nice={arguments.nice}",
                                    f"--mbit={arguments.mbit}", f"--rate={arguments.rate}")

    def warm_up(self):
        """Every kind of good request, so that what is set up once is there."""
        for probe in self.probes.values():
            while len(probe.answers()) < 3:
                probe.assert_asks()
                time.sleep(0.05)
        self.rest()
        self.quiet.append(Window(self, self.arguments.seconds))
        self.resident_at_start = self.readings.resident_mib()

    def rest(self):
        time.sleep(self.arguments.settle)

    def run(self, kind):
        before, log = self.readings.resident_mib(), os.path.getsize(self.server.log_path)
        clients = self.attackers(kind)
        with clients:
            window = Window(self, self.arguments.seconds)
            done = clients.done()
        self.rest()
        after = self.readings.resident_mib()
        row = {"kind": kind, "window": window, "before": before, "after": after,
               "events": sum(events for events, _ in done) / window.seconds,
               "mbit": sum(sent for _, sent in done) * 8e-6 / window.seconds,
               "cpu": clients.cpu_seconds / window.seconds,
               "log": (os.path.getsize(self.server.log_path) - log) / 1024}
        self.quiet.append(Window(self, self.arguments.seconds / 2))
        row["control"] = self.control(row["cpu"])
        self.rows.append(row)

    def control(self, cpu):
        if self.arguments.quick or cpu < LEAST_SHARE:
            return None
        with self.attackers("burn", f"--cpu={cpu}"):
            return Window(self, self.arguments.seconds)

    def end(self):
        for probe in self.probes.values():
            probe.end()


def cells(row, quiet_p99):
    window, control = row["window"], row["control"]
    p99 = window.p99()
    return [row["kind"], f"{row['events']:.0f}", f"{row['mbit']:.1f}", f"{row['cpu']:.2f}",
            f"{window.server_cpu:.2f}", f"{quantile(window.times(), 0.5):.1f}", f"{p99:.1f}",
            f"{p99 / quiet_p99:.2f}", f"{p99 / control.p99():.2f}" if control else "",
            f"{len(window.faults('images'))} of {len(window.times())}",
            f"{max(window.times('health'), default=float('nan')):.0f}",
            f"{max(window.times('scrape'), default=float('nan')):.0f}",
            f"{window.threads}", f"{row['before']:.0f}", f"{window.peak:.0f}",
            f"{row['after']:.0f}", f"{row['log']:.0f}"]


def print_head(arguments):
    print(f"{processor()}; load {os.getloadavg()[0]:.1f}")
    print(f"{arguments.clients} hostile clients of {arguments.addresses} addresses, each at most "
          f"{arguments.mbit:g} Mbit/s and {arguments.rate:g} events/s; {arguments.seconds:g} s a "
          f"kind\n\n{line(COLUMNS)}\n{line(['---'] * len(COLUMNS))}", flush=True)


def assert_some_succeeded(bench):
    """Without honest answers in quiet there is nothing to compare with."""
    answers = sum(len(window.times()) for window in bench.quiet)
    faults = [fault for window in bench.quiet for fault in window.faults("images")]
    if len(faults) == answers:
        sys.exit(f"failed: none of {answers} honest requests succeeded in quiet: "
                 f"{faults[0] if faults else 'none was answered'}")


def print_results(bench):
    quiet = bench.quiet
    times = [time for window in quiet for time in window.times()]
    quiet_p99 = quantile(times, 0.99)
    for row in bench.rows:
        print(line(cells(row, quiet_p99)))
    spread = [window.p99() for window in quiet]
    health = [time for window in quiet for time in window.times("health")]
    print(f"\nquiet: p50 {quantile(times, 0.5):.1f} ms, p99 {quiet_p99:.1f} ms "
          f"(windows {min(spread):.1f} .. {max(spread):.1f}), health p99 "
          f"{quantile(health, 0.99):.1f} and at most {max(health):.0f} ms, "
          f"{sum(len(window.faults('images')) for window in quiet)} failed")
    print_worst(bench, quiet_p99)


def print_worst(bench, quiet_p99):
    def worst(name, value, target):
        row = max(bench.rows, key=value)
        print(f"worst {name}: {value(row):.2f} ({row['kind']}), target at most {target}")

    worst("honest p99 by quiet", lambda row: row["window"].p99() / quiet_p99, 2)
    if not bench.arguments.quick:
        worst("honest p99 by control",
              lambda row: row["window"].p99() / row["control"].p99() if row["control"] else 0, 2)
    worst("health check, ms", lambda row: max(row["window"].times("health"), default=0), 100)
    worst("memory after by before", lambda row: row["after"] / row["before"], 1.1)
    print(f"memory at the end by start: "
          f"{bench.readings.resident_mib() / bench.resident_at_start:.2f}, target at most 1.1")
    for row in bench.rows:
        for what in ("images", "health", "scrape"):
            for fault in sorted(set(row["window"].faults(what)))[:3]:
                print(f"{row['kind']}: {what} failed: {fault.strip()[:200]}")


def main():
    arguments = parsed(sys.argv[1:])
    find_programs(arguments)
    from attack_kinds import KINDS
    from diffusiond_process import Diffusiond
    kinds = arguments.kinds.split(",") if arguments.kinds else [*KINDS, "all"]
    with Diffusiond(*arguments.server_flags.split()) as server:
        bench = Bench(arguments, server)
        try:
            bench.warm_up()
            for kind in kinds:
                bench.run(kind)
                print(f"{kind} done", file=sys.stderr, flush=True)
            assert_some_succeeded(bench)
            print_head(arguments)
            print_results(bench)
        except BaseException:
            # Its directory goes with it.
            print(f"diffusiond: exit status {server.process.poll()}, its log ends with:\n"
                  f"{server.log()[-4000:]}", file=sys.stderr)
            raise
        finally:
            bench.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
