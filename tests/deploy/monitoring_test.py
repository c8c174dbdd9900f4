"""Holds what is said of metrics against the built programs: dashboards, rules and documents name
metrics that are exposed, and all of them; rules and expressions fit Prometheus."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest
import urllib.request
import zlib

import yaml

import documents
from diffusiond_process import BIN, SOURCE, Diffusiond, eventually

DEPLOY = os.path.join(SOURCE, "deploy")


def grey_png(side, level):
    """A PNG of one grey level."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + bytes([level * 20]) * side for _ in range(side))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


class MonitoringTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Diffusiond() as server:
            subprocess.run([os.path.join(BIN, "diffusionctl"), "generate",
                            f"--server={server.address}", "--class=3", "--steps=3", "--count=2",
                            f"--out={server.directory}/images", "--quiet"], check=True, capture_output=True,
                           timeout=120)
            text = server.metrics_text()
        cls.samples = set(re.findall(r"^(\w+)(?:\{| )", text, re.MULTILINE))
        cls.families = set(re.findall(r"^# TYPE (diffusiond_\w+) ", text, re.MULTILINE))

    def assert_exposed(self, where, expression):
        for name in re.findall(r"\bdiffusiond_\w+", expression):
            self.assertTrue(name in self.samples, f"{where} asks for {name}, which is not exposed")

    def test_the_dashboard_asks_for_metrics_that_exist(self):
        dashboard = json.loads(read("deploy/grafana/diffusiond.json"))
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        self.assertGreater(len(panels), 8)
        for panel in panels:
            for target in panel["targets"]:
                self.assertIn("diffusiond_", target["expr"])
                self.assert_exposed(panel["title"], target["expr"])

    def test_the_rules_ask_for_metrics_that_exist(self):
        for group in yaml.safe_load(read("deploy/prometheus/rules.yml"))["groups"]:
            for rule in group["rules"]:
                self.assert_exposed(rule["alert"], rule["expr"])

    def test_the_autoscalers_ask_for_metrics_that_exist(self):
        for path in ("deploy/prometheus/adapter.yml",
                     "deploy/kubernetes/components/autoscaling-keda/scaled-object.yaml"):
            asked = re.findall(r"diffusiond_\w+", read(path))
            self.assertTrue(asked, path)
            self.assert_exposed(path, " ".join(asked))

    def test_the_table_of_metrics_names_every_metric(self):
        table = documents.section(read("server/README.md"), "Metrics")
        self.assertEqual(set(re.findall(r"`(diffusiond_\w+)`", table)), self.families)

    def test_documents_name_metrics_that_exist(self):
        for where, text in documents.documents(SOURCE).items():
            for name in re.findall(r"\bdiffusiond_\w+", text):
                with self.subTest(where=where):
                    self.assertIn(name, self.families | self.samples)

    def test_the_dashboard_shows_every_metric(self):
        text = read("deploy/grafana/diffusiond.json")
        self.assertEqual({name for name in self.families if name not in text}, set())

    def test_promtool_accepts_configuration_and_rules(self):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("no promtool here (Debian package prometheus)")
        folder = os.path.join(DEPLOY, "prometheus")
        for arguments in (["check", "config", "prometheus.yml"], ["check", "rules", "rules.yml"],
                          ["test", "rules", "rules_test.yml"]):
            reply = subprocess.run([promtool, *arguments], cwd=folder, text=True,
                                   capture_output=True, check=False)
            self.assertEqual(reply.returncode, 0, reply.stdout + reply.stderr)

    def test_dashboard_expressions_parse(self):
        for name in ("diffusiond.json", "diffusion-train.json"):
            with self.subTest(dashboard=name):
                self.assert_expressions_parse(
                    [target["expr"].replace("$__rate_interval", "5m")
                     for panel in json.loads(read("deploy/grafana/" + name))["panels"]
                     for target in panel.get("targets", [])])

    def test_expressions_of_documents_parse(self):
        found = []
        for text in documents.documents(SOURCE).values():
            for block in documents.blocks(text, "promql"):
                # A comment before each.
                found += [part for part in re.split(r"^#.*\n", block, flags=re.MULTILINE) if part]
        self.assertGreater(len(found), 2)
        self.assert_expressions_parse(found)

    def assert_expressions_parse(self, expressions):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("no promtool here (Debian package prometheus)")
        rules = {"groups": [{"name": "all", "rules": [
            {"record": f"expression:{number}", "expr": expression}
            for number, expression in enumerate(expressions)]}]}
        reply = subprocess.run([promtool, "check", "rules", "/dev/stdin"], text=True,
                               input=yaml.safe_dump(rules), capture_output=True, check=False)
        self.assertEqual(reply.returncode, 0, reply.stdout + reply.stderr)


