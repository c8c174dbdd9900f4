"""What a server of diffusiond carries, from what its /metrics say: the formulas of server/README.md,
"Capacity"."""

import dataclasses
import math
import re

SAMPLE = re.compile(r"^(\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Reading:
    """One look at /metrics; of two, the difference tells of the time between them."""
    busy_seconds: float  # Of all workers together: step batches and what lies between them.
    passes: float
    images: float
    workers: int

    @classmethod
    def of(cls, text):
        totals = {}
        for name, value in SAMPLE.findall(text):
            totals[name] = totals.get(name, 0.0) + float(value)
        return cls(busy_seconds=totals["diffusiond_step_duration_seconds_sum"] +
                   totals["diffusiond_step_overhead_seconds_total"],
                   passes=totals["diffusiond_network_passes_total"],
                   images=totals.get("diffusiond_images_total", 0.0),
                   workers=int(totals["diffusiond_worker_up"]))

    def since(self, earlier):
        return dataclasses.replace(self, busy_seconds=self.busy_seconds - earlier.busy_seconds,
                                   passes=self.passes - earlier.passes,
                                   images=self.images - earlier.images)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a pass costs, and how many an image takes. Rates are images a second of one server."""
    seconds_a_pass: float  # Of one worker.
    passes_an_image: float
    workers: int

    @classmethod
    def of(cls, change):
        """Of what changed between two readings, with images in between."""
        return cls(change.busy_seconds / change.passes, change.passes / change.images,
                   change.workers)

    @property
    def capacity(self):
        """The rate at which all workers are busy all the time."""
        return self.workers / (self.seconds_a_pass * self.passes_an_image)

    def busy(self, rate):
        """The part of the time that workers work; 1 and above: the queue grows."""
        return rate / self.capacity

    def latency(self, rate, passes):
        """Mean seconds of a request of so many passes where all that are there share the workers
        equally (M/G/1 with processor sharing)."""
        busy = self.busy(rate)
        return self.seconds_a_pass * passes / (1 - busy) if busy < 1 else math.inf

    def latency_in_order(self, rate, passes):
        """The same where all requests are alike and are drawn one after the other (M/D/1)."""
        busy = self.busy(rate)
        return (self.seconds_a_pass * passes * (1 + busy / (2 * (1 - busy))) if busy < 1 else
                math.inf)

    def replicas(self, rate, busy):
        """How many servers keep below a busy part at a rate of all together."""
        return math.ceil(round(self.busy(rate) / busy, 9))

    def backlog_seconds(self, images):
        """How long a server draws at so many images."""
        return images / self.capacity
