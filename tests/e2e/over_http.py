"""What tests of the API over HTTP share: a server with the model "tiny", and the reading of its streams."""

import json
import unittest

from diffusiond_process import Diffusiond


def events(stream):
    """(name, data) of each server-sent event."""
    name = None
    for line in stream:
        line = line.decode().rstrip("\n")
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])


class OverHttpTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Diffusiond()
        cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__, None, None, None)
        cls.url = f"http://{cls.server.http_address}"
