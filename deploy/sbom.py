#!/usr/bin/python3
"""Writes what a container image holds as SPDX 2.3 JSON: every Debian package with its version,
licences and what it depends on, and diffusiond on top.

  deploy/sbom.py --root=/image --version=COMMIT --out=sbom.spdx.json

--root is the file system of the image, of which dpkg's status and /usr/share/doc are read.
--build_root is that of the machine that compiled the programs: what they took from there into
themselves has no package in the image. SPDX and not CycloneDX, as its licences are expressions with
the texts beside them, which is what Debian's copyright files hold.

licenseDeclared is every licence that a package's copyright file names, for any file of its source.
Files that are for people alone to read are NOASSERTION, and a comment says which licences of
/usr/share/common-licenses they speak of. With SOURCE_DATE_EPOCH the same image gives the same bytes.
"""

import argparse
import dataclasses
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.parse

PACKAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "packages.txt")
# Of [build], what ends up in the programs without a library of [run]: headers, and the health
# service's messages.
COMPILED_IN = ("grpc-proto", "libboost-dev", "nlohmann-json3-dev")
FIELDS = ("binary:Package", "Package", "Version", "Architecture", "source:Package", "source:Version",
          "db:Status-Status", "Homepage", "Provides", "Pre-Depends", "Depends")
NOTHING_KNOWN = "NOASSERTION"
MOST_LINKS = 16

# Debian's short names, in lower case, where SPDX has one for the same text. A name that is not here
# becomes a reference to its text.
SPDX_NAMES = {
    "0bsd": "0BSD", "afl-2.0": "AFL-2.0", "afl-2.1": "AFL-2.1", "apache-2": "Apache-2.0",
    "apache-2.0": "Apache-2.0", "artistic": "Artistic-1.0", "artistic-2.0": "Artistic-2.0",
    "beerware": "Beerware", "boost-1.0": "BSL-1.0", "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause": "BSD-4-Clause", "bsl-1.0": "BSL-1.0",
    "cc-by-3.0": "CC-BY-3.0", "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-3.0": "CC-BY-SA-3.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc0": "CC0-1.0", "cc0-1.0": "CC0-1.0", "curl": "curl",
    "expat": "MIT", "fsfap": "FSFAP", "fsful": "FSFUL", "fsfullr": "FSFULLR", "ftl": "FTL",
    "ijg": "IJG", "isc": "ISC", "mit": "MIT", "mpl-1.1": "MPL-1.1", "mpl-2.0": "MPL-2.0",
    "ntp": "NTP", "ofl-1.1": "OFL-1.1", "openssl": "OpenSSL", "unlicense": "Unlicense",
    "x11": "X11", "zlib": "Zlib",
}
GNU_NAME = re.compile(r"(agpl|gpl|lgpl|gfdl)(-niv)?-(\d)(?:\.(\d))?(\+|-or-later|-only)?$")
GNU_VERSIONS = {"AGPL": ("3.0",), "GPL": ("1.0", "2.0", "3.0"), "LGPL": ("2.0", "2.1", "3.0"),
                "GFDL": ("1.1", "1.2", "1.3")}


@dataclasses.dataclass(frozen=True)
class Package:
    """A package as dpkg tells of it."""
    qualified: str  # With the architecture where several are installed.
    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    status: str
    homepage: str
    provides: tuple
    depends: tuple  # Of tuples of names, one of which is enough.

    @property
    def spdx_id(self):
        return "SPDXRef-deb-" + spdx_word(f"{self.name}-{self.architecture}")


def spdx_word(text):
    """text of the characters that SPDX takes in identifiers."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", text.replace("+", "-plus"))


def names_of(relations):
    """Names in a field such as Depends: "a (>= 1), b | c" is (("a",), ("b", "c"))."""
    alternatives = (part.split("|") for part in relations.split(",") if part.strip())
    return tuple(tuple(re.match(r"\s*([^\s(:\[]+)", name).group(1) for name in names)
                 for names in alternatives)


def installed_packages(root):
    """The packages of a file system, sorted."""
    form = "\\t".join(f"${{{field}}}" for field in FIELDS) + "\\n"
    reply = subprocess.run(["dpkg-query", f"--admindir={os.path.join(root, 'var/lib/dpkg')}",
                            "--show", f"--showformat={form}"],
                           check=True, capture_output=True, text=True).stdout
    packages = []
    for line in reply.splitlines():
        *plain, provides, pre_depends, depends = line.split("\t")
        packages.append(Package(
            *plain, provides=tuple(name for [name] in names_of(provides)),
            depends=names_of(", ".join(filter(None, (pre_depends, depends))))))
    return sorted((package for package in packages if package.status == "installed"),
                  key=lambda package: (package.name, package.architecture))


def section(name):
    """The packages that packages.txt has under [name]."""
    with open(PACKAGES, encoding="utf-8") as file:
        lines = file.read().partition(f"[{name}]\n")[2].partition("\n[")[0].splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def paragraphs(text):
    """The fields of each paragraph of a file in Debian's control format; values keep their lines."""
    for paragraph in re.split(r"\n\s*\n", text):
        fields = {}
        for found in re.finditer(r"^([\w-]+):[ \t]*((?:.*)(?:\n[ \t].*)*)", paragraph, re.MULTILINE):
            fields.setdefault(found.group(1).lower(), found.group(2))
        yield fields


