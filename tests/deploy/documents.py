"""The repository's documents, as the tests that hold them to the programs read them."""

import os
import re

import commands

# What a run or a build leaves in a checkout is not the repository's.
FOLDERS = (".github", "client", "deploy", "model", "proto", "server", "tests")
ANY_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def documents(root):
    """{path below root: text} of every Markdown file."""
    paths = [os.path.join(root, name) for name in os.listdir(root)]
    for folder in FOLDERS:
        for base, _, names in os.walk(os.path.join(root, folder)):
            paths += [os.path.join(base, name) for name in names]
    found = {}
    for path in sorted(paths):
        if path.endswith(".md"):
            with open(path, encoding="utf-8") as file:
                found[os.path.relpath(path, root)] = file.read()
    return found


def prose(text):
    """What stands outside of blocks of code."""
    return ANY_FENCE.sub("", text)


def code_spans(text):
    """What stands in backticks, in sentences and tables."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def blocks(text, language):
    return [body for name, body in commands.FENCE.findall(text) if name == language]


def links(text):
    """Targets of links and pictures, but for those on the web."""
    found = re.findall(r"\]\(([^)\s]*)\)", re.sub(r"`[^`\n]*`", "", prose(text)))
    return [target for target in found if not re.match(r"\w+:", target)]


def anchors(text):
    """What headings are called in links to them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        number = 0
        while (anchor if number == 0 else f"{anchor}-{number}") in found:
            number += 1
        found.add(anchor if number == 0 else f"{anchor}-{number}")
    return found


def section(text, heading):
    """What stands under a heading "## ...", up to the next of its rank."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def table(text):
    """The cells of each row of the tables in text, without heads."""
    for line in text.splitlines():
        if re.match(r"\| `", line):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
