"""Holds deploy/ and the Dockerfile against the built programs: flags and ports that they name must
exist, manifests must fit Kubernetes' schemas. Dashboards and rules are monitoring_test.py's."""

import functools
import glob
import json
import os
import re
import unittest

import yaml

import commands
import manifests
from diffusiond_process import BIN
from manifests import DEPLOY, OVERLAYS, containers, read

GRPC_PORT = 50051
METRICS_PORT = 9464
HTTP_PORT = 8080


@functools.lru_cache(maxsize=None)
def known_flags(program):
    return commands.known_flags(BIN, program)


def everything():
    return [resource for overlay in OVERLAYS for resource in manifests.resources(overlay)]


def of_kind(kind):
    return manifests.of_kind(everything(), kind)


def seconds(duration):
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m|h)", duration).groups()
    return float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


class ManifestsTest(unittest.TestCase):
    def test_every_resource_fits_its_schema(self):
        for resource in everything():
            with self.subTest(resource=resource["metadata"]["name"]):
                manifests.assert_fits_schema(self, resource)

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
            with self.subTest(resource=resource["metadata"]["name"]):
                manifests.assert_confined(self, resource)

    def test_an_eviction_takes_one_server_at_a_time(self):
        [budget] = of_kind("PodDisruptionBudget")
        self.assertEqual(budget["spec"]["maxUnavailable"], 1)
        self.assertEqual(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow")

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
        self.assertIn(f":{HTTP_PORT}", known_flags("diffusiond")["http_listen"])

    def test_everything_that_names_a_port_names_these(self):
        text = read("Dockerfile")
        self.assertRegex(text, rf"(?m)^EXPOSE {GRPC_PORT} {HTTP_PORT} {METRICS_PORT}$")
        self.assertIn(f"--http_listen=0.0.0.0:{HTTP_PORT}", text)
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

    def test_of_a_transcript_what_was_typed_counts(self):
        text = "```console\n$ diffusiond --a \\\n  --b\ndiffusiond --c\n```\n"
        self.assertEqual(list(commands.invocations(commands.markdown_shell(text))),
                         [("diffusiond", ["a", "b"])])

    def test_commands_in_a_block_without_label_are_found(self):
        text = ("text\n\n```\n$ ls\nbuild/dev/bin/diffusiond --a\nthe diffusiond\n```\n\n"
                "```sh\ndiffusiond\n```\n\n```\ndiffusionctl models\n```\n")
        self.assertEqual(list(commands.commands_without_label(text)),
                         [("$ ls", 4), ("build/dev/bin/diffusiond --a", 5),
                          ("diffusionctl models", 14)])


if __name__ == "__main__":
    unittest.main()
