"""What the clients saw: calls, their events and their ends, in the order in which they saw them."""

import dataclasses
import os
import threading
import typing

from diffusiond.v1 import diffusion_pb2 as pb
from script import Action

# For what is bound to happen, on a machine that does much beside it.
PATIENCE_SECONDS = float(os.environ.get("OUTSIDE_PATIENCE_SECONDS", 60))


class ItNeverEnds(Exception):
    """What is bound to happen did not."""


@dataclasses.dataclass
class Call:
    client: int
    action: Action
    method: str
    request: typing.Optional[pb.GenerateRequest] = None
    events: list = dataclasses.field(default_factory=list)  # Of GenerateEvent.
    reply: typing.Any = None
    # gRPC's name of the status, or what the client did: "gone", "unread"; None: it goes on.
    end: typing.Optional[str] = None
    details: str = ""
    trailers: dict = dataclasses.field(default_factory=dict)
    cancelled: bool = False  # By this client, whatever way.
    reached: bool = True  # False: the server's code may not have seen it.
    began: int = 0  # The world's count of things that happened.
    ended: int = 0
    accepted_at: int = 0

    def kinds(self):
        return [event.WhichOneof("event") for event in self.events]

    def accepted(self):
        return self.events[0].accepted if self.events and self.kinds()[0] == "accepted" else None

    def steps_total(self):
        """As the server tells; None: it did not get so far."""
        return next((event.progress.steps_total for event in self.events
                     if event.WhichOneof("event") == "progress"), None)

    def request_id(self):
        if self.accepted() is not None:
            return self.accepted().request_id
        return self.reply.receipt.request_id if isinstance(self.reply,
                                                           pb.GenerateImagesResponse) else None

    def images(self):
        if isinstance(self.reply, pb.GenerateImagesResponse):
            return list(self.reply.images)
        return [event.image for event in self.events if event.WhichOneof("event") == "image"]

    def receipt(self):
        if isinstance(self.reply, pb.GenerateImagesResponse):
            return self.reply.receipt
        if self.events and self.kinds()[-1] == "completed":
            return self.events[-1].completed.receipt
        return None


class World:
    """What the clients of a round share: a count of what happened, which moves the operator, and
    where the server is."""

    def __init__(self, clients, addresses):
        self.changed = threading.Condition()
        self.count = 0
        self.busy = set(range(clients))  # Those who do not wait for the others.
        self.addresses = addresses
        self.generation = 0  # Of the server: how many there were before it.
        self.signal = None
        self.signal_at = None
        self.calls = []
        self.told = []  # (count, text)
        self.old_log = ""  # Of the server that was ended.
        self.grown = None  # What /metrics grew by; None: by a server that is no more.

    def begin(self, call):
        call.began = self.tell(f"client {call.client}: {call.method} begins")
        with self.changed:
            self.calls.append(call)
        return call

    def tell(self, text):
        with self.changed:
            self.count += 1
            self.told.append((self.count, text))
            self.changed.notify_all()
            return self.count

    def event(self, call, event):
        call.events.append(event)
        at = self.tell(f"client {call.client}: {event_text(event)}")
        if len(call.events) == 1:
            call.accepted_at = at

    def end(self, call, end, details="", trailers=()):
        call.details = details
        call.trailers = dict(trailers or ())
        call.end = end
        call.ended = self.tell(
            f"client {call.client}: {call.method} ends: {end} {details[:200]}".rstrip())

    def await_true(self, condition, what):
        with self.changed:
            if not self.changed.wait_for(condition, PATIENCE_SECONDS):
                raise ItNeverEnds(what)

    def await_count(self, count):
        """Until so much has happened, or all that is left waits for others."""
        self.await_true(lambda: self.count >= count or not self.busy, f"{count} events")

    def await_others(self, client):
        """Until no client does anything but wait for the others."""
        self.idle(client)
        self.await_true(lambda: not self.busy, "the other clients")

    def await_restart(self, client, generation):
        """Until there is a server after that one."""
        self.idle(client)
        self.await_true(lambda: self.generation > generation, "a new server")
        with self.changed:
            self.busy.add(client)

    def idle(self, client):
        with self.changed:
            self.busy.discard(client)
            self.changed.notify_all()

    def signalled(self, what):
        with self.changed:
            self.signal, self.signal_at = what, self.count
        self.tell(f"operator: {what}")

    def restarted(self, addresses):
        with self.changed:
            self.addresses = addresses
            self.generation += 1
        self.tell("operator: a new server")


def event_text(event):
    kind = event.WhichOneof("event")
    body = getattr(event, kind)
    if kind == "accepted":
        return f"accepted {body.request_id}"
    if kind == "completed":
        return f"completed, version {body.receipt.model_version}"
    steps = f" step {body.steps_done}" if kind in ("progress", "preview") else ""
    more = f" kind {body.kind}" if kind == "preview" else ""
    return f"{kind} {body.image_index}{steps}{more}"
