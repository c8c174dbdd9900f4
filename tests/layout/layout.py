"""Checks the shape of the sources: who may include whom, that nothing lies about unbuilt, and that
what the API has is told.

  layout.py --root DIR [--compile-commands FILE]

Prints one line for each violation and ends with 1 if there is one. RULES is the table to read.
"""

import argparse
import dataclasses
import json
import os
import re
import sys

# Headers from outside, by the names that the table uses.
TORCH = r"(torch|ATen|c10d?|caffe2)/"
PROTOBUF = r"(google/(protobuf|rpc)|diffusiond/v1|grpc/health)/"
GRPC = r"(grpcpp|grpc)/"
PROMETHEUS = r"prometheus/"

SOURCE_FOLDERS = ("proto", "model", "server", "client", "tests")
MAX_LINES = 400
MAX_FUNCTION_LINES = 70  # From the line of its first brace to its last; not a table of cases.
VAGUE_NAME = re.compile(r"(^|_)(utils?|common|helpers?|misc)(_|\.|$)")
FOREIGN_SOURCE = re.compile(r"\.\./\S*\.cc\b")
# As clang-format leaves it: what opens a body ends its line, what closes it stands alone below the
# start of the statement.
NO_FUNCTION = re.compile(r"\s*(namespace|class|struct|enum|union|extern|INSTANTIATE_\w+)\b")
TABLE = re.compile(r"\s*return \{$")
# A field or a value of an enum, whose name is followed by its number; or a method.
PROTO_PART = re.compile(r"\s+(?:[\w.<>, ]*?\b(\w+) = \d+\b|rpc (\w+)\b)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b|\b(DISABLED_|GTEST_SKIP_ALWAYS)")


@dataclasses.dataclass(frozen=True)
class Rule:
    """Files under `where` include nothing that matches `never`, unless it matches `but`.

    Both match the start of an include's path. What a file's headers include counts as its own,
    except under `direct_only`.
    """

    where: str
    never: str
    because: str
    but: str = r"(?!)"  # Matches nothing.
    direct_only: bool = False


def _any(*patterns):
    return "|".join(f"({p})" for p in patterns)


