"""Runs the real diffusiond for a test: on free ports of loopback, with a model that draws fast."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request

import grpc

import health_pb2
import health_pb2_grpc

BIN = os.environ["DIFFUSIOND_BIN_DIR"]
SOURCE = os.environ["DIFFUSIOND_SOURCE_DIR"]
# A random 300,000-parameter U-Net for 28x28 grey pictures with 11 classes.
TINY_MODEL = os.path.join(SOURCE, "tests/golden/unet/mnist_cond_scaleshift")
# As text, or as JSON.
LISTENING = re.compile(r'^.*INFO.*diffusiond listening\W+grpc\W+(\S+?)"?[ ,]"?metrics\W+(\S+?)"?[ ,]'
                       r'"?admin\W+(\S+?)"?[ ,]"?http\W+([^\s"]+)', re.MULTILINE)
START_SECONDS = 120  # Generous: a sanitizer's build on a busy machine.


def eventually(condition, what, seconds=60):
    """Waits until condition() is true, for things that another process does when it gets to it."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        pause.wait(0.02)


def with_tiny_model(repository):
    shutil.copytree(TINY_MODEL, os.path.join(repository, "tiny"))


class Diffusiond:
    """A context manager; `address` is where it listens. `fill` makes the repository; files that flags
    name are in `directory`. `stdout` takes the place of the log there."""

    def __init__(self, *flags, fill=with_tiny_model, stdout=None):
        self.directory = tempfile.mkdtemp(prefix="diffusiond-e2e-")
        self.repository = os.path.join(self.directory, "repository")
        fill(self.repository)
        self.log_path = os.path.join(self.directory, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [os.path.abspath(os.path.join(BIN, "diffusiond")), f"--model_repository={self.repository}",
                 "--listen=127.0.0.1:0", "--metrics_listen=127.0.0.1:0",
                 "--http_listen=127.0.0.1:0", *flags],
                stdout=log if stdout is None else stdout, stderr=log, cwd=self.directory)
        self.channel = None

    def __enter__(self):
        try:
            eventually(self._listening_or_dead, "diffusiond listens", START_SECONDS)
            if self.process.poll() is not None:
                raise AssertionError(
                    f"diffusiond ended with {self.process.returncode}:\n{self.log()}")
            (self.address, self.metrics_address, self.admin_address,
             self.http_address) = LISTENING.search(self.log()).groups()
            self.channel = grpc.insecure_channel(self.address)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        if self.channel:
            self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory)

    def _listening_or_dead(self):
        return self.process.poll() is not None or LISTENING.search(self.log())

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def health(self, service=""):
        """The health service's answer, or the status code's name when there is none."""
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            reply = health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=5)
        except grpc.RpcError as error:
            return error.code().name
        return health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)

    def metrics_text(self):
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10) as reply:
            return reply.read().decode()

    def metric(self, name, **labels):
        """The sum of the samples of `name` that have these labels; 0 if there are none."""
        total = 0.0
        for line in self.metrics_text().splitlines():
            found = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
            if not found or found.group(1) != name:
                continue
            there = dict(re.findall(r'(\w+)="([^"]*)"', found.group(2) or ""))
            if all(there.get(key) == value for key, value in labels.items()):
                total += float(found.group(3))
        return total

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=60):
        return self.process.wait(timeout=seconds)
