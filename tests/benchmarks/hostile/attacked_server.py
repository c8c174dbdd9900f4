"""A diffusiond, those who ask it honestly, and those who attack it: what a benchmark and a test
share."""

import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


class HostileClients:
    """A context manager: within it the clients attack; `cpu_seconds` is what they took, after."""

    def __init__(self, kind, server, clients, *flags):
        self.clients = clients
        self.cpu_seconds = 0.0
        self.counts = tempfile.NamedTemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "hostile_clients.py"), kind,
             f"--clients={clients}", f"--grpc={server.address}",
             f"--metrics={server.metrics_address}", f"--http={server.http_address}",
             f"--counts={self.counts.name}", *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        if self.process.stdout.readline() != b"attacking\n":
            raise AssertionError("the hostile clients did not start")
        return self

    def __exit__(self, *unused):
        with self.process:
            self.cpu_seconds = float(self.process.communicate()[0] or 0)
        self.counts.close()

    def done(self):
        """(events, bytes sent) of each client."""
        with open(self.counts.name, "rb") as file:
            return list(struct.iter_unpack("dd", file.read()))


class ProcessReadings:
    """What /proc tells of a process."""

    def __init__(self, pid):
        self.directory = f"/proc/{pid}"

    def _status(self, name):
        with open(f"{self.directory}/status", encoding="ascii", errors="replace") as file:
            return int(re.search(rf"^{name}:\s+(\d+)", file.read(), re.MULTILINE).group(1))

    def resident_mib(self):
        return self._status("VmRSS") / 1024

    def most_resident_mib(self):
        """The peak since the process began."""
        return self._status("VmHWM") / 1024

    def threads(self):
        return self._status("Threads")

    def descriptors(self):
        return len(os.listdir(f"{self.directory}/fd"))

    def cpu_seconds(self):
        with open(f"{self.directory}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
