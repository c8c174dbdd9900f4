"""Holds the kustomize components of deploy/kubernetes/components to schemas, to the servers that they
are put beside, to the programs' ports, and to what stands elsewhere a second time."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

import commands
import manifests
from autoscalers import adapter_rule, all_files, keda_expression, only, parts_of
from diffusiond_process import BIN, Diffusiond
from manifests import COMPONENTS as FOLDER, DEPLOY, of_kind, read

AUTOSCALERS = ("autoscaling-hpa", "autoscaling-keda")
OTHERS = ("monitoring", "network-policy", "secured")
GRPC_PORT = 50051
METRICS_PORT = 9464

TEXT = {"type": "string", "minLength": 1}


def strict(required, **optional):
    """The schema of an object that has these fields and no others."""
    return {"type": "object", "additionalProperties": False, "required": list(required),
            "properties": {**required, **optional}}


def scaled_object_schema(behaviour):
    """Of the fields that ours has (https://keda.sh/docs/latest/reference/scaledobject-spec and its
    Prometheus scaler): KEDA publishes no standalone schema. Behaviour is an HPA's own."""
    replicas = {"type": "integer", "minimum": 1}
    trigger = strict({"type": {"const": "prometheus"}, "metadata": strict(
        {"serverAddress": {"type": "string", "pattern": r"^https?://[\w.-]+:\d+$"}, "query": TEXT,
         # KEDA's metadata are text, numbers too.
         "threshold": {"type": "string", "pattern": r"^\d+(\.\d+)?$"}},
        ignoreNullValues={"enum": ["true", "false"]})},
        metricType={"enum": ["AverageValue", "Value"]})
    return strict({
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "kind": {"const": "ScaledObject"},
        "metadata": strict({"name": TEXT}, labels={"type": "object"}),
        "spec": strict(
            {"scaleTargetRef": strict({"name": TEXT}, apiVersion=TEXT, kind=TEXT),
             "triggers": {"type": "array", "minItems": 1, "items": trigger}},
            minReplicaCount=replicas, maxReplicaCount=replicas, pollingInterval=replicas,
            advanced=strict({"horizontalPodAutoscalerConfig": strict({"behavior": behaviour})})),
    })


def kustomized(test, *components):
    made = manifests.with_components(*components)
    if made is None:
        test.skipTest("no kubectl here, which has kustomize")
    return made


class FilesTest(unittest.TestCase):
    def test_every_component_is_tested(self):
        self.assertEqual(set(os.listdir(FOLDER)), {*AUTOSCALERS, *OTHERS})

    def test_the_guide_names_every_component(self):
        named = re.findall(r"^\| `deploy/kubernetes/components/([\w-]+)` ",
                           read("server/README.md"), re.MULTILINE)
        self.assertEqual(sorted(named), sorted(os.listdir(FOLDER)))

    def test_every_file_belongs_to_its_component(self):
        for name in os.listdir(FOLDER):
            kustomization = yaml.safe_load(read(FOLDER, name, "kustomization.yaml"))
            self.assertEqual(kustomization["kind"], "Component")
            self.assertEqual(set(os.listdir(os.path.join(FOLDER, name))),
                             {"kustomization.yaml", *kustomization.get("resources", ())})

    def test_resources_fit_their_schemas(self):
        for resource in all_files():
            with self.subTest(kind=resource["kind"]):
                if resource["kind"] != "ScaledObject":
                    manifests.assert_fits_schema(self, resource)

    def test_the_scaled_object_has_kedas_fields(self):
        import jsonschema
        hpa = manifests.schema("autoscaling/v2", "HorizontalPodAutoscaler")
        behaviour = hpa["properties"]["spec"]["properties"]["behavior"] if hpa else {}
        jsonschema.Draft7Validator(scaled_object_schema(behaviour)).validate(only("ScaledObject"))
        if hpa is None:
            self.skipTest(f"behavior alone: no Kubernetes schemas in {manifests.SCHEMAS}")


