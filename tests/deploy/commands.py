"""Finds the programs' command lines in scripts, documents and manifests, to hold against them."""

import os
import re
import shlex
import subprocess

PROGRAMS = ("diffusiond", "diffusionctl", "diffusion-train", "diffusion-eval",
            "diffusion-publish")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def logical_lines(text):
    """Lines of shell, continued ones joined, comments left out."""
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip().removeprefix("$ ")
        if not line.startswith("#"):
            yield line


def markdown_shell(text):
    """The shell blocks of a Markdown document, and what its transcripts show as typed."""
    shown = {"sh": str, "bash": str, "console": typed}
    return "\n".join(shown[language](body) for language, body in FENCE.findall(text)
                     if language in shown)


def typed(transcript):
    """The commands of a transcript, without what they printed."""
    lines = transcript.replace("\\\n", " ").splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("$ "))


def commands_without_label(text):
    """(line, its number) of each command in a block of Markdown that has no label, so that no test
    takes it for one."""
    for block in FENCE.finditer(text):
        first = text.count("\n", 0, block.start(2)) + 1
        for number, line in enumerate(block.group(2).splitlines(), first):
            words = line.split()
            ours = bool(words) and words[0].rsplit("/", 1)[-1] in PROGRAMS
            if block.group(1) == "" and (line.startswith("$ ") or ours):
                yield line, number


def simple_commands(text):
    """The words of each command in shell text; quotes keep what they hold together."""
    for line in logical_lines(text):
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
            lexer.whitespace_split = True
            lexer.commenters = "#"
            words = list(lexer)
        except ValueError:  # A quote that spans lines: prose or a here-document.
            words = re.sub(r"([|;&]+)", r" \1 ", line).split()
        command = []
        for word in words + [";"]:
            if set(word) <= set("|;&"):
                if command:
                    yield command
                command = []
            else:
                command.append(word)


def invocations(text):
    """Yields (program, [flag names]) for each command line in shell text; the program of
    diffusionctl is "diffusionctl COMMAND"."""
    for words in simple_commands(text):
        for position, word in enumerate(words):
            program = word.rsplit("/", 1)[-1].strip("\"'")
            if program in PROGRAMS and ("/" in word or _leads(words[:position])):
                yield parsed([program] + words[position + 1:])
                break


def parsed(words):
    """(program, [flag names]) of one command line."""
    program = words[0]
    if program == "diffusionctl":
        program = " ".join(words[:2])
    return program, flag_names(words)


def _leads(words):
    """True if what stands before a program's name only sets the stage for it."""
    if words[:1] == ["torchrun"]:
        words = [word for word in words[1:] if not word.startswith("--")]
    return all(re.match(r"(\w+=|exec$|nohup$|setsid$|sudo$|time$|if$|!$|\()", word)
               for word in words)


def flag_names(words):
    return [re.match(r"--([\w-]+)", word).group(1) for word in words
            if re.match(r"--[\w-]", word)]


def known_flags(directory, program):
    """{flag: its text of help} of a built program, or of a command of diffusionctl."""
    name, *command = program.split()
    arguments = ["help", *command] if command else ["--help"]
    reply = subprocess.run([os.path.join(directory, name), *arguments], text=True,
                           capture_output=True, timeout=60, check=False)
    flags = {}
    for found in re.finditer(r"^  --(?:\[no\])?([\w-]+)(.*?)(?=^  --|\Z)",
                             reply.stdout + reply.stderr, re.MULTILINE | re.DOTALL):
        flags[found.group(1)] = " ".join(found.group(2).split())
    return flags
