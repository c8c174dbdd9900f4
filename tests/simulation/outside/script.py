"""What a seed decides: a server's flags, what each client does, what the operator does, and when.

When is never a time: it is "after so many events", as the clients see them."""

import dataclasses
import random
import typing

import pictures
from diffusiond.v1 import diffusion_pb2 as pb

ROUNDS_OF_A_LIFE = 10  # That one server lives through, unless it is ended by one of them.
VERSIONS = 2


@dataclasses.dataclass(frozen=True)
class Action:
    """A call, or several at once, or nonsense; actions.py says what each word means."""
    what: str
    requests: tuple = ()
    after: int = 0  # Events of the call after which the client does what it does.
    tenant: str = ""
    deadline: typing.Optional[float] = None  # Seconds.
    detail: str = ""
    long: bool = False
    data: bytes = b""

    def text(self):
        parts = [self.what]
        if self.detail:
            parts.append(self.detail)
        if self.after:
            parts.append(f"after={self.after}")
        if self.tenant:
            parts.append(f"tenant={self.tenant}")
        if self.deadline is not None:
            parts.append(f"deadline={self.deadline:.3f}s")
        if self.data:
            parts.append(f"bytes={len(self.data)}")
        return " ".join(parts + [f"({request_text(r)})" for r in self.requests])


@dataclasses.dataclass(frozen=True)
class Deed:
    """Of the operator: term, kill, or swap to a version."""
    after: int  # Events of all clients.
    what: str
    version: int = 0


@dataclasses.dataclass(frozen=True)
class Round:
    seed: int
    trouble: float  # The part of the clients that keep to no rule.
    clients: tuple  # Of tuples of Action.
    deeds: tuple
    last: Action  # Of an honest client, when the others are gone.

    def text(self):
        lines = [f"round seed={self.seed} trouble={self.trouble}"]
        for deed in self.deeds:
            version = f" to version {deed.version}" if deed.version else ""
            lines.append(f"  operator after={deed.after}: {deed.what}{version}")
        for number, actions in enumerate(self.clients):
            lines += [f"  client {number}: {action.text()}" for action in actions]
        lines.append(f"  client {len(self.clients)}, after them: {self.last.text()}")
        return "\n".join(lines)


def request_text(request):
    sampling = request.sampling
    words = [sampling.sampler or "-", f"steps={sampling.steps}"]
    for name in ("guidance_scale", "strength"):
        if sampling.HasField(name):
            words.append(f"{name}={getattr(sampling, name):g}")
    words += [f"{name}={getattr(request, name)}" for name in ("count", "seed", "class_id")
              if request.HasField(name)]
    words += [f"{name}={getattr(request, name)}"
              for name in ("model", "first_image_index", "format", "priority")
              if getattr(request, name)]
    words += [name for name in ("init_image", "mask", "init_noise", "model_digest")
              if getattr(request, name)]
    if request.preview.every_steps:
        words.append(f"preview={request.preview.every_steps}/{request.preview.kind}")
    return " ".join(words)


def life_of(seed):
    return seed // ROUNDS_OF_A_LIFE


def flags_of(seed):
    """The flags of the server that this round and its neighbours meet."""
    dice = random.Random(f"life {life_of(seed)}")
    tight = dice.random() < 0.5
    queued = dice.randint(6, 20) if tight else 1024
    return (
        f"--max_queued_images={queued}",
        f"--max_images_per_request={min(queued, 64)}",
        f"--max_resident_images={dice.randint(1, 8) if tight else 256}",
        f"--queue_share={dice.choice((0.5, 0.75, 1))}",
        f"--high_priority_share={dice.choice((0.1, 0.5, 1))}",
        f"--priority_ageing={dice.choice(('5ms', '100ms', '30s'))}",
        f"--tenant_weights={dice.choice(('', 'a=3', 'a=0.5,b=2'))}",
        f"--devices={dice.choice(('cpu', 'cpu', 'cpu:2'))}",
        f"--cpu_cores={dice.choice((2, 3, 4))}",
        f"--encoder_threads={dice.randint(1, 2)}",
        f"--max_queued_previews={dice.choice((0, 1, 64))}",
        "--progress_interval=0",  # Troubles begin after so many events.
        f"--max_queued_pictures={dice.choice((4, 64))}",
        f"--max_calls_per_connection={dice.choice((1, 2, 256))}",
        f"--stall_timeout={dice.choice(('1s', '2m', '2m', '2m'))}",
        f"--drain_timeout={dice.choice(('20ms', '100s', '100s'))}",
        f"--refusals_logged_per_second={dice.choice((0, 10))}",
    )