class BesideTheServersTest(unittest.TestCase):
    """Of what kustomize makes of the servers and each component."""

    def test_every_component_goes_with_every_other(self):
        for autoscaler in AUTOSCALERS:
            made = kustomized(self, autoscaler, *OTHERS)
            names = [(resource["kind"], resource["metadata"]["name"]) for resource in made]
            self.assertEqual(len(names), len(set(names)))
            for resource in made:
                with self.subTest(kind=resource["kind"]):
                    if resource["kind"] != "ScaledObject":
                        manifests.assert_fits_schema(self, resource)

    def test_an_autoscaler_alone_sets_the_replicas(self):
        for name in AUTOSCALERS:
            made = kustomized(self, name)
            [deployment] = of_kind(made, "Deployment")
            self.assertNotIn("replicas", deployment["spec"])
            [autoscaler] = (of_kind(made, "HorizontalPodAutoscaler") +
                            of_kind(made, "ScaledObject"))
            self.assertEqual(parts_of(autoscaler)[0], {
                "apiVersion": deployment["apiVersion"], "kind": deployment["kind"],
                "name": deployment["metadata"]["name"]})
        [deployment] = of_kind(kustomized(self, *OTHERS), "Deployment")
        self.assertIn("replicas", deployment["spec"])

    def test_the_policy_holds_the_servers_and_lets_in_by_their_ports(self):
        made = kustomized(self, "network-policy")
        self.assert_policy(of_kind(made, "NetworkPolicy"), of_kind(made, "Deployment"))

    def assert_policy(self, policies, deployments):
        [policy], [deployment] = policies, deployments
        spec, template = policy["spec"], deployment["spec"]["template"]
        self.assertEqual(spec["podSelector"], {"matchLabels": template["metadata"]["labels"]})
        self.assertEqual(set(spec["policyTypes"]), {"Ingress", "Egress"})
        self.assertEqual(spec["egress"], [])
        allowed = {}
        for rule in spec["ingress"]:
            [port] = rule["ports"]
            self.assertEqual(port["protocol"], "TCP")
            allowed[port["port"]] = rule["from"]
        self.assertEqual(set(allowed), {GRPC_PORT, METRICS_PORT})
        self.assertEqual(set(allowed), {port["containerPort"] for port in
                                        template["spec"]["containers"][0]["ports"]})
        for peers in allowed.values():
            self.assertTrue(peers)  # None would be everybody.
            for peer in peers:
                self.assertTrue(peer)
                for selector in peer.values():  # So would be an empty one.
                    self.assertTrue(selector["matchExpressions"])

    def test_labels_of_the_servers_do_not_reach_the_policys_peers(self):
        # With the component in the kustomization of the servers itself, whose includeSelectors
        # writes into every matchLabels that it knows.
        with tempfile.TemporaryDirectory() as directory:
            folder = shutil.copytree(os.path.join(DEPLOY, "kubernetes"), directory + "/kubernetes")
            with open(folder + "/kustomization.yaml", "a", encoding="utf-8") as file:
                file.write("components: [components/network-policy]\n")
            made = manifests.kustomized(folder)
        if made is None:
            self.skipTest("no kubectl here, which has kustomize")
        [policy] = of_kind(made, "NetworkPolicy")
        self.assertEqual(policy["spec"]["ingress"], only("NetworkPolicy")["spec"]["ingress"])
        self.assert_policy([policy], of_kind(made, "Deployment"))

    def test_the_monitor_finds_the_servers_metrics_as_the_rules_call_them(self):
        made = kustomized(self, "monitoring")
        [monitor] = of_kind(made, "ServiceMonitor")
        spec = monitor["spec"]
        services = [service for overlay in manifests.OVERLAYS
                    for service in of_kind(manifests.resources(overlay), "Service")
                    if spec["selector"]["matchLabels"].items() <=
                    service["metadata"]["labels"].items()]
        [service] = services
        [endpoint] = spec["endpoints"]
        [port] = [port for port in service["spec"]["ports"] if port["name"] == endpoint["port"]]
        self.assertEqual(port["port"], METRICS_PORT)
        job = service["metadata"]["labels"][spec["jobLabel"]]
        scrape = yaml.safe_load(read("deploy/prometheus/prometheus.yml"))
        self.assertEqual(job, scrape["scrape_configs"][0]["job_name"])
        self.assertEqual(endpoint["interval"], scrape["global"]["scrape_interval"])
        asked = re.findall(r'job="(\w+)"', read("deploy/prometheus/rules.yml") +
                           keda_expression() + adapter_rule()["metricsQuery"])
        self.assertEqual(set(asked), {job})

    def test_the_monitor_finds_the_trainers(self):
        [monitor] = of_kind(kustomized(self, "monitoring"), "PodMonitor")
        [expression] = monitor["spec"]["selector"]["matchExpressions"]
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        jobs = [job for overlay in manifests.OVERLAYS
                for job in of_kind(manifests.resources(overlay), "Job")]
        self.assertEqual(len(jobs), len(expression["values"]))
        for job in jobs:
            template = job["spec"]["template"]
            self.assertIn(template["metadata"]["labels"][expression["key"]], expression["values"])
            containers = template["spec"].get("initContainers", []) + template["spec"]["containers"]
            [trainer] = [container for container in containers
                         if "diffusion-train" in str(container["command"] + container["args"])]
            ports = {port["name"]: port["containerPort"] for port in trainer["ports"]}
            self.assertIn(f"--metrics_port={ports[endpoint['port']]}", str(trainer["args"]))


