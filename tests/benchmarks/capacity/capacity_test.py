"""The arithmetic of capacity.py, on readings made up for it, and its metrics against the server's."""

import inspect
import math
import os
import re
import unittest

import capacity
from capacity import Cost, Reading

SOURCE = os.environ["DIFFUSIOND_SOURCE_DIR"]


def metrics(steps, overhead, passes, images, workers=1):
    """As /metrics has them: several series of a name count together."""
    up = "\n".join(f'diffusiond_worker_up{{worker="{number}"}} 1' for number in range(workers))
    return f"""# HELP diffusiond_step_duration_seconds One step batch
# TYPE diffusiond_step_duration_seconds histogram
diffusiond_step_duration_seconds_count{{model="a"}} 900
diffusiond_step_duration_seconds_sum{{model="a"}} {steps}
diffusiond_step_duration_seconds_sum{{model="b"}} 0.5
diffusiond_step_duration_seconds_bucket{{model="a",le="+Inf"}} 900
diffusiond_step_overhead_seconds_total{{model="a"}} {overhead}
diffusiond_network_passes_total{{model="a"}} {passes}
diffusiond_images_total{{format="png"}} {images}
diffusiond_images_total{{format="webp"}} 3
{up}
"""


class ReadingTest(unittest.TestCase):
    def test_it_reads_the_sums_of_series(self):
        self.assertEqual(Reading.of(metrics(8, 1.5, 2e4, 97, workers=2)),
                         Reading(busy_seconds=10.0, passes=20000, images=100, workers=2))

    def test_before_the_first_image_there_is_no_series_of_images(self):
        text = re.sub("diffusiond_images_total.*\n", "", metrics(1, 0, 1, 1))
        self.assertEqual(Reading.of(text).images, 0)

    def test_a_difference_tells_of_the_time_between(self):
        first, second = (Reading.of(metrics(*values)) for values in ((8, 1, 100, 10), (14, 2, 500, 30)))
        self.assertEqual(second.since(first),
                         Reading(busy_seconds=7.0, passes=400, images=20, workers=1))

    def test_its_metrics_are_the_servers(self):
        with open(os.path.join(SOURCE, "server/metrics/server_metrics.cc"), encoding="utf-8") as file:
            registered = file.read()
        asked = re.findall(r'"(diffusiond_\w+)"', inspect.getsource(capacity))
        self.assertEqual(len(asked), 5)
        for name in asked:
            self.assertIn(f'"{name.removesuffix("_sum")}"', registered)


class CostTest(unittest.TestCase):
    COST = Cost(seconds_a_pass=0.002, passes_an_image=50, workers=1)  # A tenth of a second.

    def test_it_is_of_what_changed(self):
        cost = Cost.of(Reading(busy_seconds=4.0, passes=2000, images=40, workers=2))
        self.assertEqual(cost, Cost(0.002, 50, 2))
        self.assertEqual(cost.capacity, 20)

    def test_the_workers_are_busy_for_what_is_asked(self):
        self.assertEqual(self.COST.capacity, 10)
        self.assertEqual(self.COST.busy(5), 0.5)
        self.assertEqual(self.COST.busy(12), 1.2)

    def test_latency(self):
        for rate, shared, in_order in ((0, 0.1, 0.1), (5, 0.2, 0.15), (8, 0.5, 0.3),
                                       (10, math.inf, math.inf), (11, math.inf, math.inf)):
            with self.subTest(rate=rate):
                self.assertAlmostEqual(self.COST.latency(rate, 50), shared)
                self.assertAlmostEqual(self.COST.latency_in_order(rate, 50), in_order)
        self.assertAlmostEqual(self.COST.latency(5, 500), 2.0)  # Ten times the work, and the wait.

    def test_replicas(self):
        for rate, busy, replicas in ((1, 0.7, 1), (7, 0.7, 1), (7.1, 0.7, 2), (21, 0.7, 3), (100, 0.5, 20)):
            with self.subTest(rate=rate):
                self.assertEqual(self.COST.replicas(rate, busy), replicas)

    def test_a_backlog_takes_as_long_as_its_images(self):
        self.assertAlmostEqual(self.COST.backlog_seconds(64), 6.4)


if __name__ == "__main__":
    unittest.main()
