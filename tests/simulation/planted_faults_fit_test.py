"""Every planted fault still finds the lines that it changes: one that does not proves nothing."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "outside")]
from mutations import MUTATIONS, ROOT  # noqa: E402
from planted_faults import FAULTS  # noqa: E402


class PlantedFaultsFitTest(unittest.TestCase):
    def test_their_lines_are_there(self):
        for fault in (*MUTATIONS, *FAULTS):
            with self.subTest(fault.name), open(os.path.join(ROOT, fault.path), encoding="utf-8") as file:
                self.assertIn(fault.old, file.read(), fault.path)


if __name__ == "__main__":
    unittest.main()