def spdx_name(name):
    """SPDX's identifier of one licence by Debian's name; None if there is none."""
    gnu = GNU_NAME.match(name.lower())
    if gnu:
        family, no_invariants, major, minor, later = gnu.groups()
        family, version = family.upper(), f"{major}.{minor or 0}"
        if version not in GNU_VERSIONS[family] or bool(no_invariants) != (family == "GFDL"):
            return None
        return (f"{family}-{version}{'-no-invariants' if no_invariants else ''}"
                f"-{'or-later' if later in ('+', '-or-later') else 'only'}")
    return SPDX_NAMES.get(name.lower())


class Licences:
    """Licences that SPDX has no name for, with their texts."""

    def __init__(self):
        self._ids = {}  # (name, text): identifier.

    def reference(self, name, text):
        word = "LicenseRef-Debian-" + spdx_word(name)
        if (name, text) not in self._ids:
            # "public-domain" is another sentence in each package.
            taken = set(self._ids.values())
            self._ids[name, text] = next(
                candidate for candidate in (word, *(f"{word}-{n}" for n in range(2, 10000)))
                if candidate not in taken)
        return self._ids[name, text]

    def expression(self, said, texts):
        """SPDX's of a licence field's first line, in which a comma binds less than "or"."""
        parts = re.split(r",\s*(and|or)\s+", said, flags=re.IGNORECASE)
        for i in range(0, len(parts), 2):
            words = re.split(r"\s+(and|or)\s+", parts[i].strip(" ,"), flags=re.IGNORECASE)
            words[::2] = [spdx_name(name) or self.reference(name, texts.get(name, ""))
                          for name in words[::2]]
            parts[i] = " ".join(words)
            if len(parts) > 1 and len(words) > 1:
                parts[i] = f"({parts[i]})"
        return re.sub(r" (and|or) ", lambda found: found.group(0).upper(), " ".join(parts),
                      flags=re.IGNORECASE)

    def declared(self, copyright_text):
        """(licenseDeclared, comment or None) of a Debian copyright file."""
        found = list(paragraphs(copyright_text))
        if "copyright-format" not in found[0].get("format", ""):
            named = sorted(set(re.findall(r"/usr/share/common-licenses/([\w.-]*\w)", copyright_text)))
            return NOTHING_KNOWN, "Debian's copyright file is for people to read" + (
                f"; it names {', '.join(named)} of /usr/share/common-licenses" if named else "")
        texts, expressions = {}, []
        for fields in found:
            said, _, text = fields.get("license", "").partition("\n")
            if text:
                texts.setdefault(said.strip(), re.sub(r"(?m)^ ?\.?", "", text).strip())
        for fields in found:
            said = fields.get("license", "").partition("\n")[0].strip()
            if said and "files" in fields:
                whole = self.expression(said, texts)
                expressions += [whole] if re.search(r" OR |\(", whole) else whole.split(" AND ")
        if not expressions:
            return NOTHING_KNOWN, "Debian's copyright file names no licence of files"
        unique = sorted(set(expressions))
        if len(unique) == 1:
            return unique[0], None
        return " AND ".join(f"({one})" if " OR " in one else one for one in unique), None

    def extracted(self):
        """What SPDX wants to be told of them."""
        return [{"licenseId": identifier, "name": name,
                 "extractedText": text or "Its text is in /usr/share/doc of the package."}
                for (name, text), identifier in sorted(self._ids.items(), key=lambda item: item[1])]


def path_in(root, path):
    """Where a path of an image is, its links followed as the image itself has them."""
    at, ahead, links = "/", path.split("/"), 0
    while ahead:
        name = ahead.pop(0)
        if name == "..":
            at = os.path.dirname(at)
        elif name not in ("", "."):
            below = os.path.join(at, name)
            target = os.path.join(root, below.lstrip("/"))
            if os.path.islink(target) and links < MOST_LINKS:
                links += 1
                ahead = os.readlink(target).split("/") + ahead
                at = "/" if not ahead[0] else at
            else:
                at = below
    return os.path.join(root, at.lstrip("/"))