class CapacityTest(unittest.TestCase):
    """The expressions of the guide's section of that name give what its formulas ask for."""

    # What two replicas count in a minute each; a worker each.
    A_MINUTE = {
        'diffusiond_step_duration_seconds_sum{model="m", ': 5,
        'diffusiond_step_overhead_seconds_total{model="m", ': 1,
        'diffusiond_network_passes_total{model="m", ': 3000,
        'diffusiond_images_total{format="png", ': 60,
    }
    VALUES = {"s": 0.1, "c": 0.002, "busy": 0.1}

    def test_values(self):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("no promtool here (Debian package prometheus)")
        section = documents.section(read("server/README.md"), "Capacity")
        [block] = documents.blocks(section, "promql")
        _, *parts = re.split(r"^# (\w+):.*\n", block, flags=re.MULTILINE)
        expressions = dict(zip(parts[::2], parts[1::2]))
        self.assertEqual(set(expressions), set(self.VALUES))
        series = [{"series": f'{name}instance="{instance}"}}', "values": f"0+{count}x20"}
                  for name, count in self.A_MINUTE.items() for instance in "ab"]
        series += [{"series": f'diffusiond_worker_up{{worker="cpu", instance="{instance}"}}',
                    "values": "1x20"} for instance in "ab"]
        cases = [{"expr": f"round({expressions[name]}, 0.001)", "eval_time": "15m",
                  "exp_samples": [{"labels": "{}", "value": value}]}
                 for name, value in self.VALUES.items()]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"evaluation_interval": "1m", "tests": [
                {"interval": "1m", "input_series": series, "promql_expr_test": cases}]}, file)
            file.flush()
            reply = subprocess.run([promtool, "test", "rules", file.name], text=True,
                                   capture_output=True, check=False)
        self.assertEqual(reply.returncode, 0, reply.stdout + reply.stderr)


class TrainingMonitoringTest(unittest.TestCase):
    """The dashboard of diffusion-train, against a short run that is scraped while it goes."""

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as directory, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            free.close()
            os.mkdir(os.path.join(directory, "data"))
            for number in range(8):
                with open(os.path.join(directory, "data", f"{number}.png"), "wb") as file:
                    file.write(grey_png(8, number))
            with open(os.path.join(directory, "log"), "wb") as log:
                training = subprocess.Popen(
                    [os.path.join(BIN, "diffusion-train"), f"--data={directory}/data",
                     f"--out={directory}/run", "--channels=8,8", "--attention_at=",
                     "--attention_head_dim=8", "--steps=100000", "--batch_size=2",
                     "--log_every=2", "--save_every=2", "--sample_every=0", "--threads=1",
                     "--held_out=0.25", f"--metrics_port={port}"],
                    stdout=log, stderr=log)
            cls.text = ""

            def scraped():
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
                        cls.text = reply.read().decode()
                except OSError:
                    if training.poll() is not None:
                        with open(os.path.join(directory, "log"), encoding="utf-8") as log:
                            raise AssertionError(log.read()) from None
                    return False
                return re.search(r"^diffusion_train_saved_step [1-9]", cls.text, re.MULTILINE)
            try:
                eventually(scraped, "metrics of a step")
            finally:
                training.kill()
                training.wait()
        cls.families = set(re.findall(r"^# TYPE (diffusion_train_\w+) ", cls.text, re.MULTILINE))

    def test_metrics_of_a_run_are_served(self):
        for name in ("step", "images_per_second", "loss", "gradient_norm", "waiting_ratio"):
            self.assertIn(f"diffusion_train_{name}", self.families)
        self.assertEqual(len(re.findall(r'^diffusion_train_loss_by_level\{level="\d"\} ', self.text,
                                        re.MULTILINE)), 10)

    def test_the_dashboard_shows_these_metrics_and_no_others(self):
        dashboard = json.loads(read("deploy/grafana/diffusion-train.json"))
        asked = set()
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                names = re.findall(r"\bdiffusion_train_\w+", target["expr"])
                self.assertTrue(names, panel["title"])
                asked.update(names)
        self.assertEqual(asked - self.families, set())
        self.assertEqual(self.families - asked, set())

    def test_the_guide_names_every_metric(self):
        guide = read("model/training/README.md")
        self.assertEqual(set(re.findall(r"`(diffusion_train_\w+)`", guide)), self.families)


if __name__ == "__main__":
    unittest.main()
