"""The kinds of hostile clients. Each goes on until its process is ended; an OSError, as when the
server closes its connection, begins it anew."""

import dataclasses
import itertools
import random
import socket
import struct
import typing

import bombs
from http2_connection import (CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_BYTES, HEADERS,
                              PING, PREFACE, SETTINGS, WINDOW_UPDATE, call_headers, frame,
                              message)

SERVICE = "/diffusiond.v1.DiffusionService/"
GENERATE = call_headers(SERVICE + "Generate")
GENERATE_IMAGES = call_headers(SERVICE + "GenerateImages")
LIST_MODELS = call_headers(SERVICE + "ListModels")
WATCH = call_headers("/grpc.health.v1.Health/Watch")
REFLECTION = call_headers("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
TENANTS = 200


def keep_calling(attack, calls, at_once=64):
    """Makes the calls (headers, message), so many at once, and reads their answers."""
    connection = attack.connect()
    for block, payload in calls:
        while len(connection.open) >= at_once:
            connection.pump(seconds=1)
        attack.pace.spend_event()
        connection.call(block, payload)
        connection.pump()


def hold(connections):
    """Keeps connections open and answers pings."""
    while True:
        for connection in connections:
            connection.pump(seconds=0.2)


def idle_connections(attack):
    connections = []
    for _ in range(100):
        attack.pace.spend_event()
        connections.append(attack.connect())
    hold(connections)


def connection_churn(attack):
    while True:
        attack.pace.spend_event()
        attack.connect().close()


def half_sent(attack):
    connections = [attack.connect() for _ in range(4)]
    half = struct.pack(">BI", 0, bombs.LARGEST_BODY) + bytes(bombs.LARGEST_BODY // 2)
    for connection in itertools.islice(itertools.cycle(connections), 32 * len(connections)):
        stream = connection.open_stream(GENERATE_IMAGES)
        attack.pace.spend_event()
        connection.send_data(stream, half, end=False)
    hold(connections)


def gzip_zeros(attack):
    block = call_headers(SERVICE + "GenerateImages", [("grpc-encoding", "gzip")])
    payload = message(bombs.gzip_of_zeros(bombs.GZIP_MIB), compressed=True)
    keep_calling(attack, itertools.repeat((block, payload)))


def png_bombs(attack):
    bodies = [message(bombs.request(init_image=image)) for image in bombs.png_bombs()]
    keep_calling(attack, ((GENERATE_IMAGES, body) for body in itertools.cycle(bodies)))


def large_images(attack):
    body = message(bombs.request(init_image=bombs.large_png()))
    keep_calling(attack, itertools.repeat((GENERATE_IMAGES, body)))


def queue_flood(attack):
    body = message(bombs.longest_request())
    keep_calling(attack, itertools.repeat((GENERATE_IMAGES, body)), at_once=500)


def many_tenants(attack):
    blocks = [call_headers(SERVICE + "GenerateImages", [("diffusiond-tenant", f"invented-{n}")])
              for n in range(TENANTS)]
    body = message(bombs.longest_request(count=4))
    first = attack.number * TENANTS // 24
    keep_calling(attack, ((blocks[(first + n) % TENANTS], body) for n in itertools.count()),
                 at_once=500)


def high_priority(attack):
    body = message(bombs.longest_request(priority=1, count=8))
    keep_calling(attack, itertools.repeat((GENERATE_IMAGES, body)), at_once=500)


def many_plans(attack):
    """Cancels each call, so that there is room for the next: its plan has been compiled by then."""
    connection = attack.connect()
    for number in itertools.count(attack.number * 40_000):
        attack.pace.spend_event()
        stream = connection.call(GENERATE, message(bombs.plan_request(number)))
        connection.pump(seconds=1)
        if stream in connection.open:
            connection.reset(stream)


def unknown_fields(attack):
    bodies = [message(bombs.unknown_fields(tiny)) for tiny in (True, False)]
    keep_calling(attack, ((GENERATE_IMAGES, body) for body in itertools.cycle(bodies)))


def unread_answers(attack):
    """What was asked for is drawn, encoded, and never taken."""
    connections = [attack.connect(takes_answers=False) for _ in range(4)]
    calls = itertools.cycle([
        (GENERATE, bombs.request(sampling={"sampler": "ddim", "steps": 50}, preview={"every_steps": 1})),
        (GENERATE_IMAGES, bombs.request(count=8)),
        (LIST_MODELS, b"")])
    while True:
        for connection in connections:
            block, body = next(calls)
            attack.pace.spend_event()
            if len(connection.open) < 1000:
                connection.call(block, message(body))
            connection.pump()


def hold_streams(attack, open_one):
    connections = [attack.connect() for _ in range(4)]
    for connection in itertools.islice(itertools.cycle(connections), 500 * len(connections)):
        attack.pace.spend_event()
        open_one(connection)
        connection.pump()
    hold(connections)


def health_watches(attack):
    """Streams that have no end."""
    hold_streams(attack, lambda connection: connection.call(WATCH, message(b"")))


def reflection_streams(attack):
    """Streams that ask nothing."""
    hold_streams(attack, lambda connection: connection.open_stream(REFLECTION))


def rapid_reset(attack):
    connection = attack.connect()
    body = message(bombs.request())
    while True:
        attack.pace.spend_event()
        stream = connection.open_stream(GENERATE_IMAGES)
        connection.send(frame(DATA, END_STREAM, stream, body))
        connection.reset(stream)
        connection.pump()


def random_bytes(attack):
    noise = random.Random(attack.number)
    while True:
        attack.pace.spend_event()
        data = noise.choice([b"", PREFACE, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                             PREFACE + frame(SETTINGS, 0, 0)]) + noise.randbytes(20_000)
        with socket.create_connection(attack.grpc_address,
                                      source_address=(attack.source, 0)) as peer:
            attack.pace.spend_bytes(len(data))
            peer.sendall(data)


def control_frames(attack):
    """Settings that want an answer, and windows that open and open."""
    connection = attack.connect()
    frames = [frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 20)),
              frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))]
    for some in itertools.cycle(frames):
        attack.pace.spend_event()
        connection.send(some)
        connection.pump()


