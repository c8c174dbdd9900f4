"""Everybody against everything over HTTP: who shows what, on each route, and on the metrics port.
As access_matrix_test.cc has it of gRPC's methods."""

import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import unittest

from diffusiond_process import SOURCE, Diffusiond

# Each route of openapi.json: the right that it needs; None: it is open to everybody.
RIGHTS = {
    ("GET", "/v1/generate"): "generate", ("POST", "/v1/generate"): "generate",
    ("POST", "/v1/images/generations"): "generate", ("POST", "/v1/images/edits"): "generate",
    ("GET", "/v1/models"): "read", ("GET", "/v1/models/{model}"): "read",
    ("GET", "/v1/state"): "read",
    ("GET", "/"): None, ("GET", "/openapi.json"): None, ("GET", "/livez"): None,
    ("GET", "/readyz"): None}
ALL = ("generate", "read", "admin")
BODIES = {"/v1/generate": json.dumps({"classId": 3, "sampling": {"steps": 1}}),
          "/v1/images/generations": json.dumps({"prompt": "3", "steps": 1}),
          "/v1/images/edits": "no form, but a body"}


class Certificates:
    """Keys and certificates of openssl's, in a folder of their own."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def authority(self, name):
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
                 f"{name}.crt")

    def issue(self, name, authority, names):
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                 f"/CN={name}", "-addext", f"subjectAltName={names}", "-keyout", f"{name}.key",
                 "-out", f"{name}.csr")
        self.run("x509", "-req", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
                 "-copy_extensions", "copy", "-days", "2", "-in", f"{name}.csr", "-out",
                 f"{name}.crt")


class HttpAccessTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.made = Certificates(tempfile.mkdtemp(prefix="http-access-"))
        cls.addClassCleanup(shutil.rmtree, cls.made.folder)
        cls.made.authority("ca")
        cls.made.authority("elsewhere")
        cls.made.issue("server", "ca", "DNS:localhost,IP:127.0.0.1")
        identities = [cls.identity("all", ALL)]
        cls.made.issue("all", "ca", "URI:spiffe://here/all")
        cls.made.issue("unlisted", "ca", "URI:spiffe://here/unlisted")
        cls.made.issue("foreign", "elsewhere", "URI:spiffe://here/all")
        for right in ALL:
            name = f"no-{right}"
            identities.append(cls.identity(name, [other for other in ALL if other != right]))
            cls.made.issue(name, "ca", f"URI:spiffe://here/{name}")
        with open(cls.made.path("access.json"), "w", encoding="utf-8") as file:
            json.dump({"identities": identities}, file)
        os.chmod(cls.made.path("access.json"), 0o600)
        cls.server = cls.enterClassContext(Diffusiond(*cls.tls("request"), "--access_file=" +
                                                      cls.made.path("access.json")))

    @classmethod
    def identity(cls, name, rights):
        return {"name": name, "rights": list(rights), "certificates": [f"spiffe://here/{name}"],
                "token_sha256": [hashlib.sha256(name.encode()).hexdigest()]}

    @classmethod
    def tls(cls, client_auth):
        return (f"--tls_cert={cls.made.path('server.crt')}",
                f"--tls_key={cls.made.path('server.key')}",
                f"--tls_client_ca={cls.made.path('ca.crt')}", f"--tls_client_auth={client_auth}",
                "--metrics_tls")

    def ask(self, address, method, path, token=None, certificate=None):
        """The status of the answer; None: TLS came to no end."""
        context = ssl.create_default_context(cafile=self.made.path("ca.crt"))
        if certificate:
            context.load_cert_chain(self.made.path(certificate + ".crt"),
                                    self.made.path(certificate + ".key"))
        host, port = address.rsplit(":", 1)
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            connection.request(method, path.replace("{model}", "tiny"), BODIES.get(path)
                               if method == "POST" else None, headers)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def for_each(self, check, **shown):
        """check(right that the route needs, status)."""
        for (method, path), right in RIGHTS.items():
            with self.subTest(method=method, path=path, **shown):
                check(right, self.ask(self.server.http_address, method, path, **shown))

    def assert_reached(self, status):
        # What a method makes of a request is not asked here.
        self.assertIn(status, (200, 400))

    def test_the_table_has_every_route(self):
        document = os.path.join(SOURCE, "server/http/openapi/openapi.json")
        with open(document, encoding="utf-8") as file:
            paths = json.load(file)["paths"]
        described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
        self.assertEqual(set(RIGHTS), described)
        with open(os.path.join(SOURCE, "server/http/http_front.cc"), encoding="utf-8") as file:
            served = set(re.findall(r'"(/(?:v1/[\w/]*\w|\w+\.json|\w+z))"', file.read()))
        self.assertEqual(served, {path for _, path in RIGHTS} - {"/", "/v1/models/{model}"})

    def test_who_shows_nothing_that_is_known_reaches_open_routes_alone(self):
        def check(right, status):
            if right is None:
                self.assertEqual(status, 200)
            else:
                self.assertEqual(status, 401)
        for shown in ({}, {"token": "guessed"}, {"certificate": "unlisted"},
                      {"token": "guessed", "certificate": "all"}):
            self.for_each(check, **shown)

    def test_a_certificate_of_another_authority_reaches_nothing(self):
        self.for_each(lambda right, status: self.assertIsNone(status), certificate="foreign")

    def test_every_right_but_the_one_that_is_asked_for(self):
        for lacking in ALL:
            def check(right, status, lacking=lacking):
                if right == lacking:
                    self.assertEqual(status, 403)
                else:
                    self.assert_reached(status)
            self.for_each(check, token=f"no-{lacking}")
            self.for_each(check, certificate=f"no-{lacking}")

    def test_the_right_one(self):
        def check(_, status):
            self.assert_reached(status)
        self.for_each(check, token="all")
        self.for_each(check, certificate="all")

    def test_the_metrics_port_asks_for_certificates_as_the_others_do(self):
        address = self.server.metrics_address
        for certificate in (None, "all", "unlisted"):
            self.assertEqual(self.ask(address, "GET", "/metrics", certificate=certificate), 200)
        self.assertIsNone(self.ask(address, "GET", "/metrics", certificate="foreign"))
        with Diffusiond(*self.tls("require")) as server:
            for address, path in ((server.metrics_address, "/metrics"),
                                  (server.http_address, "/livez")):
                for certificate in (None, "foreign"):
                    self.assertIsNone(self.ask(address, "GET", path, certificate=certificate))
                self.assertEqual(self.ask(address, "GET", path, certificate="unlisted"), 200)


if __name__ == "__main__":
    unittest.main()
