"""What the components of deploy/kubernetes/components say, the autoscalers above all."""

import glob
import os

import yaml

from manifests import COMPONENTS, of_kind, read


def all_files():
    """The resources that files of components hold, without kustomize."""
    return [resource for path in sorted(glob.glob(os.path.join(COMPONENTS, "*/*.yaml")))
            for resource in yaml.safe_load_all(read(path))
            if not resource["apiVersion"].startswith("kustomize.config.k8s.io/")]


def only(kind):
    [resource] = of_kind(all_files(), kind)
    return resource


def keda_expression():
    [trigger] = only("ScaledObject")["spec"]["triggers"]
    return trigger["metadata"]["query"]


def adapter_rule():
    [rule] = yaml.safe_load(read("deploy/prometheus/adapter.yml"))["externalRules"]
    return rule


def parts_of(resource):
    """What an autoscaler says, by the names of an HPA."""
    spec = resource["spec"]
    if resource["kind"] == "HorizontalPodAutoscaler":
        [metric] = spec["metrics"]
        target = metric["external"]["target"]
        assert target["type"] == "AverageValue", target
        return (spec["scaleTargetRef"], spec["minReplicas"], spec["maxReplicas"],
                spec["behavior"], number(target["averageValue"]))
    [trigger] = spec["triggers"]
    assert trigger["metricType"] == "AverageValue", trigger
    return (spec["scaleTargetRef"], spec["minReplicaCount"], spec["maxReplicaCount"],
            spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
            number(trigger["metadata"]["threshold"]))


def number(quantity):
    """Of a Kubernetes quantity: 250m is 0.25."""
    return float(quantity.removesuffix("m")) / (1000 if quantity.endswith("m") else 1)
