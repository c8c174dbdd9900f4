"""Each rule of layout.py, broken once in a small tree of its own."""

import json
import os
import tempfile
import unittest

import layout


def guarded(path, body=""):
    guard = "DIFFUSIOND_" + path.replace("/", "_").replace(".", "_").upper() + "_"
    return f"#ifndef {guard}\n#define {guard}\n{body}\n#endif\n"


# One that breaks it for each row of RULES, in the table's order.
BROKEN = (
    ("model/unet/a.cc", "server/engine/engine.h"),
    ("model/unet/a.cc", "diffusiond/v1/diffusion.pb.h"),
    ("proto/a.cc", "server/engine/engine.h"),
    ("model/training/loop/a.cc", "prometheus/registry.h"),
    ("model/status/a.cc", "model/files/sha256.h"),
    ("model/files/a.cc", "model/process/standard_streams.h"),
    ("model/process/a.cc", "model/config/unet_config.h"),
    ("model/http/a.cc", "model/config/unet_config.h"),
    ("model/http/http_server.h", "boost/asio.hpp"),
    ("model/imaging/a.cc", "model/unet/unet.h"),
    ("model/config/a.cc", "model/checkpoint/safetensors.h"),
    ("model/sampling/a.cc", "torch/torch.h"),
    ("model/unet/a.cc", "model/training/loop/trainer.h"),
    ("model/checkpoint/a.cc", "model/unet/unet.h"),
    ("model/cpu_network/a.cc", "torch/torch.h"),
    ("model/cpu_network/a.cc", "model/unet/unet.h"),
    ("model/diffusion/a.cc", "model/sampling/sampler.h"),
    ("model/sampling/a.cc", "model/checkpoint/checkpoint.h"),
    ("model/training/loop/a.cc", "model/evaluation/bound_run.h"),
    ("model/training/options/a.cc", "torch/torch.h"),
    ("model/training/data/a.cc", "model/training/batches/batch_source.h"),
    ("model/training/batches/a.cc", "model/training/options/trainer_options.h"),
    ("model/training/options/a.cc", "model/training/objectives/objective.h"),
    ("model/training/objectives/a.cc", "model/training/run/training_state.h"),
    ("model/training/progress/a.cc", "model/training/data/dataset.h"),
    ("model/training/metrics/a.cc", "model/training/run/run_directory.h"),
    ("model/training/distributed/a.cc", "model/training/run/training_state.h"),
    ("model/training/run/a.cc", "model/training/objectives/objective.h"),
    ("server/main.cc", "model/programs/train_image_classifier.h"),
    ("server/engine/a.cc", "ATen/ATen.h"),
    ("server/worker/a.cc", "grpcpp/grpcpp.h"),
    ("server/main.cc", "client/client.h"),
    ("server/engine/a.cc", "server/rpc/service.h"),
    ("server/models/a.cc", "server/rpc/service.h"),
    ("server/versions/a.cc", "server/rpc/service.h"),
    ("server/worker/a.cc", "server/metrics/instruments.h"),
    ("server/rpc/a.cc", "server/worker/worker.h"),
    ("server/imaging/a.cc", "server/engine/engine.h"),
    ("server/connections/a.cc", "server/engine/engine.h"),
    ("server/access/a.cc", "server/engine/engine.h"),
    ("server/http/a.cc", "server/worker/worker.h"),
    ("server/rpc/a.cc", "server/http/http_front.h"),
    ("server/logging/a.cc", "server/engine/engine.h"),
    ("server/tracing/a.cc", "server/engine/engine.h"),
    ("server/engine/a.cc", "server/access/access_list.h"),
    ("server/metrics/a.cc", "server/rpc/service.h"),
    ("server/rpc/a.cc", "prometheus/registry.h"),
    ("client/a.cc", "server/engine/engine.h"),
    ("client/a.cc", "model/sampling/sampler.h"),
    ("client/a.cc", "torch/torch.h"),
)