class SecuredTest(unittest.TestCase):
    """The component that brings certificates and the access file."""

    # What the Secrets hold, by their names; the head of the component says how they are made.
    SECRETS = {"diffusiond-tls": {"tls.crt", "tls.key", "ca.crt"},
               "diffusiond-access": {"access.json"}}

    def setUp(self):
        self.made = kustomized(self, "secured")
        [self.deployment] = of_kind(self.made, "Deployment")
        [self.plain] = of_kind(manifests.resources("kubernetes"), "Deployment")
        [self.container] = self.pod(self.deployment)["containers"]
        self.added = [argument for argument in self.container["args"]
                      if argument not in self.pod(self.plain)["containers"][0]["args"]]

    @staticmethod
    def pod(deployment):
        return deployment["spec"]["template"]["spec"]

    def probes(self):
        """{name: (command, service that Kubernetes' own probe asks for)}, of those with a command."""
        [plain] = self.pod(self.plain)["containers"]
        return {name: (self.container[name]["exec"]["command"],
                       plain[name]["grpc"].get("service", ""))
                for name in ("startupProbe", "readinessProbe")}

    def test_it_is_as_confined_as_the_servers(self):
        manifests.assert_confined(self, self.deployment)

    def test_the_secrets_are_mounted_for_reading_and_by_the_server_alone(self):
        pod = self.pod(self.deployment)
        secrets = {volume["name"]: volume["secret"] for volume in pod["volumes"]
                   if "secret" in volume}
        self.assertEqual({secret["secretName"] for secret in secrets.values()}, set(self.SECRETS))
        for secret in secrets.values():
            self.assertEqual(secret["defaultMode"], 0o440)
        mounted = {}
        for mount in self.container["volumeMounts"]:
            if mount["name"] in secrets:
                self.assertTrue(mount["readOnly"])
                self.assertNotIn("subPath", mount)
                mounted[mount["mountPath"]] = self.SECRETS[secrets[mount["name"]]["secretName"]]
        self.assertEqual(len(mounted), len(secrets))
        for container in pod["initContainers"]:
            self.assertEqual([mount for mount in container["volumeMounts"]
                              if mount["name"] in secrets], [])
        named = re.findall(r"=(/etc/\S+)", " ".join(
            self.added + sum((command for command, _ in self.probes().values()), [])))
        self.assertEqual({os.path.join(folder, file) for folder, files in mounted.items()
                          for file in files}, set(named))

    def test_the_head_of_the_component_makes_these_secrets(self):
        made = dict(re.findall(r"^#   kubectl create secret generic (\S+) (.*)$",
                               read(FOLDER, "secured/kustomization.yaml"), re.MULTILINE))
        self.assertEqual({name: set(re.findall(r"--from-file=(\S+)", files))
                          for name, files in made.items()}, self.SECRETS)

    def test_the_servers_flags_exist_and_no_other_goes(self):
        known = commands.known_flags(BIN, "diffusiond")
        for flag in commands.flag_names(self.added):
            self.assertIn(flag, known)
        self.assertEqual([*self.pod(self.plain)["containers"][0]["args"], *self.added],
                         self.container["args"])

    def test_probes_ask_what_kubernetes_own_would_ask(self):
        known = commands.known_flags(BIN, "diffusionctl health")
        for name, (command, service) in self.probes().items():
            with self.subTest(probe=name):
                program, flags = commands.parsed(command)
                self.assertEqual(program, "diffusionctl health")
                self.assertLessEqual(set(flags), set(known))
                self.assertIn(f"--server=localhost:{GRPC_PORT}", command)
                self.assertEqual([f"--service={service}"] if service else [],
                                 [word for word in command if word.startswith("--service=")])
                self.assertNotIn("grpc", self.container[name])
                self.assertGreaterEqual(self.container[name]["timeoutSeconds"], 3)

    def test_a_certificate_that_is_refused_restarts_no_server(self):
        # It serves on with the one before, for which ca.crt of the Secret may not vouch any more.
        probe = self.container["livenessProbe"]
        self.assertEqual({"exec", "grpc", "httpGet", "tcpSocket"} & set(probe), {"tcpSocket"})
        self.assertEqual(probe["tcpSocket"], {"port": GRPC_PORT})

    def test_the_service_no_longer_says_plaintext(self):
        [service] = of_kind(self.made, "Service")
        self.assertEqual(service["spec"]["ports"][0]["appProtocol"], "https")

    def test_a_server_with_these_flags_answers_these_probes_and_no_stranger(self):
        if not shutil.which("openssl"):
            self.skipTest("no openssl here")
        with tempfile.TemporaryDirectory() as directory:
            os.mkdir(directory + "/tls")
            os.mkdir(directory + "/access")
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=diffusiond",
                 "-addext", "subjectAltName=DNS:localhost,DNS:diffusiond", "-keyout", "tls.key",
                 "-out", "tls.crt"], cwd=directory + "/tls", check=True, capture_output=True)
            shutil.copy(directory + "/tls/tls.crt", directory + "/tls/ca.crt")
            with open(directory + "/access/access.json", "w", encoding="utf-8") as file:
                file.write('{"identities": [{"name": "web", "rights": ["read"], '
                           f'"token_sha256": ["{"0" * 64}"]}}]}}')
            here = [argument.replace("/etc/diffusiond", directory) for argument in self.added]
            with Diffusiond(*here) as server:
                port = server.address.rpartition(":")[2]

                def answer(command):
                    words = [word.replace("/etc/diffusiond", directory).replace(
                        f":{GRPC_PORT}", f":{port}") for word in command]
                    return subprocess.run([os.path.join(BIN, words[0]), *words[1:]], text=True,
                                          capture_output=True, timeout=60, check=False)
                probes = self.probes()
                for name, (command, _) in probes.items():
                    with self.subTest(probe=name):
                        reply = answer(command)
                        self.assertEqual(reply.returncode, 0, reply.stderr + server.log())
                [ready, _] = probes["readinessProbe"]
                models = ["diffusionctl", "models", *ready[2:]]
                self.assertNotEqual(answer(models).returncode, 0)  # TLS, and no token.
                self.assertNotEqual(answer(ready[:3]).returncode, 0)  # No TLS.