RULES = (
    # model/ is used by the trainer, the server and the client; it knows none of them.
    Rule("model/", _any("server/", "client/"), "model/ knows nothing of serving"),
    Rule("model/", _any(PROTOBUF, GRPC, "proto/"), "model/ has no API"),
    Rule("proto/", _any("model/", "server/", "client/"), "of those who use the API it knows the table of options alone",
         but=r"model/config/(option|choices)\.h"),
    Rule("model/(?!training/metrics/)", PROMETHEUS, "metrics of training are optional: one place"),
    # Floors, the lowest first: status < files, process < http, config, imaging < checkpoint, diffusion <
    # sampling < unet < training < evaluation < programs.
    Rule("model/status/", "model/", "the ground floor needs nobody"),
    Rule("model/files/", "model/", "the ground floor needs nobody", but="model/(status|files)/"),
    Rule("model/process/", "model/", "the ground floor needs nobody",
         but="model/(status|files|process)/"),
    Rule("model/http/", "model/", "HTTP needs sockets alone", but="model/(status|process|http)/"),
    Rule(r"(server|client|model)/(?!http/(event_loop|request_parser)\.cc$)", "boost/",
         "Boost takes long to compile: two files of model/http"),
    Rule("model/imaging/", "model/", "imaging stands alone", but="model/(status|imaging)/"),
    Rule("model/config/", "model/", "plain numbers", but="model/(status|config|files|process)/"),
    Rule("model/(files|process|config|checkpoint|diffusion|sampling|imaging)/", TORCH,
         "plain data: usable without LibTorch"),
    Rule("model/(checkpoint|sampling|imaging|diffusion|unet)/", "model/(training|evaluation)/",
         "what is trained does not know its trainer"),
    Rule("model/checkpoint/", "model/unet/", "files are read without a network"),
    Rule("model/cpu_network/", TORCH, "a network is served without LibTorch"),
    Rule("model/cpu_network/", "model/(unet|training|evaluation|programs|imaging)/",
         "a network is served without what trains it"),
    Rule("model/diffusion/", "model/(sampling|unet)/", "a schedule knows no sampler"),
    Rule("model/sampling/", "model/(unet|checkpoint)/",
         "a sampler is a function of schedule and options"),
    Rule("model/training/", "model/evaluation/", "what is measured does not know its measure"),
    # Training's rooms: data < batches < options < objectives; progress < metrics, run; distributed;
    # loop above all.
    Rule("model/training/(data|batches|options|progress|metrics)/", TORCH,
         "choices, batches and reports need no network"),
    Rule("model/training/data/", "model/training/", "images know of no training",
         but="model/training/data/"),
    Rule("model/training/batches/", "model/training/",
         "a batch is a function of the data and the step", but="model/training/(data|batches)/"),
    Rule("model/training/options/", "model/training/", "what is chosen does not know who acts on it",
         but="model/training/(data|batches|options)/"),
    Rule("model/training/objectives/", "model/training/", "a loss does not know what is made of it",
         but="model/training/(data|batches|options|objectives)/"),
    Rule("model/training/progress/", "model/", "reports are plain numbers and pictures",
         but="model/(status|files|imaging|training/progress)/"),
    Rule("model/training/metrics/", "model/training/", "a sink knows reports alone",
         but="model/training/(progress|metrics)/"),
    Rule("model/training/distributed/", "model/", "processes share tensors, whatever they mean",
         but="model/(status|files|training/distributed)/"),
    Rule("model/training/run/", "model/training/",
         "what is written does not know how it was learned",
         but="model/training/(data|batches|options|progress|run)/"),
    Rule("(model/(?!programs/)|server/|client/)", "model/programs/", "programs stand at the top"),
    # server/: main -> rpc -> models -> engine <- worker; versions stand above models and workers.
    # Files directly in server/ wire the parts together.
    Rule("server/(access|connections|engine|http|logging|models|rpc|imaging|metrics|tracing|versions)/", TORCH, "only server/worker touches tensors"),
    Rule("server/(access|connections|engine|logging|models|worker|imaging|metrics|tracing|versions)/", _any(PROTOBUF, GRPC),
         "protobuf types stop in server/rpc"),
    Rule("server/", "client/", "the server does not know its clients"),
    Rule("server/engine/", "server/(models|rpc|worker|imaging|metrics|versions)/",
         "the engine is plain: it is given its collaborators"),
    Rule("server/models/", "server/", "a model's description knows nobody who loads or asks for it",
         but="server/(models|engine)/"),
    Rule("server/versions/", "server/", "versions are loaded, placed and named; who asks is not known",
         but="server/(versions|models|engine|logging|worker|metrics)/"),
    Rule("server/worker/", "server/(models|rpc|metrics|versions)/", "a worker serves the engine alone"),
    Rule("server/rpc/", "server/(worker|versions)/",
         "rpc meets workers through the engine, versions through models"),
    Rule("server/imaging/", "server/(engine|models|rpc|worker|metrics|versions)/", "pictures stand alone"),
    Rule("server/connections/", "server/", "sockets stand alone", but="server/connections/"),
    Rule("server/access/", "server/", "who may do what is plain data; a refusal is the engine's",
         but=r"server/(access/|logging/|engine/refusal\.h$)"),
    Rule("server/http/", "server/(worker|versions|metrics)/", "it is a second rpc"),
    Rule("server/(?!http/|diffusiond)", "server/http/", "who is called by HTTP does not know it"),
    Rule("server/logging/", "server/", "a line is told, whoever tells it", but="server/logging/"),
    Rule("server/tracing/", "server/", "spans are told, they do not ask",
         but="server/(logging|tracing)/"),
    Rule("server/(connections|engine|models|worker|imaging|metrics|versions)/", "server/access/",
         "who asks is known by rpc", but=r"server/access/access_metrics\.h$"),
    Rule("server/metrics/", "server/(models|rpc|worker|versions)/", "instruments are told, they do not ask"),
    Rule("server/(access|engine|http|logging|models|worker|imaging|rpc|tracing|versions)/", PROMETHEUS,
         "prometheus-cpp is server/metrics' affair", direct_only=True),
    # client/: the proto, gRPC, and what pictures need.
    Rule("client/", "server/", "a client knows the API alone"),
    Rule("client/", "model/",
         "of model/, pictures, digests, the table of options and the manners of a process are enough",
         but=_any("model/(status|imaging|process)/", r"model/files/sha256\.h$",
                  r"model/config/(choices|option)\.h$",
                  r"model/sampling/(sampling_options|guidance|sampling_plan)\.h$")),
    Rule("client/", _any(TORCH, PROMETHEUS), "a client is small"),
)

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.MULTILINE)


class Tree:
    """The C++ files under a root, and what they include."""

    def __init__(self, root):
        self.root = root
        self.text = {}
        for folder in SOURCE_FOLDERS:
            for base, folders, names in os.walk(os.path.join(root, folder)):
                folders[:] = sorted(f for f in folders if f != "golden")
                for name in sorted(names):
                    if name.endswith((".h", ".cc")):
                        path = os.path.join(base, name)
                        with open(path, encoding="utf-8") as file:
                            self.text[os.path.relpath(path, root)] = file.read()
        self.includes = {path: INCLUDE.findall(text) for path, text in self.text.items()}

    def reached(self, path):
        """Yields (include, chain of our headers that leads to it), nearest first."""
        seen = set()
        queue = [(path, ())]
        while queue:
            current, chain = queue.pop(0)
            for include in self.includes.get(current, ()):
                if include in seen:
                    continue
                seen.add(include)
                yield include, chain
                if include in self.text:
                    queue.append((include, chain + (include,)))