def text_of(root, path):
    """What a file of an image says; None if it is not there."""
    try:
        with open(path_in(root, path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def described(package, root, licences):
    """SPDX's package of a Debian one."""
    text = text_of(root, f"usr/share/doc/{package.name}/copyright")
    declared, comment = (licences.declared(text) if text is not None else
                         (NOTHING_KNOWN, "the image has no copyright file of it"))
    purl = (f"pkg:deb/debian/{package.name}@{urllib.parse.quote(package.version, safe='~.-')}"
            f"?arch={package.architecture}&distro={distribution(root)}")
    spdx = {
        "SPDXID": package.spdx_id, "name": package.name, "versionInfo": package.version,
        "supplier": "Organization: Debian", "downloadLocation": NOTHING_KNOWN,
        "filesAnalyzed": False, "licenseConcluded": NOTHING_KNOWN, "licenseDeclared": declared,
        "copyrightText": NOTHING_KNOWN,
        "sourceInfo": f"built from {package.source} {package.source_version}",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": purl}],
    }
    if comment:
        spdx["licenseComments"] = comment
    if re.match(r"https?://\S+$", package.homepage):
        spdx["homepage"] = package.homepage
    return spdx


def distribution(root):
    """debian-12, as package URLs have it."""
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)', text_of(root, "etc/os-release") or "",
                             re.MULTILINE))
    return "-".join(filter(None, (fields.get("ID", "debian"), fields.get("VERSION_ID"))))


def own(spdx_id, name, version, purpose):
    return {"SPDXID": spdx_id, "name": name, "versionInfo": version,
            "supplier": NOTHING_KNOWN, "downloadLocation": NOTHING_KNOWN, "filesAnalyzed": False,
            "licenseConcluded": NOTHING_KNOWN,
            "licenseDeclared": "Apache-2.0" if purpose == "APPLICATION" else NOTHING_KNOWN,
            "copyrightText": NOTHING_KNOWN, "primaryPackagePurpose": purpose}


def dependencies(packages):
    """(package, the installed one that a dependency of it is met by), once each."""
    by_name = {}
    for package in packages:
        for name in (package.name, *package.provides):
            by_name.setdefault(name, []).append(package)
    for package in packages:
        met = set()
        for alternatives in package.depends:
            candidates = [there for name in alternatives for there in by_name.get(name, ())]
            # Of the same architecture, if there is one.
            candidates.sort(key=lambda there: there.architecture not in (package.architecture, "all"))
            met.update(candidates[:1])
        for there in sorted(met - {package}, key=lambda one: one.spdx_id):
            yield package, there


def document(version, root, build_root, created):
    """The whole SPDX document."""
    packages = installed_packages(root)
    there = {package.name: package for package in packages}
    missing = [name for name in section("run") if name not in there]
    if missing:
        raise SystemExit(f"sbom: not installed in {root}: {' '.join(missing)}")
    compiled_in = [package for package in installed_packages(build_root)
                   if package.name in COMPILED_IN]
    missing = set(COMPILED_IN) - {package.name for package in compiled_in}
    if missing:
        raise SystemExit(f"sbom: not installed in {build_root}: {' '.join(sorted(missing))}")
    only_built = [package for package in compiled_in if package.spdx_id not in
                  {one.spdx_id for one in packages}]

    licences = Licences()
    spdx = [own("SPDXRef-image", "diffusiond-image", version, "CONTAINER"),
            own("SPDXRef-diffusiond", "diffusiond", version, "APPLICATION"),
            *(described(package, root, licences) for package in packages),
            *(described(package, build_root, licences) for package in only_built)]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image"),
                 ("SPDXRef-image", "CONTAINS", "SPDXRef-diffusiond"),
                 *(("SPDXRef-image", "CONTAINS", package.spdx_id) for package in packages),
                 *(("SPDXRef-diffusiond", "DEPENDS_ON", there[name].spdx_id)
                   for name in section("run")),
                 *(("SPDXRef-diffusiond", "STATIC_LINK", package.spdx_id)
                   for package in compiled_in),
                 *((one.spdx_id, "DEPENDS_ON", other.spdx_id)
                   for one, other in dependencies(packages))]
    what = json.dumps([spdx, relations], sort_keys=True).encode()
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": "diffusiond-image",
        "documentNamespace": "https://spdx.org/spdxdocs/diffusiond-image-" +
                             hashlib.sha256(what).hexdigest(),
        "creationInfo": {"created": created, "creators": ["Tool: diffusiond-sbom"]},
        "packages": spdx,
        "relationships": [{"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}
                          for one, how, other in relations],
        "hasExtractedLicensingInfos": licences.extracted(),
    }


def now():
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    moment = (datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc) if seconds else
              datetime.datetime.now(datetime.timezone.utc))
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="/")
    parser.add_argument("--build_root", default="/")
    parser.add_argument("--version", default="unknown", help="of diffusiond")
    parser.add_argument("--out", default="/dev/stdout")
    arguments = parser.parse_args(argv)
    text = json.dumps(document(arguments.version, arguments.root, arguments.build_root, now()),
                      indent=1, ensure_ascii=False)
    with open(arguments.out, "w", encoding="utf-8") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
