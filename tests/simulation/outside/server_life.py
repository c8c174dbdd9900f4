"""The real server: the one that rounds happen to, and one that draws what a request gives alone."""

import json
import os
import re
import shutil
import tempfile

import grpc

import pictures
from diffusiond.v1 import admin_pb2, admin_pb2_grpc, diffusion_pb2_grpc
from diffusiond_process import TINY_MODEL, Diffusiond
from history import PATIENCE_SECONDS
from promises import promise
from script import VERSIONS

# Over what there is when the server listens; beside sockets, of which there may be none more. None
# was seen, but a thread of gRPC's may bring one.
MOST_DESCRIPTORS_MORE = 1
# Over what it held after its first round: buffers of connections and calls that allocators keep, 10
# at most in 150 rounds. A sanitizer keeps what is freed for a while.
MOST_MIB_MORE = 32 * (8 if os.environ.get("DIFFUSIOND_SANITIZER") else 1)
# Network passes after the last client has gone: the step that runs, and those of a server that
# hears of it late. A request that nobody ends would take thousands.
MOST_PASSES_AFTER_THE_LAST = 400
IN_FLIGHT = "diffusiond_requests_in_flight"
PASSES = "diffusiond_network_passes_total"
HELD = ("diffusiond_waiting_trajectories", "diffusiond_resident_trajectories")
ESTABLISHED = "01"  # Of /proc/net/tcp.
SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


class Readings:
    """/metrics at one time, or what it grew by between two."""

    def __init__(self, values):
        self.values = values

    @classmethod
    def of(cls, text):
        return cls({(name, labels): float(value) for name, labels, value in SAMPLE.findall(text)
                    if not name.endswith("_bucket")})

    def since(self, before):
        return Readings({key: value - before.values.get(key, 0)
                         for key, value in self.values.items()})

    def samples(self, name):
        return [(dict(LABEL.findall(labels)), value)
                for (of, labels), value in self.values.items() if of == name]

    def sum(self, name, **wanted):
        return sum(value for labels, value in self.samples(name)
                   if all(labels.get(key) == label for key, label in wanted.items()))


def make_repository():
    """A directory with a model of two versions, whose networks take few milliseconds a step."""
    directory = tempfile.mkdtemp(prefix="diffusiond-outside-")
    for version, prediction in zip(range(1, VERSIONS + 1), ("epsilon", "v_prediction")):
        model = os.path.join(directory, pictures.MODEL, str(version))
        shutil.copytree(TINY_MODEL, model,
                        ignore=shutil.ignore_patterns("io.*", "sample10.*", "meta.json"))
        edit(model, "model_index.json", null_class_id=pictures.CLASSES)
        edit(model, "unet/config.json", sample_size=pictures.SIDE)
        edit(model, "scheduler/scheduler_config.json", prediction_type=prediction)
    return directory


def edit(model, path, **changes):
    with open(os.path.join(model, path), "r+", encoding="utf-8") as file:
        config = json.load(file) | changes
        file.seek(0)
        json.dump(config, file)
        file.truncate()


