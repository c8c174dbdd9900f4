"""As much of HTTP/2 (RFC 9113) and of gRPC's use of it as a client needs that does not keep to
them: every frame is in its hands, and it answers only what it wants to.

Headers are sent as literals that no table remembers (RFC 7541, section 6.2.2); those of answers
are not read. Single-threaded."""

import select
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 6, 7, 8, 9)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4  # Of SETTINGS.
DEFAULT_WINDOW = 65535
LARGEST_WINDOW = 2**31 - 1
FRAME_BYTES = 16384
CANCEL = 8


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _length(size):
    """An integer with a prefix of 7 bits (RFC 7541, section 5.1)."""
    if size < 127:
        return bytes([size])
    out, rest = [127], size - 127
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    return bytes(out + [rest])


def header_block(fields):
    block = b""
    for name, value in fields:
        name, value = name.encode(), value.encode()
        block += b"\0" + _length(len(name)) + name + _length(len(value)) + value
    return block


def call_headers(path, metadata=()):
    return header_block([(":method", "POST"), (":scheme", "http"), (":path", path),
                         (":authority", "hostile"), ("content-type", "application/grpc"),
                         ("te", "trailers"), *metadata])


def message(body, compressed=False):
    """A gRPC message with its prefix."""
    return struct.pack(">BI", compressed, len(body)) + body


class Http2Connection:
    """`takes_answers`: else its window stays at 0, so that no byte of an answer's data can come.
    `pace` is asked before bytes are sent."""

    def __init__(self, address, source, pace, takes_answers=True):
        self.socket = socket.create_connection(address, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pace = pace
        self.open = {}  # {stream: bytes that the server lets it send}
        self.next_stream = 1
        self.initial_window = self.window = DEFAULT_WINDOW
        self.unread = bytearray()
        window = LARGEST_WINDOW if takes_answers else 0
        hello = PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window))
        if takes_answers:
            hello += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGEST_WINDOW - DEFAULT_WINDOW))
        self.send(hello)

    def close(self):
        self.socket.close()

    def send(self, data):
        self.pace.spend_bytes(len(data))
        self.socket.sendall(data)

    def open_stream(self, block, flags=END_HEADERS):
        stream = self.next_stream
        self.next_stream += 2
        self.open[stream] = self.initial_window
        self.send(frame(HEADERS, flags, stream, block))
        return stream

    def reset(self, stream):
        self.open.pop(stream, None)
        self.send(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))

    def send_data(self, stream, payload, end=True):
        """As the server's windows allow; False if the stream ended before all was sent."""
        position = 0
        while position < len(payload):
            if stream not in self.open:
                return False
            size = min(FRAME_BYTES, self.window, self.open[stream], len(payload) - position)
            if size <= 0:
                self.pump(seconds=1)
                continue
            self.window -= size
            self.open[stream] -= size
            last = end and position + size == len(payload)
            self.send(frame(DATA, END_STREAM if last else 0, stream,
                            payload[position:position + size]))
            position += size
            self.pump()
        return True

    def call(self, block, payload):
        """A whole request; returns its stream, whose answer may come later."""
        stream = self.open_stream(block)
        self.send_data(stream, payload)
        return stream

    def pump(self, seconds=0.0):
        """Takes what came, waiting so long for the first of it."""
        while select.select([self.socket], [], [], seconds)[0]:
            received = self.socket.recv(1 << 18)
            if not received:
                raise ConnectionResetError("the server closed the connection")
            self.unread += received
            seconds = 0.0
        self._take_frames()

    def _take_frames(self):
        position = 0
        while len(self.unread) - position >= 9:
            size = int.from_bytes(self.unread[position:position + 3], "big")
            kind, flags, stream = struct.unpack_from(">BBI", self.unread, position + 3)
            if len(self.unread) - position < 9 + size:
                break
            self._take(kind, flags, stream, bytes(self.unread[position + 9:position + 9 + size]))
            position += 9 + size
        del self.unread[:position]

    def _take(self, kind, flags, stream, payload):
        if kind in (DATA, HEADERS) and flags & END_STREAM or kind == RST_STREAM:
            self.open.pop(stream, None)
        elif kind == SETTINGS and not flags & ACK:
            self._take_settings(payload)
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            more, = struct.unpack(">I", payload)
            if stream == 0:
                self.window += more
            elif stream in self.open:
                self.open[stream] += more
        elif kind == GOAWAY:
            raise ConnectionResetError("the server sent GOAWAY")

    def _take_settings(self, payload):
        for name, value in struct.iter_unpack(">HI", payload):
            if name == INITIAL_WINDOW_SIZE:
                for stream in self.open:
                    self.open[stream] += value - self.initial_window
                self.initial_window = value
        self.send(frame(SETTINGS, ACK, 0))
