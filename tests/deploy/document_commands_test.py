"""Runs the commands of every document, in its order and block by block, each block in a folder of its
own that has what the document speaks of: images, models, a server. Runs are shortened by more flags.

What is not run here stands in ELSEWHERE with the reason, or needs a program that this machine lacks;
the list is printed. A command that is neither is run, so a new one is run by itself."""

import os
import re
import shutil
import struct
import subprocess
import tempfile
import unittest
import zlib

import commands
import documents
from diffusiond_process import BIN, SOURCE, Diffusiond, eventually

# By how it begins: why this test does not run it.
ELSEWHERE = (
    ("deploy/quickstart.sh", ".ci/run runs it"),
    ("tests/run.sh", ".ci/run runs it, which runs this"),
    ("deploy/install_packages.sh", ".ci/run runs it"),
    ("cmake", "tests/run.sh runs it"),
    ("build/dev/bin/engine_test", "a test itself"),
    ("export PATH=", "the programs are in the path here"),
    ("cpack", "install_test.py runs it"),
    ("apt", "changes the machine"),
    ("docker", "needs a container engine"),
    ("pip", "python_client_test.py runs it"),
    ("kubectl", "needs a cluster"),
    ("torchrun", "needs PyTorch"),
    ("grpcurl", "needs grpcurl, which Debian lacks"),
    ("diffusion-train --flagfile=model/training/recipes/cifar10.flags", "needs a GPU"),
)
# A repeated flag's last value counts.
SHORTER = {
    "diffusion-train": ("--steps=2", "--batch_size=4", "--warmup_steps=1", "--sampler_steps=2",
                        "--report_images=4", "--held_out_images=4"),
    "diffusion-eval": ("--images=8", "--samples=8", "--micro_batch=4"),
    "diffusionctl load": ("--duration=1s",),
}
# What they begin with: a trained and published model, a server that serves it.
HAVE_A_MODEL = ("model/evaluation/README.md", "server/README.md")
SERVE_IT = ("server/README.md",)
# Their commands ask the server of shipped models, whatever their document's others ask.
ASK_THE_SHIPPED = (("server/README.md", "HTTP"),)
# Which test runs a section's bash blocks, each as the script that it is.
RUN_AS_SCRIPTS = {("server/README.md", "Securing it"): "securing_test.py runs it"}
JUDGE = "judge/classifier.safetensors"
OPERATORS = ("rollback", "swap")  # Have to wait until the server has seen what was published.


def png(side, channels, pixel):
    """Of pixel(x, y), a number a channel: grey or RGB."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(side)) for y in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2 if channels == 3 else 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) +
            chunk(b"IEND", b""))


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def write_pictures(folder, names, side, channels):
    for number, name in enumerate(names):
        write(os.path.join(folder, f"{name}.png"), png(side, channels, lambda x, y, number=number: (
            (number * 20 + x) % 256, (y * number) % 256, number * 9 % 256)[:channels]))


def write_idx(path, sizes, values):
    write(path, struct.pack(f">BBBB{len(sizes)}I", 0, 0, 8, len(sizes), *sizes) + values)


def write_inputs(folder):
    """What the documents' commands read: names as they stand there."""
    write_pictures(f"{folder}/images", [f"{kind}/{i}" for kind in ("cats", "dogs") for i in range(64)],
                   side=8, channels=3)
    write_pictures(folder, ("mask",), side=50, channels=1)  # A person's own.
    emoji = [str(i) for i in range(64)]
    write_pictures(f"{folder}/noto-emoji/32", emoji, side=32, channels=3)
    write(f"{folder}/noto-emoji/labels.csv", "".join(
        ["file,label\n"] + [f"{name}.png,{int(name) % 8}\n" for name in emoji]).encode())
    for split, count in (("train", 60), ("t10k", 40)):
        write_idx(f"{folder}/fashion-mnist/{split}-labels-idx1-ubyte", [count],
                  bytes(i % 10 for i in range(count)))
        write_idx(f"{folder}/fashion-mnist/{split}-images-idx3-ubyte", [count, 28, 28],
                  bytes(i * 37 % 251 for i in range(count * 28 * 28)))
    for name in ("model", "proto"):
        os.symlink(os.path.join(SOURCE, name), os.path.join(folder, name))


def shipped_models(repository):
    os.symlink(os.path.join(SOURCE, "model/checkpoints"), repository)


def program_of(words):
    name = os.path.basename(words[0])
    return " ".join([name, *words[1:2]]) if name == "diffusionctl" else name


