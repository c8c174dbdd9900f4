"""OpenAI's npm client draws here, unmodified. Where it is must be told, for no test fetches anything:
npm install --prefix FOLDER openai, then DIFFUSIOND_OPENAI_CLIENT=FOLDER."""

import os
import subprocess
import unittest

from diffusiond_process import SOURCE, Diffusiond, eventually

FOLDER = os.environ.get("DIFFUSIOND_OPENAI_CLIENT", "")


class OpenAiClientTest(unittest.TestCase):
    @unittest.skipUnless(FOLDER, "DIFFUSIOND_OPENAI_CLIENT does not name a folder with OpenAI's client")
    def test_plain_streamed_refused_and_aborted(self):
        with Diffusiond() as server:
            ran = subprocess.run(
                ["node", os.path.join(SOURCE, "tests/e2e/openai_client.mjs"), os.path.abspath(FOLDER),
                 f"http://{server.http_address}"], capture_output=True, text=True, timeout=120)
            self.assertEqual(ran.returncode, 0, ran.stderr + server.log())
            eventually(lambda: server.metric("diffusiond_resident_trajectories") == 0,
                       "the aborted stream's rows are free")


if __name__ == "__main__":
    unittest.main()
