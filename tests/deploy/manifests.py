"""Kubernetes manifests as kustomize makes them of deploy/kubernetes, and what holds for each."""

import functools
import json
import os
import shutil
import subprocess
import tempfile

import yaml

from diffusiond_process import SOURCE

DEPLOY = os.path.join(SOURCE, "deploy")
COMPONENTS = os.path.join(DEPLOY, "kubernetes/components")
SCHEMAS = os.environ.get("DIFFUSIOND_K8S_SCHEMAS", os.path.join(
    SOURCE, "..", "shared", "k8s-schemas", "v1.32.2-standalone-strict"))
OVERLAYS = ("kubernetes", "kubernetes/trainer", "kubernetes/trainer-distributed")


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def kustomized(directory):
    """The resources of the kustomization in a directory; None without kubectl."""
    if not shutil.which("kubectl"):
        return None
    made = subprocess.run(["kubectl", "kustomize", directory], text=True, capture_output=True,
                          check=False)
    if made.returncode != 0:
        raise AssertionError(made.stderr)
    return list(yaml.safe_load_all(made.stdout))


@functools.lru_cache(maxsize=None)
def resources(overlay):
    """What a kustomization yields; without kubectl, the resource files that it names."""
    made = kustomized(os.path.join(DEPLOY, overlay))
    if made is None:
        made = []
        for name in yaml.safe_load(read("deploy", overlay, "kustomization.yaml"))["resources"]:
            made += yaml.safe_load_all(read("deploy", overlay, name))
    return made


@functools.lru_cache(maxsize=None)
def with_components(*components):
    """The servers with components of deploy/kubernetes/components, from a kustomization beside that
    folder, as an operator has one; None without kubectl."""
    with tempfile.TemporaryDirectory() as directory:
        base = os.path.relpath(os.path.join(DEPLOY, "kubernetes"), os.path.realpath(directory))
        with open(os.path.join(directory, "kustomization.yaml"), "w", encoding="utf-8") as file:
            yaml.safe_dump({"resources": [base], "components": [
                os.path.join(base, "components", name) for name in components]}, file)
        return kustomized(directory)


def of_kind(all_resources, kind):
    return [resource for resource in all_resources if resource["kind"] == kind]


def containers(workload):
    pod = workload["spec"]["template"]["spec"]
    return pod.get("initContainers", []) + pod["containers"]


def schema(api_version, kind):
    """The JSON schema of a kind; None if there is none here."""
    group, _, version = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.split(".")[0], version)))
    path = os.path.join(SCHEMAS, name + ".json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def assert_fits_schema(test, resource):
    if not os.path.isdir(SCHEMAS):
        test.skipTest(f"no Kubernetes schemas in {SCHEMAS}; set DIFFUSIOND_K8S_SCHEMAS")
    import jsonschema
    judge = schema(resource["apiVersion"], resource["kind"])
    test.assertIsNotNone(judge, f"no schema of {resource['apiVersion']} {resource['kind']}")
    jsonschema.Draft7Validator(judge).validate(resource)


def assert_confined(test, workload):
    """What Kubernetes calls the restricted profile, and a root that is not written to."""
    pod = workload["spec"]["template"]["spec"]
    test.assertTrue(pod["securityContext"]["runAsNonRoot"])
    test.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
    test.assertFalse(pod["automountServiceAccountToken"])
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        test.assertNotIn(shared, pod)
    for volume in pod["volumes"]:
        test.assertLessEqual(set(volume), {"name", "persistentVolumeClaim", "secret"})
    for container in containers(workload):
        context = container["securityContext"]
        test.assertTrue(context["readOnlyRootFilesystem"])
        test.assertFalse(context["allowPrivilegeEscalation"])
        test.assertEqual(context["capabilities"], {"drop": ["ALL"]})
        test.assertEqual(set(context), {"readOnlyRootFilesystem", "allowPrivilegeEscalation",
                                        "capabilities"})
        test.assertIn("memory", container["resources"]["limits"])
