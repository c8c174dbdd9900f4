"""What Prometheus makes of the expressions that the autoscalers ask for."""

import shutil
import subprocess
import tempfile
import unittest

import yaml

from autoscalers import adapter_rule, keda_expression


class ExpressionTest(unittest.TestCase):
    """What Prometheus makes of the expression: fullness, summed over the replicas."""

    SERIES = {  # instance: (waiting, resident, limit), of the namespace "a" but for the last.
        "idle": (0, 0, 256),
        "half": (0, 128, 256),
        # It ran out of memory, and takes fewer.
        "short": (32, 32, 32),
        "elsewhere": (1000, 256, 256),
    }

    def test_value(self):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("no promtool here (Debian package prometheus)")
        names = ("waiting_trajectories", "resident_trajectories", "resident_trajectories_limit")
        series = []
        for instance, values in self.SERIES.items():
            namespace = "b" if instance == "elsewhere" else "a"
            labels = f'{{instance="{instance}", job="diffusiond", namespace="{namespace}"}}'
            series += [{"series": f"diffusiond_{name}{labels}", "values": f"{value}x5"}
                       for name, value in zip(names, values)]
        adapter = adapter_rule()["metricsQuery"].replace("<<.LabelMatchers>>", 'namespace="a"')
        cases = [{"expr": expression, "eval_time": "2m",
                  "exp_samples": [{"labels": "{}", "value": value}]}
                 for expression, value in ((adapter, 2.5), (keda_expression(), 2.5 + 4.90625))]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"evaluation_interval": "1m", "tests": [
                {"interval": "1m", "input_series": series, "promql_expr_test": cases}]}, file)
            file.flush()
            reply = subprocess.run([promtool, "test", "rules", file.name], text=True,
                                   capture_output=True, check=False)
        self.assertEqual(reply.returncode, 0, reply.stdout + reply.stderr)


if __name__ == "__main__":
    unittest.main()
