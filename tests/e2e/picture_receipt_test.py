"""A picture that diffusionctl saved is all that draws it again. Chunks are read here by hand."""

import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
import zlib

from diffusiond_process import BIN, Diffusiond

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DRAW = ("--class=3", "--sampler=ddim", "--steps=4", "--seed=7")


def diffusionctl(server, *arguments):
    """Exit code, standard output as bytes, standard error as text."""
    ran = subprocess.run([os.path.join(BIN, "diffusionctl"), *arguments,
                          f"--server={server.address}"],
                         capture_output=True, timeout=120, check=False)
    return ran.returncode, ran.stdout, ran.stderr.decode()


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def png_chunks(data):
    assert data.startswith(SIGNATURE)
    at = len(SIGNATURE)
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], "big")
        kind, content = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        checksum = int.from_bytes(data[at + 8 + length:at + 12 + length], "big")
        assert zlib.crc32(kind + content) == checksum
        yield kind, content, data[at:at + 12 + length]
        at += 12 + length


def riff_chunks(data):
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    at = 12
    while at < len(data):
        length = int.from_bytes(data[at + 4:at + 8], "little")
        end = at + 8 + length + length % 2
        yield data[at:at + 4], data[at + 8:at + 8 + length], data[at:end]
        at = end


def taken_from_png(data):
    """The receipt, and the bytes without it."""
    [text] = [content for kind, content, _ in png_chunks(data) if kind == b"iTXt"]
    without = [whole for kind, _, whole in png_chunks(data) if kind != b"iTXt"]
    head = b"diffusiond-receipt\0\0\0\0\0"
    assert text.startswith(head)
    return json.loads(text[len(head):]), SIGNATURE + b"".join(without)


def taken_from_webp(data):
    (first, flags, _), (_, _, image), (last, packet, _) = riff_chunks(data)
    assert (first, flags[0], last) == (b"VP8X", 4, b"XMP ")
    [value] = re.findall("<diffusiond:receipt>(.*)</diffusiond:receipt>", packet.decode())
    return (json.loads(html.unescape(value)),
            b"RIFF" + (len(image) + 4).to_bytes(4, "little") + b"WEBP" + image)


class PictureReceiptTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Diffusiond())

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="diffusiond-pictures-")
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def run_well(self, *arguments):
        code, out, err = diffusionctl(self.server, *arguments)
        self.assertEqual(code, 0, out.decode(errors="replace") + err)
        return out

    def test_a_picture_alone_is_drawn_again_to_the_same_bytes(self):
        for extension, taken_from in ((".png", taken_from_png), (".webp", taken_from_webp)):
            with self.subTest(extension):
                result = json.loads(self.run_well("generate", *DRAW, "--count=3", "--json",
                                                  "--out=" + self.path("a" + extension)))
                os.unlink(result["files"]["receipt"])
                for image in result["images"]:
                    receipt, sent = taken_from(contents(image["path"]))
                    self.assertEqual(hashlib.sha256(sent).hexdigest(), image["sha256"])
                    self.assertEqual(receipt["imageSha256"], [image["sha256"]])
                    self.assertEqual(receipt["requestId"], "")
                image = result["images"][1]["path"]
                self.assertEqual(self.run_well("replay", image, "--quiet"),
                                 b"identical: 1 image has the same bytes as then\n")
                again = self.path("again" + extension)
                self.run_well("replay", image, "--out=" + again)
                self.assertEqual(contents(again), contents(image))

    def test_equal_images_are_equal_files(self):
        self.run_well("generate", *DRAW, "--count=2", "--out=" + self.path("a.png"))
        self.run_well("generate", *DRAW, "--count=1", "--first_image_index=1",
                      "--out=" + self.path("b.png"))
        self.assertEqual(contents(self.path("b.png")), contents(self.path("a-1.png")))
        out = self.run_well("generate", *DRAW, "--out=-", "--first_image_index=1", "--quiet")
        self.assertEqual(out, contents(self.path("b.png")))

    def test_an_image_of_a_morph_is_drawn_again_with_the_others(self):
        self.run_well("generate", *DRAW, "--count=3", "--morph_seed=9",
                      "--out=" + self.path("m.webp"))
        self.assertIn(b"identical: 3 images", self.run_well("replay", self.path("m-1.webp")))

    def test_a_picture_without_its_receipt_or_that_was_changed_is_told(self):
        image = self.path("a.png")
        self.run_well("generate", *DRAW, "--out=" + image)
        drawn = contents(image)
        _, sent = taken_from_png(drawn)
        changed = drawn.replace(b'"seed":"7"', b'"seed":"8"')
        for data, says in ((sent, "carries no receipt"), (drawn[:60], "ends too early"),
                           (changed, "checksum"), (b"hello", "neither a picture")):
            with self.subTest(says):
                with open(image, "wb") as file:
                    file.write(data)
                code, _, err = diffusionctl(self.server, "replay", image)
                self.assertEqual(code, 1)
                self.assertIn(says, err)


if __name__ == "__main__":
    unittest.main()