ALLOWED = (
    ("proto/a.cc", "model/config/option.h"),
    ("proto/a.cc", "google/protobuf/message.h"),
    ("model/unet/a.cc", "torch/torch.h"),
    ("model/imaging/a.cc", "model/imaging/image.h"),
    ("model/http/event_loop.cc", "boost/asio.hpp"),
    ("model/programs/a.cc", "model/evaluation/bound_run.h"),
    ("model/training/metrics/a.cc", "prometheus/registry.h"),
    ("model/training/objectives/a.cc", "model/training/options/objective_options.h"),
    ("model/training/run/a.cc", "model/training/progress/progress.h"),
    ("server/worker/a.cc", "torch/torch.h"),
    ("server/rpc/a.cc", "grpcpp/grpcpp.h"),
    ("server/rpc/a.cc", "server/engine/engine.h"),
    ("server/rpc/a.cc", "server/models/served_model.h"),
    ("server/versions/a.cc", "server/worker/worker.h"),
    ("server/metrics/a.cc", "prometheus/registry.h"),
    ("server/metrics/a.cc", "server/access/access_metrics.h"),
    ("server/access/a.cc", "server/engine/refusal.h"),
    ("server/main.cc", "server/worker/worker.h"),
    ("server/main.cc", "prometheus/registry.h"),
    ("client/a.cc", "model/imaging/image.h"),
    ("client/a.cc", "model/files/sha256.h"),
    ("client/a.cc", "google/protobuf/util/json_util.h"),
    ("tests/server/a.cc", "torch/torch.h"),
)


