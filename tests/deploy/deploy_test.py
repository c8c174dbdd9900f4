"""Holds deploy/ and the Dockerfile against the built programs: flags, ports and metrics that they
name must exist, manifests must fit Kubernetes' schemas, rules must fit Prometheus. The documents'
metrics, too; what else they say is documents_test.py's."""

import functools
import glob
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

import commands
import documents
from diffusiond_process import BIN, SOURCE, Diffusiond, eventually

DEPLOY = os.path.join(SOURCE, "deploy")
SCHEMAS = os.environ.get("DIFFUSIOND_K8S_SCHEMAS", os.path.join(
    SOURCE, "..", "shared", "k8s-schemas", "v1.32.2-standalone-strict"))
GRPC_PORT = 50051
METRICS_PORT = 9464


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


@functools.lru_cache(maxsize=None)
def known_flags(program):
    return commands.known_flags(BIN, program)


@functools.lru_cache(maxsize=None)
def resources(overlay):
    """What a kustomization yields; without kubectl, the resource files that it names."""
    directory = os.path.join(DEPLOY, overlay)
    if shutil.which("kubectl"):
        text = subprocess.run(["kubectl", "kustomize", directory], text=True, capture_output=True,
                              check=True).stdout
        return list(yaml.safe_load_all(text))
    found = []
    for name in yaml.safe_load(read("deploy", overlay, "kustomization.yaml"))["resources"]:
        found += yaml.safe_load_all(read("deploy", overlay, name))
    return found


OVERLAYS = ("kubernetes", "kubernetes/trainer", "kubernetes/trainer-distributed")


def everything():
    return [resource for overlay in OVERLAYS for resource in resources(overlay)]


def of_kind(kind):
    return [resource for resource in everything() if resource["kind"] == kind]


def containers(workload):
    pod = workload["spec"]["template"]["spec"]
    return pod.get("initContainers", []) + pod["containers"]


def seconds(duration):
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m|h)", duration).groups()
    return float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


