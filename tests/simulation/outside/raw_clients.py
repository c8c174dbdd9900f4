"""What clients do that have the connection itself in their hands: they drop it, reset streams,
leave answers unread, and send what no library would."""

import socket
import struct

import http2_frames as http2
from diffusiond.v1 import diffusion_pb2 as pb
from history import PATIENCE_SECONDS, Call
from http2_frames import frame

SERVICE = "/diffusiond.v1.DiffusionService/"
CANCEL = 8  # Of HTTP/2's error codes.
LARGE_WINDOW = 1 << 20
SMALL_WINDOW = 40  # Takes not even the first event.
RAW_ACTIONS = ("close", "abort", "reset", "slow", "leave", "outwait", "half")
UNREADING = ("slow", "leave", "outwait")


def message_of(method, request):
    return (request if request is not None else pb.ListModelsRequest()).SerializeToString()


class RawConnection:
    """Blocks, but for no longer than PATIENCE_SECONDS. Reads what comes for one call at a time."""

    def __init__(self, address, window=LARGE_WINDOW):
        self.connection = http2.Connection(
            address, http2.settings(initial_window_size=window), timeout=PATIENCE_SECONDS)
        self.window = window
        self.next_stream = 1
        self.unread = b""

    def close(self):
        self.connection.socket.close()

    def abort(self):
        """RST in place of FIN: what was not sent is dropped, on both sides."""
        self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", 1, 0))
        self.close()

    def send(self, data):
        self.connection.send(data)

    def answer(self, data):
        """To a server that may have closed, whose last words are still to be read."""
        try:
            self.send(data)
        except OSError:
            pass

    def call(self, method, request, half=False):
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.unread = b""
        message = http2.grpc_message(stream, message_of(method, request))
        self.send(http2.grpc_headers(stream, SERVICE + method) +
                  (message[:len(message) // 2] if half else message))
        return stream

    def reset(self, stream):
        self.send(frame(http2.RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))

    def open_window(self, stream):
        self.window = LARGE_WINDOW
        self.send(frame(http2.WINDOW_UPDATE, 0, stream, struct.pack(">I", LARGE_WINDOW)))

    def messages(self, stream):
        """Yields the messages of the stream's answer; ends with it. Its value is how: "trailers" or
        "reset"."""
        while True:
            kind, flags, of, payload = self.connection.next_frame()
            if kind == http2.SETTINGS and not flags & http2.ACK:
                self.answer(frame(http2.SETTINGS, http2.ACK, 0))
            elif kind == http2.PING and not flags & http2.ACK:
                self.answer(frame(http2.PING, http2.ACK, 0, payload))
            elif of != stream:
                continue  # Of a stream that was reset.
            elif kind == http2.DATA:
                yield from self._taken(payload)
                self._give_back(stream, len(payload))
            elif kind == http2.RST_STREAM:
                return "reset"
            if kind in (http2.DATA, http2.HEADERS) and flags & http2.END_STREAM:
                return "trailers"

    def _taken(self, payload):
        self.unread += payload
        while len(self.unread) >= 5:
            size, = struct.unpack(">I", self.unread[1:5])
            if len(self.unread) < 5 + size:
                break
            yield self.unread[5:5 + size]
            self.unread = self.unread[5 + size:]

    def _give_back(self, stream, size):
        if size > 0:
            more = struct.pack(">I", size)
            self.answer(frame(http2.WINDOW_UPDATE, 0, 0, more) +
                        (frame(http2.WINDOW_UPDATE, 0, stream, more)
                         if self.window == LARGE_WINDOW else b""))


class RawClient:
    """Each action has a connection of its own."""

    def __init__(self, world, number):
        self.world = world
        self.number = number
        self.calls = []  # Of the action.

    def begin(self, action, method, request=None):
        self.calls.append(self.world.begin(Call(self.number, action, method, request)))
        return self.calls[-1]

    def run(self, action):
        window = SMALL_WINDOW if action.what in UNREADING else LARGE_WINDOW
        method = action.detail or "Generate"
        request = None if method == "ListModels" else action.requests[0]
        self.calls = []
        call = self.begin(action, method, request)
        connection = None
        try:
            connection = RawConnection(self.world.addresses[0], window)
            getattr(self, action.what)(action, call, connection)
        except (OSError, EOFError) as error:
            if isinstance(error, TimeoutError):
                raise
            for broken in self.calls:
                if broken.end is None:
                    self.gone(broken, f"the connection broke: {error}")
        finally:
            if connection is not None:
                connection.close()

    def read(self, call, connection, stream, most=None):
        """Takes events, at most so many; True if the answer ended."""
        answer = connection.messages(stream)
        while most is None or len(call.events) < most:
            try:
                message = next(answer)
            except StopIteration as end:
                self._ended(call, end.value)
                return True
            if call.method == "Generate":
                self.world.event(call, pb.GenerateEvent.FromString(message))
            else:
                call.reply = pb.GenerateImagesResponse.FromString(message)
        return False

    def _ended(self, call, how):
        whole = call.kinds()[-1:] == ["completed"] or call.reply is not None
        self.world.end(call, "OK" if whole and how == "trailers" else "unread", how)

    def gone(self, call, how):
        call.cancelled = True
        self.world.end(call, "gone", how)

    def close(self, action, call, connection):
        stream = connection.call(call.method, call.request)
        if not self.read(call, connection, stream, action.after):
            connection.close()
            self.gone(call, "closed the connection")

    def abort(self, action, call, connection):
        stream = connection.call(call.method, call.request)
        if not self.read(call, connection, stream, action.after):
            connection.abort()
            self.gone(call, "reset the connection")

    def reset(self, action, call, connection):
        """The stream alone; then the same connection is asked for the models."""
        stream = connection.call(call.method, call.request)
        if not self.read(call, connection, stream, action.after):
            connection.reset(stream)
            self.gone(call, "reset the stream")
        second = self.begin(action, "ListModels")
        stream = connection.call("ListModels", None)
        answer = list(connection.messages(stream))
        if answer:
            second.reply = pb.ListModelsResponse.FromString(answer[-1])
        self.world.end(second, "OK" if answer else "unread")

    def slow(self, action, call, connection):
        """Takes nothing until the others are done, and then all of it."""
        stream = connection.call(call.method, call.request)
        self.world.await_others(self.number)
        connection.open_window(stream)
        self.read(call, connection, stream)

    def leave(self, action, call, connection):
        """Takes nothing, and goes when the others are done."""
        connection.call(call.method, call.request)
        self.world.await_others(self.number)
        connection.abort()
        self.gone(call, "left without reading")

    def outwait(self, action, call, connection):
        """Takes nothing until the server ends it."""
        stream = connection.call(call.method, call.request)
        self.world.idle(self.number)
        self.read(call, connection, stream)

    def half(self, action, call, connection):
        """Half a request, and away."""
        call.reached = False
        connection.call(call.method, call.request, half=True)
        connection.abort()
        self.gone(call, "sent half a request")


def noise(action, world, client):
    """Bytes that are no request. They may be refused at any byte."""
    call = None
    if action.detail == "long_message":  # A call, of which no whole request comes.
        call = world.begin(Call(client, action, "GenerateImages", cancelled=True, reached=False))
    address = world.addresses[1 if action.detail == "metrics" else 0]
    host, port = address.rsplit(":", 1)
    hello = http2.PREFACE + http2.settings()
    sent = {
        "bytes": action.data,
        "http1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + action.data,
        "preface": http2.PREFACE[:len(action.data) % len(http2.PREFACE)],
        "frames": hello + b"".join(
            frame(byte % 12, byte, byte % 5, action.data[:byte]) for byte in action.data[:50]),
        "even_stream": hello + http2.grpc_headers(2, SERVICE + "ListModels"),
        "huge_frame": hello + struct.pack(">I", 0xFFFFFF)[1:] + b"\0\0\0\0\0\1" + action.data,
        "long_message": hello + http2.grpc_headers(1, SERVICE + "GenerateImages") + frame(
            http2.DATA, http2.END_STREAM, 1, b"\0\xff\xff\xff\xff" + action.data),
        "endless_headers": hello + frame(http2.HEADERS, 0, 1, action.data),
        "metrics": b"GET /metrics HTTP/1.1\r\n" + action.data,
    }[action.detail]
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as peer:
            peer.sendall(sent)
            if len(action.data) % 2 == 0:
                peer.shutdown(socket.SHUT_WR)
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
    if call is not None:
        world.end(call, "gone")
    world.tell(f"client {client}: noise {action.detail}")
