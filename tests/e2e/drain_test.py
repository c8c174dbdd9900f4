"""A replica that drains, and clients that have another one."""

import socket
import threading
import unittest

import grpc

import diffusiond.v1.diffusion_pb2 as pb
import diffusiond.v1.diffusion_pb2_grpc as diffusion_pb2_grpc
from diffusiond_process import Diffusiond, eventually

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


if __name__ == "__main__":
    unittest.main()