class ManifestsTest(unittest.TestCase):
    def test_every_resource_fits_its_schema(self):
        if not os.path.isdir(SCHEMAS):
            self.skipTest(f"no Kubernetes schemas in {SCHEMAS}; set DIFFUSIOND_K8S_SCHEMAS")
        import jsonschema
        for resource in everything():
            group, _, version = resource["apiVersion"].rpartition("/")
            name = "-".join(filter(None, (resource["kind"].lower(), group.split(".")[0], version)))
            with self.subTest(resource=name):
                with open(os.path.join(SCHEMAS, name + ".json"), encoding="utf-8") as file:
                    jsonschema.Draft7Validator(json.load(file)).validate(resource)

    def test_every_kind_that_serving_and_training_take_is_there(self):
        kinds = {resource["kind"] for resource in everything()}
        self.assertEqual(kinds, {"Deployment", "Service", "PersistentVolumeClaim",
                                 "PodDisruptionBudget", "Job"})

    def test_every_file_belongs_to_a_kustomization(self):
        for overlay in OVERLAYS:
            named = set(yaml.safe_load(read("deploy", overlay, "kustomization.yaml"))["resources"])
            there = {os.path.basename(path)
                     for path in glob.glob(os.path.join(DEPLOY, overlay, "*.yaml"))}
            self.assertEqual(there, named | {"kustomization.yaml"})

    def test_every_container_is_confined(self):
        for resource in of_kind("Deployment") + of_kind("Job"):
            pod = resource["spec"]["template"]["spec"]
            with self.subTest(resource=resource["metadata"]["name"]):
                self.assertTrue(pod["securityContext"]["runAsNonRoot"])
                self.assertEqual(pod["securityContext"]["seccompProfile"]["type"],
                                 "RuntimeDefault")
                for container in containers(resource):
                    context = container["securityContext"]
                    self.assertTrue(context["readOnlyRootFilesystem"])
                    self.assertFalse(context["allowPrivilegeEscalation"])
                    self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                    self.assertIn("memory", container["resources"]["limits"])

    def test_volumes_claims_and_selectors_meet(self):
        claims = {claim["metadata"]["name"] for claim in of_kind("PersistentVolumeClaim")}
        for resource in of_kind("Deployment") + of_kind("Job"):
            pod = resource["spec"]["template"]["spec"]
            volumes = {volume["name"]: volume for volume in pod["volumes"]}
            for volume in volumes.values():
                if "persistentVolumeClaim" in volume:
                    self.assertIn(volume["persistentVolumeClaim"]["claimName"], claims)
            for container in containers(resource):
                for mount in container["volumeMounts"]:
                    self.assertIn(mount["name"], volumes)
        labels = [resource["spec"]["template"]["metadata"]["labels"].items()
                  for resource in of_kind("Deployment") + of_kind("Job")]
        for selector in ([service["spec"]["selector"] for service in of_kind("Service")] +
                         [budget["spec"]["selector"]["matchLabels"]
                          for budget in of_kind("PodDisruptionBudget")]):
            self.assertEqual(sum(selector.items() <= some for some in labels), 1, selector)

    def test_distributed_trainers_find_each_other(self):
        [job] = [job for job in of_kind("Job") if "completions" in job["spec"]]
        name, spec = job["metadata"]["name"], job["spec"]
        pod = spec["template"]["spec"]
        [container] = pod["containers"]
        variables = {entry["name"]: entry["value"] for entry in container["env"]}
        self.assertEqual(spec["completionMode"], "Indexed")
        self.assertEqual(variables["WORLD_SIZE"], str(spec["completions"]))
        self.assertEqual(spec["parallelism"], spec["completions"])
        self.assertEqual(variables["MASTER_ADDR"], f"{name}-0.{pod['subdomain']}")
        [service] = [service for service in of_kind("Service")
                     if service["metadata"]["name"] == pod["subdomain"]]
        self.assertEqual(service["spec"]["clusterIP"], "None")
        self.assertTrue(service["spec"]["publishNotReadyAddresses"])
        for port in (service["spec"]["ports"][0]["port"], container["ports"][0]["containerPort"]):
            self.assertEqual(variables["MASTER_PORT"], str(port))
        self.assertIn("--resume", container["args"])
        [batch] = [int(argument.partition("=")[2]) for argument in container["args"]
                   if argument.startswith("--batch_size=")]
        self.assertEqual(batch % spec["completions"], 0)

    def test_a_pod_outlives_its_drain(self):
        [deployment] = of_kind("Deployment")
        pod = deployment["spec"]["template"]["spec"]
        arguments = " ".join(pod["containers"][0]["args"])
        drain = seconds(re.search(r"--drain_timeout=(\S+)", arguments).group(1))
        self.assertGreater(pod["terminationGracePeriodSeconds"], drain)

    def test_the_server_uses_the_cores_that_it_requests(self):
        [deployment] = of_kind("Deployment")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        self.assertIn(f"--cpu_cores={container['resources']['requests']['cpu']}",
                      container["args"])

    def test_probes_ask_the_grpc_port(self):
        [deployment] = of_kind("Deployment")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertEqual(container[probe]["grpc"]["port"], GRPC_PORT)

    def test_only_readiness_waits_for_a_model(self):
        [deployment] = of_kind("Deployment")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        self.assertNotIn("service", container["readinessProbe"]["grpc"])
        for probe in ("startupProbe", "livenessProbe"):
            self.assertEqual(container[probe]["grpc"]["service"], "liveness", probe)


class FlagsTest(unittest.TestCase):
    def assert_flags_exist(self, where, program, flags):
        with self.subTest(where=where, program=program):
            self.assertTrue(known_flags(program), f"{program} names no flag")
            for flag in flags:
                self.assertTrue(flag.replace("-", "_") in known_flags(program),
                                f"{where}: {program} has no --{flag}")

    def test_manifests(self):
        seen = set()
        for resource in of_kind("Deployment") + of_kind("Job"):
            for container in containers(resource):
                words = container.get("command", ["diffusiond"]) + container["args"]
                lines = ([commands.parsed(words)] if words[0] != "/bin/sh" else
                         commands.invocations(words[-1]))
                for program, flags in lines:
                    self.assert_flags_exist(resource["metadata"]["name"], program, flags)
                    seen.add(program)
        self.assertEqual(seen, {"diffusiond", "diffusion-publish", "diffusion-train"})

    def test_dockerfile(self):
        text = read("Dockerfile")
        entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE).group(1))
        self.assertEqual(entry, ["diffusiond"])
        found = re.findall(r"^\s*CMD (.*)$", text, re.MULTILINE)
        health, arguments = (json.loads(line) for line in found)
        self.assert_flags_exist("Dockerfile", *commands.parsed(health))
        self.assert_flags_exist("Dockerfile", *commands.parsed(entry + arguments))

    def test_scripts(self):
        for program, flags in commands.invocations(read("deploy/quickstart.sh")):
            self.assert_flags_exist("deploy/quickstart.sh", program, flags)

    def test_what_the_scripts_run_is_seen(self):
        found = {program for program, _ in commands.invocations(read("deploy/quickstart.sh"))}
        self.assertLessEqual({"diffusiond", "diffusionctl health", "diffusionctl generate"}, found)


