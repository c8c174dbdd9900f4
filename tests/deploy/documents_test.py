"""Holds every document of the repository against what is built and what is there: commands, flags,
files and links that it names must exist. document_commands_test.py runs the commands."""

import functools
import itertools
import os
import re
import subprocess
import unittest

import commands
import documents
from diffusiond_process import BIN, SOURCE

# Words that a document may hold, as `wc -w` counts them.
MOST_WORDS = {"README.md": 1500, ".github/CONTRIBUTING.md": 700}

SHELL = {"export", "ls", "mkdir"}
# Programs of others: their command lines are not held to anything here.
ELSEWHERE = {"curl", "apt", "cmake", "cpack", "ctest", "docker", "git", "grpcurl", "kubectl", "pip", "protoc", "torchrun"}
# Flags of programs of others that sentences name.
FLAGS_ELSEWHERE = {"logdir", "no-build-isolation", "no-deps", "no-index"}

TOP = r"(?:\.ci|\.github|client|deploy|model|proto|server|tests)"
BUILT = re.compile(r"(?:\./)?build/\w+/bin/([\w-]+)$")


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


@functools.lru_cache(maxsize=None)
def known_flags(program):
    return set(commands.known_flags(BIN, program))


@functools.lru_cache(maxsize=None)
def script_flags(path):
    """Flags that the text of a script names."""
    return set(re.findall(r"--(\w[\w-]*)", read(path)))


@functools.lru_cache(maxsize=None)
def all_flags():
    """Flags of everything that a sentence may speak of."""
    found = set(FLAGS_ELSEWHERE)
    for program in commands.PROGRAMS:
        found |= known_flags(program)
    reply = subprocess.run([os.path.join(BIN, "diffusionctl"), "help"], text=True,
                           capture_output=True, timeout=60, check=True)
    for command in re.findall(r"^  (\w+) ", reply.stdout, re.MULTILINE):
        found |= known_flags(f"diffusionctl {command}")
    tools = [os.path.join(SOURCE, "tests", folder) for folder in ("benchmarks", "simulation")]
    for base, _, names in itertools.chain.from_iterable(map(os.walk, tools)):
        for name in names:
            path = os.path.relpath(os.path.join(base, name), SOURCE)
            if name.endswith((".py", ".sh")):
                found |= script_flags(path)
            elif name.endswith(".cc"):
                found |= set(re.findall(r"ABSL_FLAG\([^,]+,\s*(\w+)", read(path)))
    return found | script_flags("deploy/quickstart.sh") | script_flags("tests/run.sh")


class DocumentsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.documents = documents.documents(SOURCE)

    def test_they_are_found(self):
        for path in ("README.md", ".github/CONTRIBUTING.md", "proto/README.md", "server/README.md",
                     "server/engine/DESIGN.md", "model/checkpoint/FORMAT.md",
                     "model/evaluation/README.md", "model/sampling/README.md",
                     "model/training/README.md", "tests/benchmarks/README.md"):
            self.assertIn(path, self.documents)

    def test_none_is_longer_than_its_reader_has_time(self):
        for path, most in MOST_WORDS.items():
            self.assertLessEqual(len(self.documents[path].split()), most, path)

    def test_flags_of_our_commands_exist(self):
        seen = set()
        for where, text in self.documents.items():
            with self.subTest(document=where):
                for program, flags in commands.invocations(commands.markdown_shell(text)):
                    seen.add(program.split()[0])
                    self.assertTrue(known_flags(program), f"{program} names no flag")
                    # Abseil's, of all programs that --help tells of by a sentence.
                    for flag in set(flags) - {"flagfile"}:
                        self.assertIn(flag.replace("-", "_"), known_flags(program),
                                      f"{where}: {program} has no --{flag}")
        self.assertEqual(seen, set(commands.PROGRAMS))

    def test_every_command_is_known(self):
        for where, text in self.documents.items():
            with self.subTest(document=where):
                for words in commands.simple_commands("\n".join(documents.blocks(text, "sh"))):
                    if words[0] not in SHELL | ELSEWHERE:
                        self.assert_is_ours(words)

    def assert_is_ours(self, words):
        built = BUILT.match(words[0])
        if built or "/" not in words[0]:
            program = built.group(1) if built else words[0]
            self.assertTrue(os.access(os.path.join(BIN, program), os.X_OK), words)
            return
        self.assertTrue(os.access(os.path.join(SOURCE, words[0]), os.X_OK), words)
        for flag in commands.flag_names(words):
            self.assertIn(flag, script_flags(words[0]), words)

    def test_flags_in_sentences_exist(self):
        for where, text in self.documents.items():
            with self.subTest(document=where):
                for span in documents.code_spans(text):
                    for flag in re.findall(r"(?:^|[\s\"])--([A-Za-z][\w-]*)", span):
                        self.assertIn(flag, all_flags(), f"{where}: `{span}`")

    def assert_exists(self, path, message):
        self.assertTrue(os.path.exists(os.path.join(SOURCE, path)), message)

    def test_files_in_sentences_exist(self):
        for where, text in self.documents.items():
            with self.subTest(document=where):
                for span in documents.code_spans(text):
                    if re.fullmatch(TOP + r"/[\w./-]*", span):
                        self.assert_exists(span, f"{where}: `{span}`")
                    built = BUILT.match(span.split()[0])
                    if built:
                        self.assertTrue(os.path.exists(os.path.join(BIN, built.group(1))),
                                        f"{where}: `{span}`")

    def test_files_in_commands_exist(self):
        for where, text in self.documents.items():
            with self.subTest(document=where):
                for words in commands.simple_commands(commands.markdown_shell(text)):
                    for path in re.findall(rf"(?:^|[\s=]){TOP}/[\w./-]*", "\n".join(words)):
                        path = path.lstrip("\n= ")
                        self.assert_exists(path, f"{where}: {path}")

    def test_links_lead_somewhere(self):
        for where, text in self.documents.items():
            with self.subTest(document=where):
                for target in documents.links(text):
                    path, _, anchor = target.partition("#")
                    self.assertTrue(target, where)
                    to = where
                    if path:
                        to = os.path.normpath(os.path.join(os.path.dirname(where), path))
                    self.assert_exists(to, f"{where}: ({target})")
                    if anchor:
                        self.assertIn(anchor, documents.anchors(self.documents[to]),
                                      f"{where}: ({target})")

    def test_python_in_documents_compiles(self):
        for where, text in self.documents.items():
            with self.subTest(document=where):
                for code in documents.blocks(text, "python"):
                    compile(code, where, "exec")


class ReaderTest(unittest.TestCase):
    """The reader of documents sees what it should."""

    TEXT = ("# A `b`, c\n\n## Flags\n| `--a` | | x |\n\n```sh\n# no heading `--no`\n```\n"
            "## End\n`--z`")

    def test_parts(self):
        self.assertEqual(documents.anchors(self.TEXT), {"a-b-c", "flags", "end"})
        self.assertEqual(list(documents.table(documents.section(self.TEXT, "Flags"))),
                         [["`--a`", "", "x"]])
        self.assertEqual(documents.code_spans(self.TEXT), ["b", "--a", "--z"])
        self.assertEqual(documents.links("[a](b.md#c) `[x](y)` [w](https://d) ![p](e.svg)"),
                         ["b.md#c", "e.svg"])


if __name__ == "__main__":
    unittest.main()
