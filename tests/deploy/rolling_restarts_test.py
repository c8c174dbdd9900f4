"""Replicas that are restarted in turn under load lose no call: behind the proxies whose
configurations deploy/ ships, and behind gRPC's own balancing. TLS on, and no client tries again."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

import grpc

import documents
from diffusiond.v1 import diffusion_pb2 as pb
from diffusiond.v1 import diffusion_pb2_grpc
from diffusiond_process import SOURCE, Diffusiond, eventually

# Fewer where a sanitizer makes each of them last.
RESTARTS = 4 if os.environ.get("DIFFUSIOND_SANITIZER") else 20
CALLS_BETWEEN = 2  # Of each client, with each replica, before the next one is restarted.
# Of this process alone: nobody connects from it, so no port of it is lent out while a replica that
# had it is down.
HOST = f"127.84.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"


def free_port():
    with socket.socket() as one:
        one.bind((HOST, 0))
        return one.getsockname()[1]


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


def replaced(text, *pairs):
    """Text with each of the pairs (old, new) replaced; each must be there."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


class Proxy:
    """One in front of the replicas, by the configuration that deploy/ ships, with the addresses and
    files of this test. A context manager; `address` is where it listens."""

    NAME = SHIPPED = None

    def listening(self):
        """What is shipped as the address to listen on, and what stands there here."""
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def __init__(self, folder, replicas):
        self.folder = os.path.join(folder, self.NAME)
        os.mkdir(self.folder)
        self.address = f"{HOST}:{free_port()}"
        self.write("shipped", replaced(
            read(self.SHIPPED), ("192.0.2.1:50051", replicas[0]), ("192.0.2.2:50051", replicas[1]),
            ("/etc/diffusiond/tls", folder), self.listening()))
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "wb") as log:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(self.command(), cwd=self.folder, stdout=log, stderr=log)

    def __enter__(self):
        try:
            eventually(self.is_open, f"{self.NAME} listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait()

    def is_open(self):
        assert self.process.poll() is None, self.log()
        host, port = self.address.split(":")
        with socket.socket() as peer:
            return peer.connect_ex((host, int(port))) == 0

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()


class Nginx(Proxy):
    NAME = "nginx"
    SHIPPED = "deploy/nginx/diffusiond.conf"
    # What Debian's nginx.conf has around it, but for places and the user.
    AROUND = """
daemon off;
pid nginx.pid;
events {{ }}
{user}
http {{
  access_log off;
  client_body_temp_path .;
  proxy_temp_path .;
  fastcgi_temp_path .;
  uwsgi_temp_path .;
  scgi_temp_path .;
  include shipped;
}}
"""

    def listening(self):
        return "listen 443", f"listen {self.address}"

    def command(self):
        user = "user root;" if os.geteuid() == 0 else ""
        self.write("nginx.conf", self.AROUND.format(user=user))
        return ["nginx", "-e", "stderr", "-p", self.folder, "-c", "nginx.conf"]


class Haproxy(Proxy):
    NAME = "haproxy"
    SHIPPED = "deploy/haproxy/diffusiond.cfg"

    def listening(self):
        return "bind :443", f"bind {self.address}"

    def command(self):
        return ["haproxy", "-db", "-f", "shipped"]


class Client:
    """Draws without a pause, one stream and one unary call at a time, and notes what failed. Its
    name is its tenant, so that replicas' logs tell of it."""

    def __init__(self, name, target, authority, balancing):
        self.name = name
        self.failures = []
        self.calls = 0
        self.channel = grpc.secure_channel(
            target, grpc.ssl_channel_credentials(authority),
            options=[("grpc.service_config",
                      '{"loadBalancingConfig": [{"%s": {}}]}' % balancing),
                     ("grpc.ssl_target_name_override", "localhost"),
                     ("grpc.use_local_subchannel_pool", 1),
                     # Back at a replica soon after its restart.
                     ("grpc.max_reconnect_backoff_ms", 200),
                     # Not even what HTTP/2 says was never begun.
                     ("grpc.enable_retries", 0)])
        self.stub = diffusion_pb2_grpc.DiffusionServiceStub(self.channel)
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.draw, args=[ask])
                        for ask in (self.ask_for_images, self.ask_for_stream)]
        for thread in self.threads:
            thread.start()

    def ask_for_images(self, **how):
        reply = self.stub.GenerateImages(self.request(2), **how)
        assert len(reply.images) == 1, reply

    def ask_for_stream(self, **how):
        request = self.request(40)
        request.preview.every_steps = 10
        events = list(self.stub.Generate(request, **how))
        assert events[-1].HasField("completed"), events[-1]

    @staticmethod
    def request(steps):
        return pb.GenerateRequest(seed=1, class_id=1, sampling={"sampler": "ddim", "steps": steps})

    def draw(self, ask):
        while not self.stopped.is_set():
            try:
                ask(timeout=60, metadata=[("diffusiond-tenant", self.name)])
            except Exception as error:  # pylint: disable=broad-except
                self.failures.append(error)
            self.calls += 1

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        self.channel.close()


class RollingRestartsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rolling-")
        self.addCleanup(shutil.rmtree, self.folder)
        section = documents.section(read("server/README.md"), "Securing it")
        subprocess.run(["bash", "-euc", documents.blocks(section, "bash")[0]], cwd=self.folder,
                       capture_output=True, check=True, timeout=60)
        with open(os.path.join(self.folder, "ca.crt"), "rb") as file:
            self.authority = file.read()
        self.addresses = [f"{HOST}:{free_port()}" for _ in range(2)]
        self.replicas = [self.started(address) for address in self.addresses]
        self.addCleanup(lambda: [replica.__exit__() for replica in self.replicas])

    def started(self, address):
        return Diffusiond(f"--listen={address}", f"--tls_cert={self.folder}/tls.crt",
                          f"--tls_key={self.folder}/tls.key", "--drain_timeout=100s",
                          "--lame_duck=1s").__enter__()

    def clients(self):
        both = "ipv4:" + ",".join(self.addresses)
        nginx, haproxy = (self.enterContext(kind(self.folder, self.addresses))
                          for kind in (Nginx, Haproxy))
        for name, target, balancing in (("round_robin", both, "round_robin"),
                                        ("pick_first", both, "pick_first"),
                                        ("nginx", nginx.address, "pick_first"),
                                        ("haproxy", haproxy.address, "pick_first")):
            client = Client(name, target, self.authority, balancing)
            self.addCleanup(client.stop)
            yield client

    def test_no_call_fails(self):
        clients = list(self.clients())
        for number in range(RESTARTS):
            self.await_balance(clients)
            self.restart(number % 2)
        self.await_balance(clients)
        for client in clients:
            client.stop()
        for client in clients:
            with self.subTest(client=client.name):
                self.assertEqual(client.failures[:3], [],
                                 f"{len(client.failures)} of {client.calls} calls")

    def await_balance(self, clients):
        """Waits until all who spread their calls have some answered by both replicas: to restart the
        other one before would leave them none."""
        for replica in self.replicas:
            for client in clients:
                answer = re.compile(rf"code=OK .*tenant={client.name}\b")
                if client.name != "pick_first":
                    eventually(lambda log=replica.log, answer=answer:
                               len(answer.findall(log())) >= CALLS_BETWEEN,
                               f"{client.name} has calls answered by {replica.address}")

    def restart(self, index):
        old = self.replicas[index]
        old.terminate()
        self.assertEqual(old.wait(), 0, old.log())
        self.replicas[index] = self.started(self.addresses[index])
        old.__exit__()


if __name__ == "__main__":
    unittest.main()
