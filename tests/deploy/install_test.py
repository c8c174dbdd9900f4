"""What `cmake --install` and the Debian package hold works, and the package depends on what its
programs need."""

import functools
import os
import re
import shlex
import subprocess
import tempfile
import unittest

from diffusiond_process import BIN, SOURCE, START_SECONDS, LISTENING, eventually

BUILD = os.path.dirname(BIN)
PROGRAMS = ("diffusiond", "diffusionctl", "diffusion-train", "diffusion-eval", "diffusion-publish")
UNIT = "lib/systemd/system/diffusiond.service"
# Of every Debian, or of the compiler that made the package.
OF_THE_SYSTEM = {"libc6", "libgcc-s1", "libstdc++6"}


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=300).stdout


def run_packages():
    with open(os.path.join(SOURCE, "deploy/packages.txt"), encoding="utf-8") as file:
        section = file.read().partition("[run]\n")[2].partition("\n[")[0]
    return {line for line in section.splitlines() if line and not line.startswith("#")}


class InstalledTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = cls.enterClassContext(tempfile.TemporaryDirectory())
        output("cmake", "--install", BUILD, "--strip", "--prefix", cls.prefix)

    def there(self, *parts):
        return os.path.join(self.prefix, *parts)

    def test_every_program_runs(self):
        for program in PROGRAMS:
            self.assertIn("commit", output(self.there("bin", program), "--version"))

    def test_the_unit_starts_the_server_with_the_installed_models(self):
        with open(self.there(UNIT), encoding="utf-8") as unit:
            [line] = re.findall(r"^ExecStart=(.*)$", unit.read(), re.MULTILINE)
        with tempfile.NamedTemporaryFile("w+") as log:
            with subprocess.Popen([*shlex.split(line), "--listen=127.0.0.1:0",
                                   "--metrics_listen=127.0.0.1:0",
                                   "--http_listen="], stdout=log, stderr=log) as server:
                def listening():
                    self.assertIsNone(server.poll(), said())
                    return LISTENING.search(said())

                def said():
                    with open(log.name, encoding="utf-8") as file:
                        return file.read()
                try:
                    eventually(listening, "the server listens", START_SECONDS)
                    drawn = output(self.there("bin/diffusionctl"), "models", "--json",
                                   f"--server={listening().group(1)}")
                finally:
                    server.kill()
        for model in os.listdir(os.path.join(SOURCE, "model/checkpoints")):
            self.assertIn(f'"{model}"', drawn)

    def test_completions_and_the_api_are_there(self):
        share = self.there("share")
        output("bash", "-n", os.path.join(share, "bash-completion/completions/diffusionctl"))
        for name in ("zsh/site-functions/_diffusionctl", "fish/vendor_completions.d/diffusionctl.fish"):
            with open(os.path.join(share, name), encoding="utf-8") as file:
                self.assertIn("init_image", file.read(), name)
        with tempfile.TemporaryDirectory() as made:
            output("protoc", f"-I{share}/diffusiond/proto", f"--cpp_out={made}",
                   "diffusiond/v1/diffusion.proto")


class DebianPackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        output("cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-G", "DEB", "-B",
               cls.folder)
        [cls.package] = [os.path.join(cls.folder, name) for name in os.listdir(cls.folder)
                         if name.endswith(".deb")]

    def depends(self):
        return set(output("dpkg-deb", "-f", self.package, "Depends").strip().split(", "))

    def test_it_depends_on_the_packages_of_the_list(self):
        self.assertEqual(self.depends(), run_packages())

    def test_every_library_that_a_program_names_is_in_one_of_them(self):
        allowed = frozenset(self.depends() | OF_THE_SYSTEM)
        for program in PROGRAMS:
            path = os.path.join(BIN, program)
            needed = re.findall(r"NEEDED\s+(\S+)", output("objdump", "-p", path))
            self.assertTrue(needed, program)
            found = dict(re.findall(r"(\S+) => (\S+)", output("ldd", path)))
            for library in needed:
                if library not in found:  # The dynamic loader itself.
                    continue
                owner = self.owner_of(found[library])
                # gRPC's own library comes with libgrpc++.
                self.assertTrue(owner in allowed or self.is_below(owner, allowed),
                                f"{program} needs {library} of {owner}")

    @staticmethod
    @functools.cache
    def owner_of(path):
        for name in (path, os.path.realpath(path), path.removeprefix("/usr"), "/usr" + path):
            said = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True, check=False)
            if said.returncode == 0:
                return said.stdout.split(":")[0]
        raise AssertionError(f"no package has {path}")

    @staticmethod
    @functools.cache
    def is_below(package, above):
        needs = output("dpkg-query", "-W", "-f=${Depends}, ", *sorted(above))
        return package in re.findall(r"[a-z0-9][a-z0-9.+-]+", needs)

    def test_it_installs_under_usr_and_its_unit_names_that(self):
        output("dpkg-deb", "-x", self.package, self.folder + "/x")
        with open(os.path.join(self.folder, "x/usr", UNIT), encoding="utf-8") as unit:
            self.assertIn("ExecStart=/usr/bin/diffusiond "
                          "--model_repository=/usr/share/diffusiond/models ", unit.read())
        for program in PROGRAMS:
            self.assertTrue(os.access(os.path.join(self.folder, "x/usr/bin", program), os.X_OK))


if __name__ == "__main__":
    unittest.main()
