"""deploy/sbom.py on this machine's packages and on an image made up for it: a document that fits SPDX
2.3, with dpkg's versions and the licences that Debian's copyright files name."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import commands
from manifests import DEPLOY, SOURCE, read

sys.path.insert(0, DEPLOY)
import sbom

SCRIPT = os.path.join(DEPLOY, "sbom.py")
# What SPDX 2.3 wants, of what we write.
DOCUMENT_FIELDS = ("spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace",
                   "creationInfo", "packages", "relationships", "hasExtractedLicensingInfos")
PACKAGE_FIELDS = ("SPDXID", "name", "versionInfo", "supplier", "downloadLocation", "filesAnalyzed",
                  "licenseConcluded", "licenseDeclared", "copyrightText")
ID = re.compile(r"SPDXRef-[a-zA-Z0-9.-]+$")
LICENCE = re.compile(r"LicenseRef-[a-zA-Z0-9.-]+$|[a-zA-Z0-9.-]+$")
PURL = re.compile(r"pkg:deb/debian/[a-z0-9][a-z0-9.+-]+@[\w.~%-]+\?arch=\w+&distro=[\w.-]+$")

COPYRIGHT_HEAD = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"


def made(*flags, **environment):
    reply = subprocess.run([SCRIPT, *flags], env={**os.environ, **environment}, text=True,
                           capture_output=True, timeout=120, check=False)
    if reply.returncode != 0:
        raise AssertionError(reply.stderr)
    return json.loads(reply.stdout)


def licences_of(expression):
    """The names in an SPDX expression; None if it is none."""
    words = re.findall(r"[()]|[^()\s]+", expression)
    named, depth, wants_name = [], 0, True
    for word in words:
        if word == "(" and wants_name:
            depth += 1
        elif word == ")" and not wants_name and depth:
            depth -= 1
        elif word in ("AND", "OR") and not wants_name:
            wants_name = True
        elif wants_name and LICENCE.match(word) and word not in ("AND", "OR"):
            named.append(word)
            wants_name = False
        else:
            return None
    return named if depth == 0 and not wants_name else None


def by_name(document):
    return {package["name"]: package for package in document["packages"]}


class ValidDocument:
    """What holds for every document; its class sets `document`."""

    def test_it_has_the_fields_of_spdx(self):
        self.assertEqual(set(self.document), set(DOCUMENT_FIELDS))
        self.assertEqual(self.document["spdxVersion"], "SPDX-2.3")
        self.assertEqual(self.document["dataLicense"], "CC0-1.0")
        self.assertEqual(self.document["SPDXID"], "SPDXRef-DOCUMENT")
        self.assertRegex(self.document["documentNamespace"], r"^https://[^#\s]+$")
        self.assertRegex(self.document["creationInfo"]["created"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(self.document["creationInfo"]["creators"][0], r"^Tool: \S+$")

    def test_every_package_has_the_fields_of_spdx(self):
        for package in self.document["packages"]:
            with self.subTest(package=package.get("name")):
                self.assertEqual([name for name in PACKAGE_FIELDS if name not in package], [])
                self.assertRegex(package["SPDXID"], ID)
                self.assertTrue(package["versionInfo"])
                self.assertFalse(package["filesAnalyzed"])
                for reference in package.get("externalRefs", ()):
                    self.assertEqual(reference["referenceCategory"], "PACKAGE-MANAGER")
                    self.assertEqual(reference["referenceType"], "purl")
                    self.assertRegex(reference["referenceLocator"], PURL)

    def test_identifiers_are_unique_and_relationships_lead_to_them(self):
        ids = [self.document["SPDXID"], *(one["SPDXID"] for one in self.document["packages"])]
        self.assertEqual(len(ids), len(set(ids)))
        triples = [tuple(one[end] for end in ("spdxElementId", "relationshipType",
                                              "relatedSpdxElement"))
                   for one in self.document["relationships"]]
        self.assertEqual(len(triples), len(set(triples)))
        for one, how, other in triples:
            self.assertIn(one, ids)
            self.assertIn(other, ids)
            self.assertIn(how, ("DESCRIBES", "CONTAINS", "DEPENDS_ON", "STATIC_LINK"))
        self.assertEqual([one for one, how, _ in triples if how == "DESCRIBES"],
                         ["SPDXRef-DOCUMENT"])
        # Nothing hangs in the air.
        reached = {other for _, _, other in triples}
        self.assertEqual(set(ids) - reached, {"SPDXRef-DOCUMENT"})

    def test_licences_are_expressions_and_have_a_text_where_spdx_has_no_name(self):
        infos = self.document["hasExtractedLicensingInfos"]
        told = [info["licenseId"] for info in infos]
        self.assertEqual(len(told), len(set(told)))
        self.assertTrue(all(info["extractedText"] for info in infos))
        used = set()
        for package in self.document["packages"]:
            with self.subTest(package=package["name"]):
                if package["licenseDeclared"] == "NOASSERTION":
                    continue
                named = licences_of(package["licenseDeclared"])
                self.assertIsNotNone(named, package["licenseDeclared"])
                used.update(name for name in named if name.startswith("LicenseRef-"))
        self.assertEqual(used, set(told))


class ThisMachineTest(ValidDocument, unittest.TestCase):
    """The packages here, among which those that the programs need are."""

    @classmethod
    def setUpClass(cls):
        cls.document = made("--version=1f2e3d")

    def test_what_the_programs_need_is_there_with_dpkgs_version(self):
        names = sbom.section("run")
        self.assertIn("libtorch1.13", names)
        shown = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version}\n", *names],
                               text=True, capture_output=True, check=True).stdout
        versions = dict(line.split() for line in shown.splitlines())
        packages = by_name(self.document)
        needed = {one["relatedSpdxElement"] for one in self.document["relationships"]
                  if one["spdxElementId"] == "SPDXRef-diffusiond" and
                  one["relationshipType"] == "DEPENDS_ON"}
        self.assertEqual(needed, {packages[name]["SPDXID"] for name in names})
        for name in names:
            with self.subTest(package=name):
                self.assertEqual(packages[name]["versionInfo"], versions[name])
                self.assertTrue(packages[name]["licenseDeclared"] != "NOASSERTION" or
                                packages[name]["licenseComments"])

    def test_licences_that_are_known_elsewhere(self):
        packages = by_name(self.document)
        for name, licence in (("zlib1g", "Zlib"), ("libabsl20220623", "Apache-2.0"),
                              ("libgloo0", "BSD-3-Clause")):
            self.assertEqual(packages[name]["licenseDeclared"], licence)
        known = [name for name in sbom.section("run")
                 if packages[name]["licenseDeclared"] != "NOASSERTION"]
        self.assertGreater(len(known), 0.8 * len(sbom.section("run")))

    def test_programs_hold_what_has_no_library(self):
        packages = by_name(self.document)
        self.assertEqual(packages["diffusiond"]["versionInfo"], "1f2e3d")
        self.assertEqual(packages["diffusiond"]["licenseDeclared"], "Apache-2.0")
        linked = {one["relatedSpdxElement"] for one in self.document["relationships"]
                  if one["relationshipType"] == "STATIC_LINK"}
        self.assertEqual(linked, {packages[name]["SPDXID"] for name in sbom.COMPILED_IN})

    def test_every_library_of_the_build_is_one_of_the_image_or_compiled_in(self):
        # A package of [build] for C++ brings a library of [run], or all that it has is compiled in.
        run = set(sbom.section("run"))
        for package in sbom.installed_packages("/"):
            if package.name not in sbom.section("build") or not package.name.endswith(("-dev", "-proto")):
                continue
            brings = {name for alternatives in package.depends for name in alternatives}
            with self.subTest(package=package.name):
                self.assertNotEqual(bool(brings & run), package.name in sbom.COMPILED_IN)


class MadeUpImageTest(ValidDocument, unittest.TestCase):
    """A file system with packages of each kind."""

    COPYRIGHTS = {
        "plain": COPYRIGHT_HEAD + "Files: *\nLicense: Expat\n Permission is\n .\n granted.\n",
        "several": COPYRIGHT_HEAD + (
            "Files: *\nLicense: GPL-2+ or Artistic, and BSD-3-clause\n\n"
            "Files: b\nLicense: LGPL-2.1 and zlib\n\nFiles: c\nLicense: Zlib\n\n"
            "License: GPL-2+\n text\n"),
        "own": COPYRIGHT_HEAD + "Files: *\nLicense: public-domain\n No rights here.\n",
        "other": COPYRIGHT_HEAD + ("Files: *\nLicense: public-domain\n\n"
                                   "License: public-domain\n None there.\n"),
        "prose": "It is free: see /usr/share/common-licenses/GPL-2.\n",
    }
    STATUS = (  # name, status, architecture, version, further fields
        ("plain", "install ok installed", "amd64", "1:2.0+dfsg~rc1-1", "Depends: several (>= 1)"),
        ("several", "install ok installed", "amd64", "1", "Depends: absent | virtual, plain:any"),
        ("own", "install ok installed", "all", "1", "Provides: virtual (= 1)"),
        ("other", "install ok installed", "amd64", "1", "Pre-Depends: own"),
        ("prose", "install ok installed", "amd64", "1", "Source: big (3)"),
        ("linked", "install ok installed", "amd64", "1", ""),
        ("bare", "install ok installed", "amd64", "1", "Homepage: https://example.org/bare"),
        # Characters that SPDX's identifiers have not.
        ("a+b", "install ok installed", "amd64", "1", ""),
        ("a-b", "install ok installed", "amd64", "1", ""),
        ("gone", "deinstall ok config-files", "amd64", "1", ""),
    )

    @classmethod
    def setUpClass(cls):
        cls.root = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.write("var/lib/dpkg/status", "\n\n".join(
            "\n".join(filter(None, (f"Package: {name}", f"Status: {status}", "Maintainer: m",
                                    f"Architecture: {architecture}", f"Version: {version}", more,
                                    "Description: d")))
            for name, status, architecture, version, more in
            (*cls.STATUS, *((name, "install ok installed", "amd64", "1", "")
                            for name in (*sbom.section("run"), *sbom.COMPILED_IN)))) + "\n")
        cls.write("etc/os-release", 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
        for name, text in cls.COPYRIGHTS.items():
            cls.write(f"usr/share/doc/{name}/copyright", text)
        # As Debian links them; the root of it is the image's.
        os.symlink("/usr/share/doc/plain", os.path.join(cls.root, "usr/share/doc/linked"))
        cls.flags = (f"--root={cls.root}", f"--build_root={cls.root}")
        cls.document = made(*cls.flags)
        cls.packages = by_name(cls.document)

    @classmethod
    def write(cls, path, text):
        path = os.path.join(cls.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def test_what_is_installed_is_there(self):
        self.assertIn("bare", self.packages)
        self.assertNotIn("gone", self.packages)

    def test_licences(self):
        cases = {
            "plain": "MIT", "linked": "MIT",
            "several": "((GPL-2.0-or-later OR Artistic-1.0) AND BSD-3-Clause) AND "
                       "LGPL-2.1-only AND Zlib",
            "own": "LicenseRef-Debian-public-domain-2", "other": "LicenseRef-Debian-public-domain",
            "prose": "NOASSERTION", "bare": "NOASSERTION",
        }
        for name, licence in cases.items():
            with self.subTest(package=name):
                self.assertEqual(self.packages[name]["licenseDeclared"], licence)
        texts = {info["licenseId"]: info["extractedText"]
                 for info in self.document["hasExtractedLicensingInfos"]}
        self.assertEqual(texts, {"LicenseRef-Debian-public-domain": "None there.",
                                 "LicenseRef-Debian-public-domain-2": "No rights here."})
        self.assertIn("names GPL-2 of", self.packages["prose"]["licenseComments"])
        self.assertIn("no copyright file", self.packages["bare"]["licenseComments"])

    def test_packages_are_named_as_scanners_look_for_them(self):
        [reference] = self.packages["plain"]["externalRefs"]
        self.assertEqual(reference["referenceLocator"],
                         "pkg:deb/debian/plain@1%3A2.0%2Bdfsg~rc1-1?arch=amd64&distro=debian-12")
        self.assertEqual(self.packages["prose"]["sourceInfo"], "built from big 3")
        self.assertEqual(self.packages["bare"]["homepage"], "https://example.org/bare")

    def test_dependencies_are_met_by_what_is_installed(self):
        names = {package["SPDXID"]: name for name, package in self.packages.items()}
        met = {(names[one["spdxElementId"]], names[one["relatedSpdxElement"]])
               for one in self.document["relationships"]
               if one["relationshipType"] == "DEPENDS_ON" and
               one["spdxElementId"].startswith("SPDXRef-deb-")}
        self.assertEqual(met, {("plain", "several"), ("several", "own"), ("several", "plain"),
                               ("other", "own")})

    def test_the_same_image_gives_the_same_document(self):
        first, second, third = (made(*self.flags, SOURCE_DATE_EPOCH=str(epoch))
                                for epoch in (86400, 86400, 90000))
        self.assertEqual(first, second)
        self.assertEqual(first["creationInfo"]["created"], "1970-01-02T00:00:00Z")
        self.assertEqual(first["documentNamespace"], third["documentNamespace"])

    def test_an_image_without_what_the_programs_need_has_none(self):
        with tempfile.TemporaryDirectory() as empty:
            os.makedirs(os.path.join(empty, "var/lib/dpkg"))
            with open(os.path.join(empty, "var/lib/dpkg/status"), "w", encoding="utf-8"):
                pass
            with self.assertRaisesRegex(AssertionError, "not installed in .*libtorch"):
                made(f"--root={empty}")
            with self.assertRaisesRegex(AssertionError, "not installed in .*nlohmann"):
                made(f"--root={self.root}", f"--build_root={empty}")


class NamesTest(unittest.TestCase):
    def test_debians_names_of_licences(self):
        cases = {"GPL-2+": "GPL-2.0-or-later", "GPL-3": "GPL-3.0-only", "LGPL-2.1+": "LGPL-2.1-or-later",
                 "AGPL-3+": "AGPL-3.0-or-later", "GPL-2.0-only": "GPL-2.0-only",
                 "GFDL-NIV-1.3+": "GFDL-1.3-no-invariants-or-later", "expat": "MIT",
                 "GFDL-1.3": None, "GPL-4": None, "GPL": None, "BSD": None,
                 "GPL-2+ with OpenSSL exception": None}
        for name, expected in cases.items():
            with self.subTest(name=name):
                self.assertEqual(sbom.spdx_name(name), expected)

    def test_expressions_are_read(self):
        self.assertEqual(licences_of("(A OR B) AND C"), ["A", "B", "C"])
        for wrong in ("", "A B", "A AND", "(A", "A)", "A with B", "OR A"):
            with self.subTest(expression=wrong):
                self.assertIsNone(licences_of(wrong))


class ImageTest(unittest.TestCase):
    """The Dockerfile makes it of the image's own packages and puts it where the guide says."""

    def test_dockerfile(self):
        text = read("Dockerfile").replace("\\\n", " ")
        [line] = re.findall(r"^RUN .*deploy/sbom\.py.*$", text, re.MULTILINE)
        self.assertIn("--mount=type=bind,from=runtime,target=/image", line)
        words = line.partition("deploy/sbom.py")[2].split()
        known = set(re.findall(r'add_argument\("--(\w+)"', read("deploy/sbom.py")))
        self.assertLessEqual(set(commands.flag_names(words)), known)
        self.assertIn("--root=/image", words)
        # The runtime stage has all packages by then: what follows it copies files.
        runtime = text.partition(" AS runtime\n")[2]
        self.assertEqual(len(re.findall(r"^RUN .*install", runtime, re.MULTILINE)), 1)
        [[written, path]] = re.findall(r"^COPY --from=sbom (\S+) (\S+)$", text, re.MULTILINE)
        self.assertIn(f"--out={written}", words)
        self.assertIn(f"--entrypoint=cat diffusiond {path}", read("server/README.md"))

    def test_what_it_needs_is_sent_to_the_build(self):
        for path in ("!deploy/sbom.py", "!deploy/packages.txt"):
            self.assertIn(path, read(".dockerignore").splitlines())
        self.assertIn("python3", sbom.section("build"))


if __name__ == "__main__":
    unittest.main()
