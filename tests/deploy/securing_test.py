"""Walks "Securing it" of server/README.md as it stands there, block by block in one shell's directory,
but for ports: these are free ones here. Then what an operator does next: new files, bad files."""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

import documents
from diffusiond_process import BIN, LISTENING, SOURCE, Diffusiond, eventually

LIST_MODELS = "models --server=localhost:50051 --token_file=web.token"


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class SecuringTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(SOURCE, "server/README.md"), encoding="utf-8") as file:
            section = documents.section(file.read(), "Securing it")
        cls.make, cls.serve, cls.ask, cls.renew = documents.blocks(section, "bash")
        cls.folder = tempfile.mkdtemp(prefix="securing-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        os.mkdir(os.path.join(cls.folder, "models"))
        os.symlink(os.path.join(SOURCE, "model/checkpoints/fashion-mnist"),
                   os.path.join(cls.folder, "models/fashion-mnist"))
        cls.ports = dict(zip(("50051", "50052", "9464", "8080"), free_ports(4)))
        made = cls.bash(cls.make)
        assert made.returncode == 0, made.stderr
        cls.log_path = os.path.join(cls.folder, "log")
        with open(cls.log_path, "wb") as log:
            # pylint: disable=consider-using-with
            cls.server = subprocess.Popen(
                ["bash", "-c", "exec " + cls.with_ports(cls.serve.rstrip()) +
                 cls.with_ports(" --metrics_listen=127.0.0.1:9464 --http_listen=127.0.0.1:8080")],
                cwd=cls.folder, env=cls.environment(), stdout=log, stderr=log)
        cls.addClassCleanup(cls.stop)
        eventually(lambda: cls.server.poll() is not None or LISTENING.search(cls.log()), "it listens")
        assert cls.server.poll() is None, cls.log()

    @classmethod
    def stop(cls):
        cls.server.kill()
        cls.server.wait()

    @classmethod
    def environment(cls):
        return {**os.environ, "PATH": os.pathsep.join((BIN, os.environ["PATH"]))}

    @classmethod
    def with_ports(cls, text):
        return re.sub(r":(50051|50052|9464|8080)\b", lambda found: f":{cls.ports[found.group(1)]}", text)

    @classmethod
    def bash(cls, text):
        return subprocess.run(["bash", "-euo", "pipefail", "-c", cls.with_ports(text)],
                              cwd=cls.folder, env=cls.environment(), text=True,
                              errors="replace", capture_output=True, timeout=120, check=False)

    @classmethod
    def log(cls):
        with open(cls.log_path, encoding="utf-8") as file:
            return file.read()

    def diffusionctl(self, words):
        return self.bash(f"DIFFUSIOND_CA=ca.crt diffusionctl {words}")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path + ".new", 0o600)
        os.rename(path + ".new", path)

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()

    def test_what_the_page_asks_is_answered(self):
        asked = self.bash(self.ask)
        self.assertEqual(asked.returncode, 0, asked.stdout + asked.stderr)
        self.assertIn("serving", asked.stdout)
        self.assertRegex(asked.stdout, r"fashion-mnist +- +serving")
        self.assertIn("grpc-status: 0", asked.stdout)
        drawn = [name for name in os.listdir(self.folder) if name.startswith("drawn")]
        self.assertTrue(drawn)
        self.assertIn("tenant=web identity=web", self.log())

    def test_the_list_has_the_token_however_it_was_made(self):
        folder = os.path.join(self.folder, "otherwise")
        os.mkdir(folder)
        [(line, other)] = re.findall(r"^(.+ > web\.token) +# or: (.+)$", self.make, re.MULTILINE)
        for command in (line, other):
            with self.subTest(command=command):
                made = self.bash(f"cd otherwise; {self.make.replace(line, command)}")
                self.assertEqual(made.returncode, 0, made.stderr)
                token = self.read("otherwise/web.token").strip()
                listed = json.loads(self.read("otherwise/access.json"))["identities"][0]
                self.assertEqual(listed["token_sha256"],
                                 [hashlib.sha256(token.encode()).hexdigest()])

    def test_only_the_server_may_have_a_certificate(self):
        with Diffusiond(*(f"--{flag}={self.folder}/{name}" for flag, name in (
                ("tls_cert", "tls.crt"), ("tls_key", "tls.key"),
                ("access_file", "access.json")))) as server:
            asked = self.diffusionctl(f"models --server={server.address} --token_file=web.token")
            self.assertEqual(asked.returncode, 0, asked.stderr + server.log())

    def test_metrics_have_the_same_tls_if_asked(self):
        with Diffusiond(f"--tls_cert={self.folder}/tls.crt", f"--tls_key={self.folder}/tls.key",
                        "--metrics_tls") as server:
            port = server.metrics_address.rsplit(":", 1)[1]
            told = self.bash(f"curl -sS --cacert ca.crt https://localhost:{port}/metrics")
            self.assertIn("diffusiond_build_info", told.stdout)
            self.assertNotEqual(self.bash(f"curl -sS http://localhost:{port}/metrics").returncode, 0)

    def test_secrets_are_their_owners_alone(self):
        for name in ("ca.key", "tls.key", "ops.key", "web.token", "access.json"):
            self.assertEqual(os.stat(os.path.join(self.folder, name)).st_mode & 0o077, 0, name)

    def test_others_are_refused(self):
        for words in ("models --server=localhost:50051",
                      "models --server=localhost:50051 --cert=ops.crt --key=ops.key",
                      "versions --admin=localhost:50052 --token_file=web.token"):
            with self.subTest(words=words):
                refused = self.diffusionctl(words)
                self.assertEqual(refused.returncode, 1)
                self.assertRegex(refused.stderr, "UNAUTHENTICATED|PERMISSION_DENIED")
        plaintext = self.bash("diffusionctl models --server=localhost:50051")
        self.assertEqual(plaintext.returncode, 1)
        self.assertNotIn(self.read("web.token"), self.log())
        self.assertNotIn("may_draw=everybody", self.log())

    def test_old_tls_is_not_spoken(self):
        for version, spoken in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
            with self.subTest(version=version):
                # Whatever the machine's configuration, the client offers it.
                reply = self.bash(f"openssl s_client -connect localhost:50051 {version} -alpn h2 "
                                  "-cipher 'DEFAULT@SECLEVEL=0' -CAfile ca.crt < /dev/null 2>&1 || true")
                self.assertEqual("Cipher is (NONE)" not in reply.stdout, spoken, reply.stdout)

    def test_new_files_are_taken_and_bad_ones_refused(self):
        renewed = self.bash(self.renew)
        self.assertEqual(renewed.returncode, 0, renewed.stderr)
        eventually(lambda: "files=tls state=reloaded" in self.log(), "the certificate is taken")
        self.assertEqual(self.diffusionctl(LIST_MODELS).returncode, 0)

        good = self.read("access.json")
        self.write("access.json", good.replace('"web"', '"web", "right": []'))
        eventually(lambda: "files=access state=refused" in self.log(), "the bad list is refused")
        self.assertIn("identities[0].unknown field", self.log())
        self.assertEqual(self.diffusionctl(LIST_MODELS).returncode, 0)
        metrics = self.bash("curl -sS http://127.0.0.1:9464/metrics").stdout
        self.assertIn('diffusiond_access_files_stale{files="access"} 1', metrics)
        self.assertNotIn("expiry_timestamp_seconds +Inf", metrics)

        others = [one for one in json.loads(good)["identities"] if one["name"] != "web"]
        self.write("access.json", json.dumps({"identities": others}))
        eventually(lambda: "UNAUTHENTICATED" in self.diffusionctl(LIST_MODELS).stderr,
                   "who was taken off the list is refused")
        self.write("access.json", good)
        eventually(lambda: self.diffusionctl(LIST_MODELS).returncode == 0, "and let in again")


    def test_not_everybody_may_draw_where_certificates_are_required(self):
        with Diffusiond(f"--tls_cert={self.folder}/tls.crt", f"--tls_key={self.folder}/tls.key",
                        f"--tls_client_ca={self.folder}/ca.crt",
                        "--tls_client_auth=require") as server:
            self.assertNotIn("may_draw=everybody", server.log())
            self.assertEqual(server.log().count('may_draw=certificates which_is="who has one '), 1)


class UnsecuredTest(unittest.TestCase):
    def test_the_log_says_once_that_anyone_may_draw(self):
        with Diffusiond() as server:
            self.assertEqual(server.log().count("may_draw=everybody which_is=\"whoever reaches"), 1)


if __name__ == "__main__":
    unittest.main()
