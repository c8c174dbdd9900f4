"""The real server starts with what is good, or with nothing, and goes on looking."""

import json
import os
import shutil
import subprocess
import unittest

import grpc

from diffusiond.v1 import diffusion_pb2 as pb
from diffusiond.v1 import diffusion_pb2_grpc
from diffusiond_process import BIN, TINY_MODEL, Diffusiond, eventually, with_tiny_model

UNSERVED = "diffusiond_model_unserved"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def messy(repository):
    """One good model among what volumes and people leave."""
    with_tiny_model(repository)
    os.makedirs(os.path.join(repository, "lost+found"), mode=0o700)
    os.makedirs(os.path.join(repository, "docs", "pictures"))
    with open(os.path.join(repository, "docs", "README.md"), "w", encoding="utf-8") as file:
        file.write("How to use these models\n")
    shutil.copytree(TINY_MODEL, os.path.join(repository, "truncated"))
    os.truncate(os.path.join(repository, "truncated", WEIGHTS), 1000)
    # CSI as one character, which terminals act on.
    shutil.copytree(TINY_MODEL, os.path.join(repository, "escapes"))
    with open(os.path.join(repository, "escapes", "unet", "config.json"), "r+",
              encoding="utf-8") as file:
        config = json.load(file) | {"mid_block_type": "\x9b31m"}
        file.seek(0)
        json.dump(config, file)
        file.truncate()


def nothing(_repository):
    """A volume that is not mounted yet."""


def draw(server):
    stub = diffusion_pb2_grpc.DiffusionServiceStub(server.channel)
    request = pb.GenerateRequest(seed=7, class_id=3,
                                 sampling={"sampler": "ddim", "steps": 3})
    return stub.GenerateImages(request, timeout=60).images


def versions(server):
    return subprocess.run(
        [os.path.join(BIN, "diffusionctl"), "versions", f"--admin={server.admin_address}"],
        text=True, capture_output=True, timeout=60, check=False)


class MessyRepositoryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(
            Diffusiond("--admin_listen=127.0.0.1:0", "--model_poll_interval=20ms", fill=messy))

    def test_the_good_model_is_served_alone(self):
        self.assertEqual(self.server.health(), "SERVING")
        stub = diffusion_pb2_grpc.DiffusionServiceStub(self.server.channel)
        models = stub.ListModels(pb.ListModelsRequest(), timeout=10).models
        self.assertEqual([model.name for model in models], ["tiny"])
        self.assertEqual(len(draw(self.server)), 1)

    def test_what_is_refused_is_told_once(self):
        eventually(lambda: "refused model=truncated" in self.server.log(), "it is told")
        # Some looks later.
        draw(self.server)
        log = self.server.log()
        self.assertEqual(log.count("refused model=docs error="), 1, log)
        self.assertEqual(log.count("refused model=truncated error="), 1, log)
        self.assertNotIn("lost+found", log)

    def test_nothing_in_a_file_acts_on_the_terminal_that_shows_the_log(self):
        self.assertIn("mid_block_type is '\\xc2\\x9b31m'", self.server.log())
        self.assertIn("mid_block_type is '\\xc2\\x9b31m'", versions(self.server).stdout)

    def test_operators_see_it_with_the_reasons(self):
        reply = versions(self.server)
        self.assertEqual(reply.returncode, 0, reply.stderr)
        for line in (r"docs +- +refused", r"tiny +- +serving", r"truncated +- +refused",
                     r"docs: .*neither a checkpoint",
                     r"truncated - was refused: .*safetensors"):
            self.assertRegex(reply.stdout, line)
        self.assertNotIn("lost+found", reply.stdout)

    def test_metrics_show_it(self):
        served = {name: self.server.metric(UNSERVED, model=name)
                  for name in ("docs", "tiny", "truncated", "lost+found")}
        self.assertEqual(served, {"docs": 1, "tiny": 0, "truncated": 1, "lost+found": 0})


class EmptyRepositoryTest(unittest.TestCase):
    def assert_waits_for_a_model(self, server):
        self.assertEqual(server.health(), "NOT_SERVING")
        self.assertEqual(server.health("diffusiond.v1.DiffusionService"), "NOT_SERVING")
        self.assertEqual(server.health("liveness"), "SERVING")
        with self.assertRaises(grpc.RpcError) as caught:
            draw(server)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn("no model is loaded yet", caught.exception.details())
        self.assertIn("models=0 state=not_serving", server.log())

    def test_a_model_that_is_put_into_an_empty_one_is_drawn_from(self):
        with Diffusiond("--model_poll_interval=20ms", fill=os.makedirs) as server:
            self.assert_waits_for_a_model(server)
            with_tiny_model(os.path.join(server.directory, "upload"))
            os.rename(os.path.join(server.directory, "upload", "tiny"),
                      os.path.join(server.repository, "tiny"))
            eventually(lambda: server.health() == "SERVING", "the model is served")
            self.assertEqual(len(draw(server)), 1)

    def test_one_that_is_mounted_late_is_served(self):
        with Diffusiond("--model_poll_interval=20ms", fill=nothing) as server:
            self.assert_waits_for_a_model(server)
            late = os.path.join(server.directory, "late")
            with_tiny_model(late)
            os.rename(late, server.repository)
            eventually(lambda: server.health() == "SERVING", "the model is served")
            self.assertEqual(len(draw(server)), 1)

    def test_without_polls_an_operator_brings_it_in(self):
        with Diffusiond("--model_poll_interval=0", "--admin_listen=127.0.0.1:0",
                        fill=nothing) as server:
            self.assert_waits_for_a_model(server)
            with_tiny_model(server.repository)
            subprocess.run([os.path.join(BIN, "diffusionctl"), "swap", "tiny",
                            f"--admin={server.admin_address}"], check=True, timeout=120,
                           capture_output=True)
            self.assertEqual(server.health(), "SERVING")
            self.assertEqual(len(draw(server)), 1)


class ExitOnModelErrorTest(unittest.TestCase):
    def assert_ends(self, fill, reason):
        with self.assertRaises(AssertionError) as caught, \
                Diffusiond("--exit_on_model_error", fill=fill):
            pass
        self.assertIn("diffusiond ended with 1:", str(caught.exception))
        self.assertRegex(str(caught.exception), reason)

    def test_a_bad_directory_ends_the_start(self):
        self.assert_ends(messy, r"diffusiond: .*docs.* \(--exit_on_model_error is set\)")

    def test_so_does_a_repository_without_models(self):
        self.assert_ends(os.makedirs, "diffusiond: .*holds no model")
        self.assert_ends(nothing, "diffusiond: .*cannot be listed")

    def test_a_good_repository_is_served(self):
        with Diffusiond("--exit_on_model_error") as server:
            self.assertEqual(server.health(), "SERVING")

    def test_a_device_that_is_not_there_ends_it_without_the_flag_too(self):
        with self.assertRaises(AssertionError) as caught, Diffusiond("--devices=cuda:63"):
            pass
        self.assertRegex(str(caught.exception), "diffusiond: --devices: cuda:63 is not there")


if __name__ == "__main__":
    unittest.main()
