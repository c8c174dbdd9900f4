"""Clients that keep to no rule, kind by kind, and an honest one beside them: the server answers it,
its memory is bounded, and when they are gone so is what they held.

The kinds are those of tests/benchmarks/hostile, which measures what this only asks for."""

import os
import unittest

from attack_kinds import KINDS
from attacked_server import HostileClients, ProcessReadings
from diffusiond.v1 import diffusion_pb2 as pb
from diffusiond.v1 import diffusion_pb2_grpc
from diffusiond_process import Diffusiond, eventually

CLIENTS = 2
TRANSPORT_MIB = 64
# Over the memory before the attacks and that of connections: what calls and allocators keep beside.
# A sanitizer keeps what is freed for a while.
MOST_MIB_MORE = (TRANSPORT_MIB + 448) * (4 if os.environ.get("DIFFUSIOND_SANITIZER") else 1)
MOST_THREADS_MORE = 16  # gRPC adds some under load and keeps them.
CONNECTIONS = "diffusiond_connections"
HTTP_CONNECTIONS = "diffusiond_http_connections"
IN_FLIGHT = "diffusiond_requests_in_flight"
WAITING = "diffusiond_waiting_trajectories"
RESIDENT = "diffusiond_resident_trajectories"


class HostileClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(
            Diffusiond(f"--max_transport_bytes={TRANSPORT_MIB << 20}"))
        cls.readings = ProcessReadings(cls.server.process.pid)
        cls.stub = diffusion_pb2_grpc.DiffusionServiceStub(cls.server.channel)
        cls.draw()
        cls.resident_mib = cls.readings.resident_mib()
        cls.descriptors = cls.readings.descriptors()
        cls.threads = cls.readings.threads()

    @classmethod
    def draw(cls):
        reply = cls.stub.GenerateImages(
            pb.GenerateRequest(class_id=3, sampling={"sampler": "ddim", "steps": 2}), timeout=60)
        assert len(reply.images) == 1

    def attack(self, kind, enough):
        with HostileClients(kind, self.server, CLIENTS, "--rate=500", "--mbit=400") as clients:
            eventually(lambda: all(events >= enough for events, _ in clients.done()),
                       f"{kind}: {enough} events of each client")
            self.draw()
            self.assertEqual(self.server.health(), "SERVING")
            self.assertLess(self.readings.most_resident_mib(), self.resident_mib + MOST_MIB_MORE)

    def assert_nothing_is_left(self):
        # The honest client's connection stays.
        eventually(lambda: self.server.metric(CONNECTIONS) == 1, "their connections are closed")
        eventually(lambda: self.server.metric(HTTP_CONNECTIONS) == 0, "those over HTTP as well")
        eventually(lambda: self.server.metric(IN_FLIGHT) == 0, "no call is left")
        eventually(lambda: self.server.metric(WAITING) + self.server.metric(RESIDENT) == 0,
                   "no image is left")
        eventually(lambda: self.readings.descriptors() <= self.descriptors,
                   "their descriptors are closed")
        self.assertLessEqual(self.readings.threads(), self.threads + MOST_THREADS_MORE)
        self.draw()

    def test_each_kind_harms_nobody_and_leaves_nothing(self):
        for kind, details in KINDS.items():
            with self.subTest(kind=kind):
                self.attack(kind, details.enough)
                self.assert_nothing_is_left()
                self.assertIsNone(self.server.process.poll())


if __name__ == "__main__":
    unittest.main()