class PortsTest(unittest.TestCase):
    def test_defaults_of_the_server(self):
        self.assertIn(f":{GRPC_PORT}", known_flags("diffusiond")["listen"])
        self.assertIn(f":{METRICS_PORT}", known_flags("diffusiond")["metrics_listen"])

    def test_everything_that_names_a_port_names_these(self):
        text = read("Dockerfile")
        self.assertRegex(text, rf"(?m)^EXPOSE {GRPC_PORT} {METRICS_PORT}$")
        self.assertIn(f"--server=127.0.0.1:{GRPC_PORT}", text)
        [deployment] = of_kind("Deployment")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        self.assertEqual({port["name"]: port["containerPort"] for port in container["ports"]},
                         {"grpc": GRPC_PORT, "metrics": METRICS_PORT})
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        self.assertEqual(annotations["prometheus.io/port"], str(METRICS_PORT))
        for arguments in (text, " ".join(container["args"])):
            self.assertRegex(arguments, rf"--listen=0\.0\.0\.0:{GRPC_PORT}\b")
            self.assertRegex(arguments, rf"--metrics_listen=0\.0\.0\.0:{METRICS_PORT}\b")
        [service] = [service for service in of_kind("Service")
                     if service["metadata"]["name"] == "diffusiond"]
        self.assertEqual(service["spec"]["clusterIP"], "None")
        self.assertEqual({port["name"]: port["port"] for port in service["spec"]["ports"]},
                         {"grpc": GRPC_PORT, "metrics": METRICS_PORT})
        targets = yaml.safe_load(read("deploy/prometheus/prometheus.yml"))["scrape_configs"]
        self.assertEqual(targets[0]["static_configs"][0]["targets"], [f"127.0.0.1:{METRICS_PORT}"])


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

    def test_the_table_of_metrics_names_every_metric(self):
        table = documents.section(read("server/README.md"), "Metrics")
        self.assertEqual(set(re.findall(r"`(diffusiond_\w+)`", table)), self.families)

    def test_documents_name_metrics_that_exist(self):
        for where, text in documents.documents(SOURCE).items():
            for name in re.findall(r"\bdiffusiond_\w+", text):
                with self.subTest(where=where):
                    self.assertIn(name, self.families)

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
                self.assert_expressions_parse(name)

    def assert_expressions_parse(self, name):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("no promtool here (Debian package prometheus)")
        expressions = [target["expr"].replace("$__rate_interval", "5m")
                       for panel in json.loads(read("deploy/grafana/" + name))["panels"]
                       for target in panel.get("targets", [])]
        rules = {"groups": [{"name": "dashboard", "rules": [
            {"record": f"panel:{number}", "expr": expression}
            for number, expression in enumerate(expressions)]}]}
        reply = subprocess.run([promtool, "check", "rules", "/dev/stdin"], text=True,
                               input=yaml.safe_dump(rules), capture_output=True, check=False)
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


class CommandsTest(unittest.TestCase):
    """The reader of command lines sees what it should."""

    def test_invocations(self):
        cases = (
            ("build/bin/diffusiond --listen=x --devices=cpu",
             [("diffusiond", ["listen", "devices"])]),
            ("diffusionctl generate --class=bag \\\n  --count=4 > log",
             [("diffusionctl generate", ["class", "count"])]),
            ('"$bin/diffusiond" --listen="$a" & pid=$!', [("diffusiond", ["listen"])]),
            ("if ! $bin/diffusionctl health --wait=60s; then", [("diffusionctl health", ["wait"])]),
            ('diffusionctl load --mix="short steps=2; long | steps=9" --csv=a  # x; diffusiond --b',
             [("diffusionctl load", ["mix", "csv"])]),
            ("torchrun --no_python --nproc_per_node=2 \\\n  diffusion-train --resume",
             [("diffusion-train", ["resume"])]),
            ("# diffusiond --sorcery", []),
            ("docker run diffusiond --listen=x", []),
            ("cmake --build build --target diffusiond", []),
        )
        for text, expected in cases:
            with self.subTest(text=text):
                self.assertEqual(list(commands.invocations(text)), expected)

    def test_only_shell_blocks_of_a_document_count(self):
        text = "```sh\ndiffusiond --a\n```\n```python\ndiffusiond --b\n```\n"
        self.assertEqual(commands.markdown_shell(text), "diffusiond --a\n")


if __name__ == "__main__":
    unittest.main()
