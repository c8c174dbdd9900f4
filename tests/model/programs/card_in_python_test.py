"""The Python of published cards: it compiles, and where diffusers is installed it draws.

  card_in_python_test.py DIFFUSION_PUBLISH CHECKPOINT...
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

PUBLISH, CHECKPOINTS = sys.argv[1], sys.argv[2:]


def published(checkpoint, repository):
    """Publishes without the card that lies beside the checkpoint, so that one is made."""
    bare = os.path.join(repository, ".bare")
    os.mkdir(bare)
    for name in os.listdir(checkpoint):
        if name != "README.md":
            os.symlink(os.path.join(checkpoint, name), os.path.join(bare, name))
    subprocess.run([PUBLISH, bare, f"--publish_to={repository}", "--publish_name=model"],
                   check=True, stdout=subprocess.DEVNULL)
    return os.path.join(repository, "model", "1")


class CardTest(unittest.TestCase):

    def code(self, version):
        with open(os.path.join(version, "README.md"), encoding="utf-8") as file:
            blocks = re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)
        self.assertEqual(len(blocks), 1)
        return blocks[0]

    def test_compiles_and_names_the_class(self):
        for checkpoint in CHECKPOINTS:
            with self.subTest(checkpoint), tempfile.TemporaryDirectory() as repository:
                code = self.code(published(os.path.abspath(checkpoint), repository))
                compile(code, "README.md", "exec")
                self.assertIn("class_labels=wanted", code)
                self.assertIn("UniPCMultistepScheduler", code)
                self.assertIn('timestep_spacing="trailing"', code)

    def test_draws(self):
        try:
            import diffusers  # noqa: F401
        except ImportError:
            self.skipTest("Python's diffusers is not installed")
        for checkpoint in CHECKPOINTS:
            with self.subTest(checkpoint), tempfile.TemporaryDirectory() as repository:
                version = published(os.path.abspath(checkpoint), repository)
                before = os.getcwd()
                os.chdir(version)
                try:
                    scope = {}
                    exec(compile(self.code(version), "README.md", "exec"), scope)
                finally:
                    os.chdir(before)
                images = scope["images"]
                self.assertEqual(images.shape[0], 4)
                self.assertTrue(0.02 < float(images.std()) < 0.6)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