class SaidTwiceTest(unittest.TestCase):
    def test_the_rules_are_those_of_prometheus(self):
        head, _, copy = read(FOLDER, "monitoring/prometheus-rule.yaml").partition("\nspec:\n")
        rules = re.sub(r"(?m)^(?=.)", "  ", read("deploy/prometheus/rules.yml"))
        self.assertEqual(copy, rules, "below spec: stands what this prints:\n"
                         "sed 's/^\\(.\\)/  \\1/' deploy/prometheus/rules.yml")
        self.assertIn("kind: PrometheusRule", head)

    def test_both_autoscalers_say_the_same(self):
        self.assertEqual(parts_of(only("HorizontalPodAutoscaler")), parts_of(only("ScaledObject")))
        self.assertEqual(adapter_rule()["metricsQuery"].replace(",<<.LabelMatchers>>", ""),
                         keda_expression())

    def test_they_begin_with_the_replicas_of_the_servers(self):
        [deployment] = of_kind(manifests.resources("kubernetes"), "Deployment")
        _, least, most, _, _ = parts_of(only("ScaledObject"))
        self.assertEqual(least, deployment["spec"]["replicas"])
        self.assertGreater(most, least)

    def test_the_adapter_makes_the_metric_that_the_hpa_asks_for(self):
        [metric] = only("HorizontalPodAutoscaler")["spec"]["metrics"]
        self.assertEqual(metric["external"]["metric"], {"name": adapter_rule()["name"]["as"]})
        # The adapter finds a metric by a series that its query speaks of.
        self.assertIn(adapter_rule()["seriesQuery"].partition("{")[0],
                      adapter_rule()["metricsQuery"])


if __name__ == "__main__":
    unittest.main()
