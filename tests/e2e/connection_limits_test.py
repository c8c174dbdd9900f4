"""Limits of what strangers hold open: connections that do not begin to speak, streams that take a
thread each, and requests over HTTP that do not end."""

import socket
import threading
import unittest

import grpc

from diffusiond_process import Diffusiond
from reflection_pb2 import ServerReflectionRequest
from reflection_pb2_grpc import ServerReflectionStub

HANDSHAKE_SECONDS = 20  # kHandshakeTimeoutMs, server/rpc/transport_limits.cc.
REFLECTION_THREADS = 64  # kMaxThreads there.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class ConnectionLimitsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Diffusiond())

    def connect(self, *begun):
        host, port = self.server.address.rsplit(":", 1)
        peer = self.enterContext(socket.create_connection((host, int(port)),
                                                          timeout=2 * HANDSHAKE_SECONDS))
        for data in begun:
            peer.sendall(data)
        return peer

    def test_who_does_not_begin_to_speak_is_sent_away(self):
        # Before keepalive would notice them, after 60 s.
        for peer in [self.connect(), self.connect(PREFACE[:5]), self.connect(PREFACE)]:
            try:
                while peer.recv(4096):  # The server's own settings.
                    pass
            except ConnectionResetError:
                pass

    def test_reflection_takes_so_many_threads_and_not_one_more(self):
        done = threading.Event()

        def ask_and_stay():
            yield ServerReflectionRequest(list_services="")
            done.wait()

        stub = ServerReflectionStub(self.enterContext(grpc.insecure_channel(self.server.address)))
        streams, refused = [], 0
        for _ in range(REFLECTION_THREADS + 8):
            stream = stub.ServerReflectionInfo(ask_and_stay(), timeout=60)
            try:
                next(stream)
                streams.append(stream)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                refused += 1
        # One thread waits for those that come.
        self.assertEqual(len(streams), REFLECTION_THREADS - 1)
        self.assertEqual(refused, 9)
        self.assertEqual(self.server.health(), "SERVING")
        done.set()
        for stream in streams:
            self.assertEqual(list(stream), [])


class HttpLimitsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Diffusiond(
            "--max_http_header_bytes=1024", "--http_request_timeout=1s", "--http_idle_timeout=2s"))

    def answer(self, request):
        """All that comes until the server closes the connection."""
        host, port = self.server.http_address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=20) as peer:
            peer.sendall(request)
            told = b""
            while more := peer.recv(4096):
                told += more
        return told.split(b"\r\n")[0]

    def test_flags_limit_headers_and_times(self):
        head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
        self.assertIn(b" 200 ", self.answer(head + b"X: " + b"x" * 900 + b"\r\n\r\n"))
        self.assertIn(b" 431 ", self.answer(head + b"X: " + b"x" * 1000 + b"\r\n\r\n"))
        self.assertIn(b" 408 ", self.answer(head))
        self.assertEqual(b"", self.answer(b""))


if __name__ == "__main__":
    unittest.main()