def pings(attack):
    connection = attack.connect()
    while True:
        attack.pace.spend_event()
        connection.send(frame(PING, 0, 0, bytes(8)))
        connection.pump()


def endless_headers(attack):
    """Headers that never end, and headers that are large."""
    connection = attack.connect()
    part = b"".join(b"\0" + b"\x06" + b"x-%04d" % n + b"\x32" + b"v" * 50 for n in range(200))
    while True:
        stream = connection.next_stream
        connection.next_stream += 2
        connection.send(frame(HEADERS, 0, stream, LIST_MODELS))
        for _ in range(500):
            attack.pace.spend_event()
            connection.send(frame(CONTINUATION, 0, stream, part))
            connection.pump()
        connection.send(frame(CONTINUATION, END_HEADERS, stream))


def beyond_window(attack):
    """Sends what the server's windows do not allow."""
    while True:
        attack.pace.spend_event()
        connection = attack.connect()
        stream = connection.open_stream(GENERATE_IMAGES)
        data = struct.pack(">BI", 0, bombs.LARGEST_BODY) + bytes(FRAME_BYTES - 5)
        try:
            for _ in range(bombs.LARGEST_BODY // FRAME_BYTES):
                connection.send(frame(DATA, 0, stream, data))
        finally:
            connection.close()


def slow_scrapes(attack):
    """Connections of the metrics port that ask a byte at a time, or nothing."""
    peers = []
    for letter in itertools.cycle(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 40):
        attack.pace.spend_event()
        if len(peers) < 40:
            peers.append(socket.create_connection(attack.metrics_address,
                                                  source_address=(attack.source, 0)))
        for peer in peers[::2]:
            try:
                peer.sendall(bytes([letter]))
                attack.pace.spend_bytes(1)
            except OSError:
                peers.remove(peer)


def http_connection(attack):
    return socket.create_connection(attack.http_address, source_address=(attack.source, 0))


def slow_http(attack):
    """Connections of the HTTP port that ask a byte at a time, send half a body, or ask for events
    and take none."""
    post = (b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
            b"Content-Length: %d\r\n\r\n")
    whole = b'{"classId": 3, "sampling": {"steps": 50}, "preview": {"everySteps": 1}}'
    begun = [b"GET / HTTP/1.1\r\nX: ", post % bombs.LARGEST_BODY + bytes(bombs.LARGEST_BODY // 2),
             post % len(whole) + whole]
    peers = []
    for number in itertools.count():
        attack.pace.spend_event()
        if len(peers) < 40:
            data = begun[number % len(begun)]
            attack.pace.spend_bytes(len(data))
            peers.append(http_connection(attack))
            peers[-1].settimeout(5)
            peers[-1].sendall(data)
            continue
        peer = peers[number % len(peers)]
        try:
            peer.sendall(b"x")
            attack.pace.spend_bytes(1)
        except OSError:
            peers.remove(peer)


def http_refusals(attack):
    """Requests over HTTP that are refused, each for another reason, on one connection."""
    def post(path, body, more=b""):
        return (b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + more +
                b"Content-Length: %d\r\n\r\n" % len(body) + body)

    requests = [post(b"/v1/generate", b'{"sampling": {"steps": 100000}, "count": 9, "x": 1}'),
                post(b"/v1/images/generations", b'{"prompt": "nothing", "size": "9x9", "n": 99}'),
                b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
                post(b"/v1/generate", b"", b"Origin: http://elsewhere\r\n")]
    with http_connection(attack) as peer:
        peer.settimeout(10)
        for request in itertools.cycle(requests):
            attack.pace.spend_event()
            attack.pace.spend_bytes(len(request))
            peer.sendall(request)
            if not peer.recv(1 << 16):
                raise ConnectionResetError("the server closed the connection")


def refusals(attack):
    calls = itertools.cycle([(GENERATE, message(bombs.wrong_request())),
                             (GENERATE_IMAGES, message(b"\xff" * 100)),
                             (call_headers(SERVICE + "Sorcery"), message(b""))])
    keep_calling(attack, calls)


@dataclasses.dataclass(frozen=True)
class Kind:
    run: typing.Callable
    # Events of one client after which the attack stands.
    enough: int
    takes_bombs: bool = False  # Which take time to make: once, before clients part.


KINDS = {kind.run.__name__: kind for kind in (
    Kind(idle_connections, 50), Kind(connection_churn, 100), Kind(half_sent, 4),
    Kind(gzip_zeros, 5, True), Kind(png_bombs, 10, True), Kind(large_images, 5, True),
    Kind(queue_flood, 50), Kind(many_tenants, 200), Kind(high_priority, 50), Kind(many_plans, 50),
    Kind(unknown_fields, 4, True), Kind(unread_answers, 100), Kind(health_watches, 200),
    Kind(reflection_streams, 100), Kind(rapid_reset, 300), Kind(random_bytes, 50),
    Kind(control_frames, 300), Kind(pings, 100), Kind(endless_headers, 100),
    Kind(beyond_window, 5), Kind(slow_scrapes, 80), Kind(refusals, 200),
    Kind(slow_http, 60), Kind(http_refusals, 100))}
