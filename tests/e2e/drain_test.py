"""A replica that drains, and clients that have another one."""

import http.client
import socket
import threading
import unittest

import grpc

import diffusiond.v1.diffusion_pb2 as pb
import diffusiond.v1.diffusion_pb2_grpc as diffusion_pb2_grpc
import health_pb2
import health_pb2_grpc
from diffusiond_process import Diffusiond, eventually
from http2_frames import (ACK, DATA, GOAWAY, PING, Connection, frame, grpc_headers, grpc_message)

CALLS = 20
ROUND_ROBIN = ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}')


def long_request():
    """Takes a minute or so, with something to read after every step."""
    return pb.GenerateRequest(seed=1, class_id=1, count=2,
                              sampling={"sampler": "ddpm", "steps": 1000},
                              preview=pb.PreviewOptions(every_steps=1))


def is_closed(address):
    host, port = address.split(":")
    with socket.socket() as peer:
        return peer.connect_ex((host, int(port))) != 0


class Sent:
    """Notices when a channel's connection is told to go."""

    def __init__(self, channel):
        self.left = threading.Event()
        self.was_ready = threading.Event()
        channel.subscribe(self.note, try_to_connect=True)

    def note(self, state):
        if state == grpc.ChannelConnectivity.READY:
            self.was_ready.set()
        elif self.was_ready.is_set():
            self.left.set()


class TwoReplicasTest(unittest.TestCase):
    def drain_one_of_two(self, *options):
        """Returns the channel to both, the port of the first closed, a stream still on it."""
        first = self.enter(Diffusiond("--drain_timeout=100s"))
        second = self.enter(Diffusiond())
        channel = grpc.insecure_channel(f"ipv4:{first.address},{second.address}", options=options)
        self.addCleanup(channel.close)
        sent = Sent(first.channel)
        self.assertTrue(sent.was_ready.wait(60))
        stub = diffusion_pb2_grpc.DiffusionServiceStub(channel)
        # Both replicas under round_robin, the first one under pick_first.
        streams = [stub.Generate(long_request(), timeout=200) for _ in range(2)]
        for stream in streams:
            next(stream)
        first.terminate()
        eventually(lambda: is_closed(first.address), "the port is closed")
        self.assertTrue(sent.left.wait(60), "connections are told to go")
        return first, stub, streams

    def enter(self, manager):
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def assert_no_call_is_lost(self, *options):
        first, stub, streams = self.drain_one_of_two(*options)
        for _ in range(CALLS):
            stub.GetModel(pb.GetModelRequest(), timeout=20)
        for stream in streams:
            next(stream)  # What ran goes on.
            stream.cancel()
        self.assertEqual(first.wait(), 0, first.log())

    def test_round_robin_loses_no_call(self):
        self.assert_no_call_is_lost(ROUND_ROBIN)

    def test_pick_first_loses_no_call(self):
        self.assert_no_call_is_lost()


class OnItsWayTest(unittest.TestCase):
    """A client that calls before it has heard that the server is about to go."""

    GET_MODEL = "/diffusiond.v1.DiffusionService/GetModel"

    @staticmethod
    def last_stream(client):
        return int.from_bytes(client.await_frame(GOAWAY, 0)[3][:4], "big")

    def test_a_call_that_crosses_the_goaway_is_served(self):
        with Diffusiond() as server, Connection(server.address) as client:
            client.await_handled()
            server.terminate()
            self.assertEqual(self.last_stream(client), 2**31 - 1)
            ping = client.await_frame(PING, 0)
            client.send(grpc_headers(1, self.GET_MODEL) + grpc_message(1, b""))
            self.assertTrue(client.await_frame(DATA, 1)[3], "an answer, no refusal")
            client.send(frame(PING, ACK, 0, ping[3]))
            self.assertEqual(self.last_stream(client), 1)
            with self.assertRaises(EOFError):
                client.await_frame(GOAWAY, 0)  # None more comes.
            self.assertEqual(server.wait(), 0, server.log())

    def test_a_lame_duck_serves_who_is_connected_and_nobody_else(self):
        with Diffusiond("--lame_duck=25s", "--http_listen=") as server:
            self.assertEqual(server.health(), "SERVING")
            server.terminate()
            eventually(lambda: is_closed(server.address), "the port is closed")
            self.assertEqual(server.health(), "NOT_SERVING")
            stub = diffusion_pb2_grpc.DiffusionServiceStub(server.channel)
            stub.GetModel(pb.GetModelRequest(), timeout=20)
            server.channel.close()
            self.assertEqual(server.wait(), 0, server.log())

    def test_a_lame_duck_serves_over_http_and_says_that_it_leaves(self):
        with Diffusiond("--lame_duck=25s") as server:
            host, _, port = server.http_address.rpartition(":")
            kept = http.client.HTTPConnection(host, int(port), timeout=20)
            self.assertEqual(self.drawn(kept), (200, None))
            server.terminate()
            eventually(lambda: self.readiness(host, port) == 503, "it is not ready")
            self.assertEqual(self.drawn(kept), (200, "close"))
            kept.close()
            new = http.client.HTTPConnection(host, int(port), timeout=20)
            self.assertEqual(self.drawn(new), (200, "close"), "who has not heard yet is served")
            new.close()

    @staticmethod
    def readiness(host, port):
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
        connection.close()
        return status

    @staticmethod
    def drawn(connection):
        connection.request("POST", "/v1/generate", '{"classId":1,"sampling":{"steps":1}}',
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Connection")

    def test_open_calls_of_the_operators_port_do_not_keep_it(self):
        with Diffusiond("--admin_listen=127.0.0.1:0") as server, \
                grpc.insecure_channel(server.admin_address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
            server.terminate()
            self.assertEqual(server.wait(), 0, server.log())


if __name__ == "__main__":
    unittest.main()
