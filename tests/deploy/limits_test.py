"""Holds the tables of flags and of limits in server/README.md against the program: flags and their
defaults, constants and the files that they stand in, metrics; and no flag may be missing."""

import os
import re
import unittest

import documents
from commands import known_flags
from diffusiond_process import BIN, SOURCE

# Flags that hold something back.
LIMIT_FLAG = re.compile(r"^max_|_timeout$|_share$|_per_second$|_watchdog$|_ageing$|^keep_|_threads$")

# In the table of flags, and in the program: where no value says it to a reader.
DEFAULTS_IN_WORDS = {
    "model_repository": ("required", ""),
    "default_model": ("the only model", ""),
    "micro_batch": ("by profile", "0"),
    "max_model_memory": ("half of the machine's", "0"),
}

# "`kMaxThreads` in `server/rpc/transport_limits.cc`", several with commas between.
CONSTANTS = re.compile(r"((?:`\w+`(?: \(\d+\))?(?:, )?)+) in `([\w/]+\.(?:h|cc))`")

# Whose row says in words what they do.
NO_NUMBERS = {"IdentityLimits", "PictureReader", "EventQueue", "kLimits"}

UNITS = {"": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "ms": 1, "s": 1000, "min": 60_000,
         "Milliseconds": 1, "Seconds": 1000, "Minutes": 60_000}


def numbers_told(cell):
    """Of "8 KiB; 30 s": in bytes and milliseconds; "1 a second" is the time between two."""
    if cell.endswith(" a second"):
        return [1000 // int(cell.removesuffix(" a second"))]
    return [int(number.replace(",", "")) * UNITS[unit] for number, unit in
            re.findall(r"(\d+(?:,\d{3})*)(?: (bytes|KiB|MiB|ms|s|min)\b)?", cell)]


def number_of(source, name):
    """What the constant is set to there, in bytes and milliseconds; None: to no number."""
    found = re.search(rf"\b{name}\b(?: =|{{)\s*(?:absl::(\w+)\()?(?:\w+{{(\d+)}}|([\d']+))"
                      r"(?: << (\d+))?", source)
    if not found:
        return None
    unit, braced, plain, shift = found.groups()
    return (int((braced or plain).replace("'", "")) << int(shift or 0)) * UNITS[unit or ""]


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


def rows(text):
    """The cells of each row of a table of limits, without heads."""
    for line in documents.section(text, "Limits").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] != "limit":
            yield cells


def flag_defaults():
    """{flag: its default, as --help shows it}."""
    defaults = {}
    for flag, text in known_flags(BIN, "diffusiond").items():
        shown = re.search(r" \(default (.*)\)$", text)
        defaults[flag] = shown.group(1) if shown else ""
    return defaults


class LimitsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = read("server/README.md")
        cls.rows = list(rows(cls.text))
        cls.flags = flag_defaults()

    def test_every_row_says_what_limits_and_what_happens(self):
        self.assertGreater(len(self.rows), 50)
        for cells in self.rows:
            with self.subTest(limit=cells[0]):
                self.assertIn(len(cells), (4, 5), cells)
                self.assertTrue(all(cells[:3]), cells)

    def test_flags_exist_and_have_these_defaults(self):
        for limit, default, setter, *_ in self.rows:
            flag = re.match(r"`--(\w+)`", setter)
            if flag:
                with self.subTest(limit=limit):
                    self.assertIn(flag.group(1), self.flags)
                    shown = re.match(r"`([^`]*)`", default).group(1)
                    self.assertEqual(shown, self.flags[flag.group(1)])

    def test_every_flag_that_is_named_exists(self):
        limits = documents.section(self.text, "Limits")
        for flag in re.findall(r"--(\w+)", limits.replace("diffusiond --help", "")):
            self.assertIn(flag, self.flags)

    def test_the_table_of_flags_has_each_flag_with_its_default(self):
        table = {cells[0].strip("`-"): cells[1].strip("`") for cells in
                 documents.table(documents.section(self.text, "Flags of `diffusiond`"))}
        self.assertEqual(set(table), set(self.flags))
        for flag, default in table.items():
            said = DEFAULTS_IN_WORDS.get(flag, (default, default))
            with self.subTest(flag=flag):
                self.assertEqual((default, self.flags[flag]), said)

    def test_every_flag_that_is_a_limit_has_a_row(self):
        named = {flag for _, _, setter, *_ in self.rows for flag in re.findall(r"--(\w+)", setter)}
        self.assertEqual({flag for flag in self.flags if LIMIT_FLAG.search(flag)} - named, set())

    def test_constants_stand_where_they_are_said_to(self):
        for limit, _, setter, *_ in self.rows:
            found = CONSTANTS.match(setter)
            if not found:
                self.assertRegex(setter, r"^`--|^gRPC's own$|^its call$|`(GenerateRequest|SamplingOptions)`$", limit)
                continue
            source = read(found.group(2))
            for name in re.findall(r"`(\w+)`", found.group(1)):
                with self.subTest(limit=limit):
                    self.assertRegex(source, rf"\b{name}\b")

    def test_constants_have_the_values_that_are_told(self):
        compared = 0
        for limit, default, setter, *_ in self.rows:
            told = re.findall(r"\((\d+)\) in `", setter)
            told = [int(number) for number in told] or numbers_told(default)
            constants = [(name, path) for names, path in CONSTANTS.findall(setter)
                         for name in re.findall(r"`(\w+)`", names)]
            for place, (name, path) in enumerate(constants):
                if name in NO_NUMBERS:
                    continue
                with self.subTest(limit=limit, constant=name):
                    self.assertEqual(number_of(read(path), name), told[place])
                compared += 1
        self.assertGreater(compared, 50)

    def test_metrics_exist(self):
        # Not by a scrape: some have no series before their first event.
        registered = "".join(read(f"server/metrics/{name}.cc") for name in (
            "server_metrics", "access_instruments", "telemetry_instruments"))
        for metric in re.findall(r"`(diffusiond_\w+)", self.text):
            self.assertIn(f'"{metric}"', registered)


if __name__ == "__main__":
    unittest.main()
