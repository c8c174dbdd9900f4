"""An option of one sampler is three edits: a member and an entry of the table, a field of the API, and
the sampler's own file. Everything else (request and plan check, hash, receipt, ListModels, the client's
flags, help and load mixes) reads the table, which other tests show of these very options; here it is
shown that nothing else in the product names them."""

import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLE = "model/sampling/sampling_options.h"
API = "proto/diffusiond/v1/sampling_options.proto"
# Those that no file of diffusers' has as well, which would be an edit of its reader.
SAMPLERS = {
    "s_churn": "model/sampling/euler.cc",
    "s_tmin": "model/sampling/euler.cc",
    "s_tmax": "model/sampling/euler.cc",
    "s_noise": "model/sampling/euler.cc",
    "use_clipped_model_output": "model/sampling/ddim.cc",
}


def sources():
    for folder in ("client", "model", "proto", "server"):
        for base, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in names:
                if name.endswith((".h", ".cc", ".proto", ".txt")):
                    yield os.path.join(base, name)


class OptionFilesTest(unittest.TestCase):
    def test_three_files_name_an_option(self):
        found = {option: set() for option in SAMPLERS}
        for path in sources():
            with open(path, encoding="utf-8") as file:
                words = set(re.findall(r"\w+", file.read()))
            for option in words & found.keys():
                found[option].add(os.path.relpath(path, ROOT))
        for option, sampler in SAMPLERS.items():
            with self.subTest(option=option):
                self.assertEqual(found[option], {TABLE, API, sampler})


if __name__ == "__main__":
    unittest.main()