class LayoutTest(unittest.TestCase):
    def violations(self, files, built=None):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            commands = None
            if built is not None:
                commands = os.path.join(root, "compile_commands.json")
                with open(commands, "w", encoding="utf-8") as file:
                    json.dump([{"directory": root, "file": os.path.join(root, path)}
                               for path in built], file)
            return list(layout.violations(root, commands))

    def test_every_include_rule_can_fail(self):
        self.assertEqual(len(BROKEN), len(layout.RULES), "a case for each row of RULES")
        for rule, (path, include) in zip(layout.RULES, BROKEN):
            with self.subTest(path=path, include=include):
                found = self.violations({path: f'#include "{include}"\n'})
                self.assertIn(f"{path}: includes {include}: {rule.because}", found)

    def test_allowed_includes_pass(self):
        for path, include in ALLOWED:
            with self.subTest(path=path, include=include):
                self.assertEqual(self.violations({path: f"#include <{include}>\n"}), [])

    def test_an_include_through_a_header_counts_and_names_the_way(self):
        unet = "model/unet/unet.h"
        found = self.violations({
            "server/rpc/a.cc": f'#include "{unet}"\n',
            unet: guarded(unet, "#include <torch/torch.h>"),
        })
        self.assertEqual(found, [
            f"server/rpc/a.cc: includes torch/torch.h (by {unet}): only server/worker touches "
            "tensors"])

    def test_a_direct_only_rule_lets_a_header_in_between_pass(self):
        header = "server/metrics/instruments.h"
        self.assertEqual(self.violations({
            "server/rpc/a.cc": f'#include "{header}"\n',
            header: guarded(header, "#include <prometheus/registry.h>"),
        }), [])

    def test_a_source_that_no_target_builds_fails(self):
        files = {"model/unet/a.cc": "", "tests/model/a_test.cc": ""}
        self.assertEqual(self.violations(files, built=["model/unet/a.cc"]),
                         ["tests/model/a_test.cc: no target builds it"])
        self.assertEqual(self.violations(files, built=list(files)), [])

    def test_a_target_that_compiles_another_folders_file_fails(self):
        lists = "model/unet/CMakeLists.txt"
        for text in ("add_library(unet ../config/a.cc)\n", "SOURCES\n  b.cc ../../x/c.cc\n"):
            with self.subTest(text=text):
                self.assertEqual(len(self.violations({lists: text})), 1)
        self.assertEqual(self.violations({lists: "add_library(unet a.cc below/b.cc)\n"}), [])

    def test_a_wrong_header_guard_fails(self):
        header = "model/unet/unet.h"
        source = {"model/unet/unet.cc": f'#include "{header}"\n'}
        for text in ("", "#pragma once\n", guarded("model/unet/other.h"),
                     "#ifndef DIFFUSIOND_MODEL_UNET_UNET_H_\n#define SOMETHING\n#endif\n"):
            with self.subTest(text=text):
                self.assertEqual(
                    self.violations({header: text, **source}),
                    [f"{header}: its header guard should be DIFFUSIOND_MODEL_UNET_UNET_H_"])

    def test_a_header_that_nobody_includes_fails(self):
        header = "client/client.h"
        self.assertEqual(self.violations({header: guarded(header)}),
                         [f"{header}: no file includes it"])

    def test_vague_names_fail(self):
        for name in ("utils", "string_util", "common", "test_helpers", "misc_math"):
            with self.subTest(name=name):
                self.assertEqual(self.violations({f"model/{name}.cc": ""}),
                                 [f"model/{name}.cc: name the file after the thing in it"])
        self.assertEqual(self.violations({"model/commons_law.cc": ""}), [])

    def test_overlong_files_fail(self):
        self.assertEqual(len(self.violations({"model/a.cc": "\n" * (layout.MAX_LINES + 1)})), 1)
        self.assertEqual(self.violations({"model/a.cc": "\n" * layout.MAX_LINES}), [])

    def test_overlong_functions_fail(self):
        most = layout.MAX_FUNCTION_LINES
        for first, last in (("void A() {", "}"), ("A::A(int a,\n     int b)\n    : a_(a) {", "}"),
                            ("class A {\n  void B() {", "  }"), ("TEST(A, B) {", "}")):
            with self.subTest(first=first):
                body = "    if (x) {\n    y();\n    }\n" + "    z();\n" * (most - 5)
                self.assertEqual(self.violations({"model/a.cc": f"{first}\n{body}{last}\n"}), [])
                found = self.violations({"model/a.cc": f"{first}\n{body}    z();\n{last}\n"})
                self.assertEqual(len(found), 1, found)
                self.assertIn(f"a function of {most + 1} lines", found[0])
        table = "std::vector<Case> Cases() {\n  return {\n" + "      {1},\n" * most + "  };\n}\n"
        scope = "namespace a {\n" + "int b;\n" * most + "}\n"
        self.assertEqual(self.violations({"model/a.cc": table + scope}), [])

    def test_a_part_of_the_api_without_a_comment_fails(self):
        path = "proto/diffusiond/v1/a.proto"
        for line, name in (("  uint32 a = 1;", "a"), ("  optional a.B c_d = 12;", "c_d"),
                           ("  map<string, B> e = 3;", "e"), ("  IMAGE_PNG = 0;", "IMAGE_PNG"),
                           ("    bytes f = 4 [deprecated = true];", "f"),
                           ("  rpc Get(A) returns (stream B);", "Get")):
            with self.subTest(line=line):
                self.assertEqual(self.violations({path: f"  // Of all.\n\n{line}\n"}),
                                 [f"{path}:3: no comment says what {name} is"])
                for told in (f"{line}  // What.\n", f"  // What.\n{line}\n"):
                    self.assertEqual(self.violations({path: told}), [])
        rest = 'syntax = "proto3";\nmessage A {\n  oneof b {\n  }\n  reserved 2;\n}\n'
        self.assertEqual(self.violations({path: rest}), [])

    def test_unfinished_and_disabled_code_fails(self):
        for line in ("// TODO: later", "TEST(A, DISABLED_B) {}"):
            with self.subTest(line=line):
                self.assertEqual(self.violations({"tests/a.cc": line + "\n"}),
                                 [f"tests/a.cc:1: unfinished or disabled: {line}"])


if __name__ == "__main__":
    unittest.main()