class Stage:
    """Where one block's commands run."""

    def __init__(self, where, shipped, serve_own=True):
        self.where = where
        self.folder = tempfile.mkdtemp(prefix="documents-")
        self.servers = []
        self.server = shipped
        write_inputs(self.folder)
        if where in HAVE_A_MODEL:
            self.run(["diffusion-train", "--data=images/", "--out=runs/first", "--publish_to=models",
                      "--publish_name=mine"])
        if where in SERVE_IT and serve_own:
            # Another one, to be published beside it.
            self.run(["diffusion-train", "--data=images/", "--out=runs/mine", "--seed=1"])
            self.serve(["diffusiond", "--model_repository=models"])

    def end(self):
        for server in self.servers:
            server.__exit__()
        shutil.rmtree(self.folder)

    def serve(self, words):
        def fill(repository):
            [folder] = [word.partition("=")[2] for word in words
                        if word.startswith("--model_repository=")]
            os.symlink(os.path.join(self.folder, folder), repository)
        flags = [word for word in words[1:] if not word.startswith("--model_repository=")]
        self.server = Diffusiond("--admin_listen=127.0.0.1:0", "--model_poll_interval=100ms",
                                 *flags, fill=fill).__enter__()
        self.servers.append(self.server)

    def run(self, words):
        program = program_of(words)
        if program == "diffusiond":
            self.serve(words)
            return
        words = [*words, *SHORTER.get(program, ())]
        if words[0] == "curl":
            words = [words[0], "--fail", *(word.replace("localhost:8080", self.server.http_address)
                                           for word in words[1:])]
        if words[0] == "diffusionctl":
            address = ((f"--admin={self.server.admin_address}",)
                       if "--admin" in self.help_of(words[1]) else
                       (f"--server={self.server.address}",))
            words += address
        if words[0] == "diffusionctl" and words[1] in OPERATORS:
            eventually(lambda: self.done(words).returncode == 0, " ".join(words))
            return
        done = self.done(words)
        if done.returncode != 0:
            raise AssertionError(f"{self.where}: {' '.join(words)} ended with {done.returncode}:\n"
                                 f"{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def train_judge_for(self, wanted):
        """What judges images, where a block's commands take it for granted."""
        if any("--out=judge" in words for words in wanted):
            return
        judged = next((words for words in wanted if f"--features={JUDGE}" in words), None)
        if judged is not None:
            data = [word for word in judged if re.match("--(data|labels_csv)=", word)]
            self.run(["diffusion-train", "--image_classifier", *data, "--out=judge"])

    def done(self, words):
        path = os.pathsep.join((BIN, os.environ["PATH"]))
        return subprocess.run(words, cwd=self.folder, env={**os.environ, "PATH": path}, text=True,
                              capture_output=True, timeout=240, check=False)

    def help_of(self, command):
        return self.done(["diffusionctl", "help", command]).stdout


class DocumentCommandsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shipped = cls.enterClassContext(
            Diffusiond("--default_model=fashion-mnist", fill=shipped_models))
        cls.documents = documents.documents(SOURCE)

    def test_every_command_works_or_is_in_the_list(self):
        not_run, reasons = [], set()
        for where, text in self.documents.items():
            for language, block in commands.FENCE.findall(text):
                if language not in ("sh", "bash", "console"):
                    continue
                script = self.in_section(RUN_AS_SCRIPTS, where, text, block)
                if script is not None and language == "bash":
                    not_run.append(f"  {where}: {block[:90].splitlines()[0]} ... "
                                   f"({RUN_AS_SCRIPTS[script]})")
                    continue
                wanted = []
                for words in commands.simple_commands(
                        commands.typed(block) if language == "console" else block):
                    reason = self.why_not(words)
                    if reason is None:
                        wanted.append(words)
                    else:
                        reasons.add(reason)
                        not_run.append(f"  {where}: {' '.join(words)[:90]} ({reason})")
                if wanted:
                    shipped = self.in_section(ASK_THE_SHIPPED, where, text, block) is not None
                    with self.subTest(document=where, commands=wanted[0]):
                        self.run_block(where, wanted, serve_own=not shipped)
        print("commands that are not run here:", *not_run, sep="\n")
        self.assertEqual({reason for _, reason in ELSEWHERE} - reasons, set(),
                         "a reason that no command has")

    def test_a_block_without_label_holds_no_commands(self):
        found = [f"{where}:{number}: {line}" for where, text in self.documents.items()
                 for line, number in commands.commands_without_label(text)]
        self.assertFalse(found, "\n".join(["label such blocks sh, or console where answers stand "
                                           "too:", *found]))

    @staticmethod
    def in_section(sections, where, text, block):
        """Of `sections`, (document, heading), the one that the block stands in, or None."""
        return next((section for section in sections
                     if section[0] == where and block in documents.section(text, section[1])), None)

    @staticmethod
    def why_not(words):
        line = " ".join(words)
        return next((reason for begin, reason in ELSEWHERE
                     if line == begin or line.startswith(begin + " ") or
                     (begin.endswith("=") and line.startswith(begin))), None)

    def run_block(self, where, wanted, serve_own):
        stage = Stage(where, self.shipped, serve_own)
        try:
            stage.train_judge_for(wanted)
            for words in wanted:
                with self.subTest(command=" ".join(words)):
                    stage.run(words)
        finally:
            stage.end()


if __name__ == "__main__":
    unittest.main()
