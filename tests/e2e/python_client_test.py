"""The Python package client/python/: pip installs it without a network, and it draws."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import grpc

from diffusiond_process import SOURCE, Diffusiond

STEPS = {"sampler": "ddim", "steps": 5, "class_id": 3}


def install(target):
    """Installs a copy, for pip builds in the folder that it is given."""
    with tempfile.TemporaryDirectory() as copy:
        package = os.path.join(copy, "client", "python")
        shutil.copytree(os.path.join(SOURCE, "client", "python"), package)
        shutil.copytree(os.path.join(SOURCE, "proto"), os.path.join(copy, "proto"))
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
                        "--no-build-isolation", "--target", target, package],
                       check=True, timeout=240)


class PythonClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = tempfile.mkdtemp(prefix="diffusiond-site-")
        cls.addClassCleanup(shutil.rmtree, cls.site, ignore_errors=True)
        install(cls.site)
        # In place of the stubs that the other tests use.
        cls.addClassCleanup(sys.path.remove, cls.site)
        sys.path.insert(0, cls.site)
        for name in [name for name in sys.modules if name.split(".")[0] == "diffusiond"]:
            del sys.modules[name]
        cls.diffusiond = importlib.import_module("diffusiond")
        cls.server = cls.enterClassContext(Diffusiond())
        cls.client = cls.diffusiond.Client(cls.server.address)
        cls.addClassCleanup(cls.client.close)

    def test_it_is_the_installed_package_and_of_this_version(self):
        self.assertTrue(self.diffusiond.__file__.startswith(self.site))
        with open(os.path.join(SOURCE, "CMakeLists.txt"), encoding="utf-8") as file:
            version = re.search(r"project\(diffusiond VERSION (\S+)", file.read()).group(1)
        self.assertTrue(os.path.isdir(os.path.join(self.site, f"diffusiond-{version}.dist-info")))

    def test_previews_come_while_it_draws_then_images_and_a_receipt_that_replays(self):
        generation = self.client.generate(count=2, seed=7, preview_every=1, preview_kind="both",
                                          timeout=60, **STEPS)
        previews = list(generation)
        self.assertEqual({preview.kind for preview in previews}, {"x_t", "x0_hat"})
        self.assertTrue(all(1 <= preview.steps_done < 5 for preview in previews))
        images = generation.images
        self.assertEqual([image.image_index for image in images], [0, 1])
        self.assertEqual([image.sha256 for image in images], list(generation.receipt.image_sha256))
        self.assertGreater(generation.timings.total.ToNanoseconds(), 0)
        again = self.client.replay(generation.receipt, timeout=60)
        self.assertEqual([image.data for image in again.images], [image.data for image in images])
        alone = self.client.generate(count=1, seed=7, first_image_index=1, timeout=60, **STEPS)
        self.assertEqual(alone.images, images[1:])

    def test_images_are_saved_as_they_came(self):
        [image] = self.client.generate(seed=7, format="webp", timeout=60, **STEPS).images
        path = os.path.join(self.site, "image.webp")
        image.save(path)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), image.data)
        self.assertEqual(image.data[8:12], b"WEBP")

    def test_pillow_opens_them_where_it_is_there(self):
        [image] = self.client.generate(seed=7, timeout=60, **STEPS).images
        pillow = mock.Mock()
        with mock.patch.dict(sys.modules, {"PIL": pillow}):
            self.assertIs(image.pil(), pillow.Image.open.return_value)
        [opened] = pillow.Image.open.call_args.args
        self.assertEqual(opened.read(), image.data)

    def test_the_document_s_example_runs(self):
        with open(os.path.join(SOURCE, "client/python/README.md"), encoding="utf-8") as file:
            [example] = re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)
        def shipped(repository):
            os.symlink(os.path.join(SOURCE, "model/checkpoints"), repository)
        with Diffusiond("--default_model=fashion-mnist", fill=shipped) as server, \
                tempfile.TemporaryDirectory() as folder:
            self.assertEqual(example.count("127.0.0.1:50051"), 1)
            subprocess.run([sys.executable, "-c",
                            example.replace("127.0.0.1:50051", server.address)],
                           cwd=folder, env={**os.environ, "PYTHONPATH": self.site}, check=True,
                           timeout=120)
            self.assertEqual(sorted(os.listdir(folder)), ["bag-0.png", "bag-1.png"])

    def test_models_are_described(self):
        [model] = self.client.models(timeout=60)
        self.assertEqual(model, self.client.model(timeout=60))

    def test_warnings_of_the_server_are_python_s(self):
        with self.assertWarnsRegex(UserWarning, "steps is 1; ddim leaves noise"):
            self.client.generate(**{**STEPS, "steps": 1}, timeout=60).images

    def test_mistakes_are_named(self):
        with self.assertRaisesRegex(TypeError, "'stpes'"):
            self.client.generate(stpes=4)
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.client.generate(steps=0, class_id=99, timeout=60))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("steps", caught.exception.details())

    def test_whoever_asks_again_is_told_the_same(self):
        generation = self.client.generate(steps=0, timeout=60)
        for _ in range(2):
            with self.assertRaisesRegex(grpc.RpcError, "steps"):
                _ = generation.images

    def test_messages_are_fields_too(self):
        pb = importlib.import_module("diffusiond.v1.diffusion_pb2")
        options = importlib.import_module("diffusiond.v1.sampling_options_pb2")
        generation = self.client.generate(
            class_id=STEPS.get("class_id", 0), timeout=60,
            sampling=options.SamplingOptions(sampler="ddim", steps=2),
            preview=pb.PreviewOptions(every_steps=1, kind=pb.PREVIEW_KIND_X_T))
        self.assertEqual({preview.kind for preview in generation}, {"x_t"})
        self.assertEqual(len(generation.images), 1)

    def test_damaged_bytes_are_refused(self):
        pb = importlib.import_module("diffusiond.v1.diffusion_pb2")
        call = mock.MagicMock()
        call.__iter__.return_value = iter([pb.GenerateEvent(image={"data": b"x", "sha256": "0"})])
        with self.assertRaises(self.diffusiond.ImageDamaged):
            list(self.diffusiond.Generation(call))

    def test_leaving_a_generation_ends_it(self):
        request = {**STEPS, "sampler": "ddpm", "steps": 1000}
        with self.client.generate(count=8, preview_every=1, **request) as generation:
            next(iter(generation))
        with self.assertRaises(grpc.RpcError) as caught:
            list(generation)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.CANCELLED)


if __name__ == "__main__":
    unittest.main()