HONEST = ("stream", "stream", "stream", "images", "images", "burst", "deadline", "list", "get",
          "refused")
TROUBLE = ("cancel", "cancel", "forget", "close", "abort", "abort", "reset", "slow", "leave",
           "noise", "noise", "half")
REFUSED = ("fields", "model", "digest", "preview", "malformed", "method", "compressed", "tenant")
NOISE = ("bytes", "http1", "preface", "frames", "even_stream", "huge_frame", "long_message",
         "endless_headers", "metrics")


class Draw:
    """Draws one round."""

    def __init__(self, seed):
        self.seed = seed
        self.dice = random.Random(f"round {seed}")
        self.catalogue = pictures.catalogue(seed)
        self.stalls_soon = "--stall_timeout=1s" in flags_of(seed)

    def round(self):
        dice = self.dice
        trouble = dice.choice((0, 0.1, 0.4, 0.4, 0.9))
        clients = tuple(
            tuple(self.action(dice.random() < trouble) for _ in range(dice.randint(1, 3)))
            for _ in range(dice.choice((1, 3, 5, 8))))
        last = Action("images", (self.request(previews=False),))
        return Round(self.seed, trouble, clients, self.deeds(), last)

    def deeds(self):
        dice = self.dice
        deeds = [Deed(dice.randint(0, 60), "swap", dice.randint(1, VERSIONS))
                 for _ in range(dice.choice((0, 0, 1, 3)))]
        ends = dice.random()
        if ends < 0.12:
            deeds.append(Deed(dice.randint(1, 60), "term" if ends < 0.07 else "kill"))
        return tuple(sorted(deeds, key=lambda deed: deed.after))

    def request(self, most=3, previews=True):
        dice = self.dice
        fields = dict(dice.choice(self.catalogue))
        fields["count"] = dice.randint(1, most)
        if dice.random() < 0.2:
            fields["first_image_index"] = dice.randint(1, 2)
        return self.with_choices(fields, previews)

    def long_request(self, previews=True):
        fields = pictures.long_family(self.dice)
        fields["count"] = self.dice.randint(1, 4)
        return self.with_choices(fields, previews)

    def with_choices(self, fields, previews):
        dice = self.dice
        if previews and dice.random() < 0.6:
            most = min(2, fields["sampling"]["steps"])
            fields["preview"] = {"every_steps": dice.randint(1, most),
                                 "kind": dice.randrange(4), "max_side": dice.choice((0, 4)),
                                 "format": dice.randrange(4)}
        fields["priority"] = dice.randrange(4)
        return pb.GenerateRequest(**fields)

    def action(self, troubled):
        dice = self.dice
        what = dice.choice(TROUBLE if troubled else HONEST)
        if what == "leave" and self.stalls_soon and dice.random() < 0.3:
            what = "outwait"
        fields = {"tenant": dice.choice(("", "a", "b"))}
        if what in ("images", "burst"):
            calls = dice.randint(2, 6) if what == "burst" else 1
            fields["requests"] = tuple(self.request(previews=False) for _ in range(calls))
        elif what in ("cancel", "forget", "close", "abort", "reset"):
            fields["long"] = dice.random() < 0.6
            fields["detail"] = dice.choice(("Generate", "Generate", "GenerateImages"))
            if what == "forget" or fields["long"]:
                fields["detail"] = "Generate"
            previews = fields["detail"] == "Generate"
            fields["requests"] = ((self.long_request if fields["long"] else self.request)(
                previews=previews),)
            fields["after"] = dice.choice((0, 1, 2, 5, 12)) if previews else 0
        elif what == "deadline":
            fields["requests"] = (self.request(),)
            fields["deadline"] = dice.choice((0.001, 0.02, 0.1, 30.0))
        elif what in ("stream", "slow", "leave", "outwait"):
            fields["requests"] = (self.request(),)
        elif what == "refused":
            fields["detail"] = dice.choice(REFUSED)
            request = self.request(previews=False)
            for waits_to_be_read in ("init_image", "mask"):
                request.ClearField(waits_to_be_read)
            fields["requests"] = (request,)
        elif what == "half":
            fields["detail"] = dice.choice(("Generate", "GenerateImages", "ListModels"))
            fields["requests"] = (self.request(previews=False),)
        elif what == "noise":
            fields["detail"] = dice.choice(NOISE)
            fields["data"] = dice.randbytes(dice.choice((1, 9, 100, 5000)))
        return Action(what, **fields)


def draw_round(seed):
    return Draw(seed).round()