class ServerProcess:
    def __init__(self, repository, flags):
        self.flags = flags
        self.process = Diffusiond(
            f"--keep_versions={VERSIONS}", "--admin_listen=127.0.0.1:0", "--model_poll_interval=0",
            *flags,
            fill=lambda directory: os.symlink(repository, directory)).__enter__()
        self.addresses = (self.process.address, self.process.metrics_address)
        self.admin_channel = grpc.insecure_channel(self.process.admin_address)
        self.admin = admin_pb2_grpc.ModelAdminStub(self.admin_channel)
        self.directory = f"/proc/{self.process.process.pid}"
        self.process.channel.close()
        self.serve(VERSIONS)  # So that the operator's connection is there.
        self.before = self.readings()
        self.descriptors_at_first, self.sockets_at_first = self.descriptors()
        self.mib_at_first = None
        self.log_read = 0

    def close(self):
        self.admin_channel.close()
        self.process.__exit__()

    def readings(self):
        return Readings.of(self.process.metrics_text())

    def serve(self, version):
        self.admin.LoadVersion(
            admin_pb2.LoadVersionRequest(model=pictures.MODEL, version=version),
            timeout=PATIENCE_SECONDS)

    def descriptors(self):
        """All, and the sockets among them."""
        links = []
        for name in os.listdir(f"{self.directory}/fd"):
            try:
                links.append(os.readlink(f"{self.directory}/fd/{name}"))
            except FileNotFoundError:
                pass  # Closed meanwhile.
        return len(links), sum(link.startswith("socket:") for link in links)

    def connections(self):
        """Rows of the kernel's tables: (inode, port here, port there, state)."""
        rows = []
        for table in ("tcp", "tcp6"):  # gRPC reaches 127.0.0.1 by a socket of IPv6.
            with open(f"{self.directory}/net/{table}", encoding="ascii") as file:
                rows += [line.split() for line in file.readlines()[1:]]
        return [(row[9], int(row[1][-4:], 16), int(row[2][-4:], 16), row[3]) for row in rows]

    def held_by_clients(self):
        """Connections of the gRPC port whose other end is open: Python's library keeps that of a
        channel for a while which was closed just after a call was cancelled."""
        port = int(self.addresses[0].rsplit(":", 1)[1])
        return sum(there == port and state == ESTABLISHED
                   for _, _, there, state in self.connections())

    def sockets(self):
        """For people."""
        known = {f"socket:[{inode}]": f"{here}-{there} state {state}"
                 for inode, here, there, state in self.connections()}
        names = os.listdir(f"{self.directory}/fd")
        links = sorted(os.readlink(f"{self.directory}/fd/{name}") for name in names)
        return [known.get(link, f"{link} has no connection") for link in links
                if link.startswith("socket:")]

    def mib(self):
        with open(f"{self.directory}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def new_log(self):
        """What was logged since it was last read."""
        log = self.process.log()
        new, self.log_read = log[self.log_read:], len(log)
        return new

    def check_alive(self):
        code = self.process.process.poll()
        promise(code is None, "the server lives", f"it ended with {code}:\n"
                f"{self.process.log()[-2000:]}")

    def check_memory(self):
        mib = self.mib()
        if self.mib_at_first is None:
            self.mib_at_first = mib
        promise(mib <= self.mib_at_first + MOST_MIB_MORE, "memory returns",
                f"{mib:.0f} MiB, {self.mib_at_first:.0f} after the first round")

    def end(self):
        """By SIGTERM, which is an orderly end; True: all that ran was finished."""
        self.admin_channel.close()
        self.process.terminate()
        code = self.process.wait(PATIENCE_SECONDS)
        log = self.process.log()
        promise(code == 0, "SIGTERM is an orderly end", f"status {code}:\n{log[-2000:]}")
        drained = " INFO drained\n" in log
        promise(drained or "--drain_timeout=100s" not in self.flags, "SIGTERM drops nothing",
                log[-500:])
        return drained

    def kill(self):
        self.process.process.kill()
        self.process.wait(PATIENCE_SECONDS)


class Settling:
    """Waits until a round is over for the server, too."""

    def __init__(self, server):
        self.server = server
        self.passes = None
        self.readings = None
        self.left = ""

    def over(self):
        self.server.check_alive()
        # Before what is counted: a connection that is still there may bring another call.
        held = self.server.held_by_clients()
        descriptors, sockets = self.server.descriptors()
        self.readings = readings = self.server.readings()
        passes = readings.sum(PASSES)
        self.passes = passes if self.passes is None else self.passes
        promise(passes - self.passes <= MOST_PASSES_AFTER_THE_LAST,
                "nothing is drawn for those who went away", f"{passes - self.passes:g} passes")
        self.left = ", ".join(
            f"{name} {readings.sum(name):g}" for name in (IN_FLIGHT, *HELD) if readings.sum(name))
        sockets -= self.server.sockets_at_first + held
        descriptors -= self.server.descriptors_at_first + held
        if sockets > 0:
            self.left += f" {sockets} sockets more"
        if descriptors > MOST_DESCRIPTORS_MORE:
            self.left += f" {descriptors} descriptors more"
        return not self.left


class Solo:
    """What a request gives alone: drawn by a server of its own, which never has two, kept."""

    def __init__(self, repository):
        self.server = ServerProcess(repository, ("--cpu_cores=1",))
        self.channel = grpc.insecure_channel(self.server.addresses[0])
        self.stub = diffusion_pb2_grpc.DiffusionServiceStub(self.channel)
        self.server.serve(1)
        self.server.serve(VERSIONS)
        listed = self.server.admin.ListVersions(admin_pb2.ListVersionsRequest(), timeout=60)
        self.digests = [version.digest for version in listed.models[0].versions]
        self.kept = {}

    def close(self):
        self.channel.close()
        self.server.close()

    def image(self, request, index, digest):
        one = pictures.alone(request, index, digest)
        key = one.SerializeToString(deterministic=True)
        if key not in self.kept:
            self.kept[key] = self.stub.GenerateImages(one, timeout=PATIENCE_SECONDS).images[0].data
        return self.kept[key]