def include_violations(tree):
    for path in tree.text:
        rules = [rule for rule in RULES if re.match(rule.where, path)]
        if not rules:
            continue
        for include, chain in tree.reached(path):
            for rule in rules:
                if not re.match(rule.never, include) or re.match(rule.but, include):
                    continue
                if chain and rule.direct_only:
                    continue
                # The header in between is told of itself, if it stands under the same rule.
                if any(re.match(rule.where, header) for header in chain):
                    continue
                way = "".join(f" (by {header})" for header in chain)
                yield f"{path}: includes {include}{way}: {rule.because}"


def guard_violations(tree):
    for path, text in tree.text.items():
        if not path.endswith(".h"):
            continue
        guard = "DIFFUSIOND_" + re.sub(r"[-/.]", "_", path).upper() + "_"
        found = re.search(r"^#ifndef (\S+)\n#define (\S+)$", text, re.MULTILINE)
        if not found or found.group(1) != guard or found.group(2) != guard:
            yield f"{path}: its header guard should be {guard}"


def orphan_violations(tree):
    included = {include for includes in tree.includes.values() for include in includes}
    for path in tree.text:
        if path.endswith(".h") and path not in included:
            yield f"{path}: no file includes it"


def unbuilt_violations(tree, compile_commands):
    with open(compile_commands, encoding="utf-8") as file:
        entries = json.load(file)
    compiled = [os.path.join(entry["directory"], entry["file"]) for entry in entries]
    # Targets with UNITY are compiled by files that include their sources.
    for path in [path for path in compiled if path.endswith(".cxx")]:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                compiled += INCLUDE.findall(file.read())
    built = {os.path.relpath(os.path.realpath(path), os.path.realpath(tree.root))
             for path in compiled}
    for path in tree.text:
        if path.endswith(".cc") and path not in built:
            yield f"{path}: no target builds it"


def foreign_source_violations(root):
    """A target compiles what stands in its folder or below: others link it."""
    for folder in SOURCE_FOLDERS:
        for base, _, names in os.walk(os.path.join(root, folder)):
            if "CMakeLists.txt" not in names:
                continue
            path = os.path.join(base, "CMakeLists.txt")
            with open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if FOREIGN_SOURCE.search(line):
                        yield (f"{os.path.relpath(path, root)}:{number}: compiles a file of "
                               f"another folder: {line.strip()}")


def habit_violations(tree):
    for path, text in tree.text.items():
        lines = text.count("\n")
        if lines > MAX_LINES:
            yield f"{path}: {lines} lines, at most {MAX_LINES}: split it"
        if VAGUE_NAME.search(os.path.basename(path)):
            yield f"{path}: name the file after the thing in it"
        for number, line in enumerate(text.splitlines(), 1):
            if UNFINISHED.search(line):
                yield f"{path}:{number}: unfinished or disabled: {line.strip()}"


def function_violations(tree):
    for path, text in tree.text.items():
        lines = text.splitlines()
        statement, body = None, None  # Indices of lines: where one began; where a body was opened.
        for index, line in enumerate(lines):
            if body is not None:
                indentation = lines[statement][:-len(lines[statement].lstrip())]
                if re.match(indentation + r"}(?! )", line):
                    length = index - body + 1
                    table = any(TABLE.match(first) for first in lines[body + 1:body + 5])
                    if length > MAX_FUNCTION_LINES and not table:
                        yield (f"{path}:{statement + 1}: a function of {length} lines, at most "
                               f"{MAX_FUNCTION_LINES}: {lines[statement].strip()}")
                    statement = body = None
            elif re.match(r"\s*(//|#|$)", line) or line.endswith((";", "}", ":")):
                statement = None
            else:
                statement = index if statement is None else statement
                if line.endswith("{"):
                    whole = " ".join(lines[statement:index + 1])
                    if "(" in whole and not NO_FUNCTION.match(whole):
                        body = index
                    else:
                        statement = None


def uncommented_violations(root):
    """What others call is told where it stands: behind it on its line, or right above it."""
    for base, _, names in os.walk(os.path.join(root, "proto", "diffusiond")):
        for name in sorted(name for name in names if name.endswith(".proto")):
            path = os.path.join(base, name)
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
            for index, line in enumerate(lines):
                part = PROTO_PART.match(line)
                told = "//" in line or (index > 0 and lines[index - 1].lstrip().startswith("//"))
                if part and not told:
                    yield (f"{os.path.relpath(path, root)}:{index + 1}: no comment says what "
                           f"{part.group(1) or part.group(2)} is")


def violations(root, compile_commands=None):
    tree = Tree(root)
    yield from include_violations(tree)
    yield from guard_violations(tree)
    yield from orphan_violations(tree)
    yield from habit_violations(tree)
    yield from function_violations(tree)
    yield from foreign_source_violations(root)
    yield from uncommented_violations(root)
    if compile_commands:
        yield from unbuilt_violations(tree, compile_commands)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True)
    parser.add_argument("--compile-commands")
    arguments = parser.parse_args()
    found = list(violations(arguments.root, arguments.compile_commands))
    for line in found:
        print(line)
    print(f"{len(RULES)} include rules, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
