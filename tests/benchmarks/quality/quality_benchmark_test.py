"""quality_benchmark as its document gives it, on data that are made up: it draws, measures, plots,
and says what is wrong with data that no model was made from."""

import os
import struct
import subprocess
import tempfile
import unittest

from diffusiond_process import BIN, SOURCE

CLASSES = 10
IMAGES = {"train": 60, "t10k": 40}
SIDE = 28


def write_idx(path, sizes, values):
    with open(path, "wb") as file:
        file.write(struct.pack(f">BBBB{len(sizes)}I", 0, 0, 8, len(sizes), *sizes) + values)


def write_data(directory):
    """Each class has a level of grey of its own, with something in it that is never the same."""
    os.mkdir(directory)
    for split, count in IMAGES.items():
        labels = bytes(number % CLASSES for number in range(count))
        pixels = b"".join(bytes((label * 24 + place * (number + 1) % 17) % 256
                                for place in range(SIDE * SIDE))
                          for number, label in enumerate(labels))
        write_idx(os.path.join(directory, f"{split}-labels-idx1-ubyte"), [count], labels)
        write_idx(os.path.join(directory, f"{split}-images-idx3-ubyte"), [count, SIDE, SIDE], pixels)


class QualityBenchmarkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        write_data(os.path.join(cls.directory, "fashion-mnist"))
        cls.run_program("diffusion-train", "--data=fashion-mnist", "--out=judge",
                        "--image_classifier", "--steps=2", "--batch_size=8")

    @classmethod
    def run_program(cls, name, *arguments, succeeds=True):
        done = subprocess.run([os.path.join(BIN, name), *arguments], cwd=cls.directory, text=True,
                              capture_output=True, timeout=240, check=False)
        if (done.returncode == 0) != succeeds:
            raise AssertionError(f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def measure(self, *arguments, **options):
        return self.run_program(
            "quality_benchmark", "--data=fashion-mnist",
            f"--checkpoint={SOURCE}/model/checkpoints/fashion-mnist",
            "--features=judge/classifier.safetensors", "--out=quality", "--images=4",
            "--samplers=ddim,unipc", *arguments, **options)

    def test_it_measures_every_setting(self):
        # Two samplers, with and without the model's guidance.
        lines = self.measure("--evaluations=2").stdout.splitlines()
        self.assertEqual(sum(line.startswith(("ddim", "unipc")) for line in lines), 4, lines)
        with open(os.path.join(self.directory, "quality", "quality.csv"), encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 5)

    def test_it_says_why_it_cannot(self):
        refused = self.measure("--evaluations=0", succeeds=False)
        self.assertIn("--evaluations", refused.stderr)


if __name__ == "__main__":
    unittest.main()
