"""HTTP/2 as a client speaks it that no gRPC library would be: frames by hand."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values):
    names = {"initial_window_size": INITIAL_WINDOW_SIZE}
    return frame(SETTINGS, 0, 0, b"".join(
        struct.pack(">HI", names[name], value) for name, value in values.items()))


def header(name, value):
    """A literal without indexing, neither name nor value compressed; shorter than 127 bytes."""
    return (b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode())


def grpc_headers(stream, path, end_stream=False):
    block = b"".join(header(name, value) for name, value in (
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
        ("te", "trailers"), ("content-type", "application/grpc")))
    return frame(HEADERS, END_HEADERS | (END_STREAM if end_stream else 0), stream, block)


def grpc_message(stream, message, end_stream=True):
    """In one frame; at most 16 KiB."""
    return frame(DATA, END_STREAM if end_stream else 0, stream,
                 b"\x00" + struct.pack(">I", len(message)) + message)


class Connection:
    """A context manager: connected, the preface and `first` sent."""

    def __init__(self, address, first=b"", timeout=60):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.socket.sendall(PREFACE + (first or settings()))
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self, count):
        while len(self.received) < count:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("the server closed the connection")
            self.received += more
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def next_frame(self):
        """(kind, flags, stream, payload)."""
        head = self.read(9)
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return kind, flags, stream, self.read(length)

    def await_frame(self, kind, stream):
        while True:
            got = self.next_frame()
            if got[0] == kind and got[2] == stream:
                return got

    def await_handled(self):
        """Until the server has taken up every frame sent so far: it answers a ping in their order."""
        self.send(frame(PING, 0, 0, b"handled?"))
        while True:
            kind, flags, _, payload = self.next_frame()
            if kind == PING and flags & ACK and payload == b"handled?":
                return
