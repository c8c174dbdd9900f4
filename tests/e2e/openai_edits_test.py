"""POST /v1/images/edits: a form, by hand and by curl, against what gRPC draws of the same pictures."""

import base64
import json
import os
import struct
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request
import zlib

from diffusiond.v1 import diffusion_pb2 as pb
from diffusiond.v1 import diffusion_pb2_grpc
from over_http import OverHttpTest, events

SIDE = 28  # Of the model "tiny".
GREY, RGBA = 0, 6


def png(colour, rows):
    """`rows`: bytes of pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    width = len(rows[0]) // (1 if colour == GREY else 4)
    header = struct.pack(">IIBBBBB", width, len(rows), 8, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))) + chunk(b"IEND", b""))


PICTURE = png(GREY, [bytes(range(0, 8 * SIDE, 8))] * SIDE)
# The left half is transparent, what colour there is means nothing; the rest is not.
HOLE = png(RGBA, [b"\xff\x30\x00\x00" * (SIDE // 2) + b"\x10\x20\xff\xff" * (SIDE // 2)] * SIDE)
LEFT = png(GREY, [b"\xff" * (SIDE // 2) + b"\x00" * (SIDE // 2)] * SIDE)


def form(fields):
    """(content type, body). A field's value: text, or the bytes of a file."""
    parts = []
    for name, value in fields:
        is_file = isinstance(value, bytes)
        parts.append(f'--hereabouts\r\nContent-Disposition: form-data; name="{name}"'.encode() +
                     (b'; filename="x.png"\r\nContent-Type: image/png' if is_file else b"") +
                     b"\r\n\r\n" + (value if is_file else value.encode()) + b"\r\n")
    return "multipart/form-data; boundary=hereabouts", b"".join(parts) + b"--hereabouts--\r\n"


class OpenAiEditsTest(OverHttpTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url += "/v1/images/edits"
        cls.stub = diffusion_pb2_grpc.DiffusionServiceStub(cls.server.channel)

    def open(self, *fields):
        kind, body = form([("prompt", "3"), ("seed", "7"), ("sampler", "ddim"), ("steps", "6"), *fields])
        return urllib.request.urlopen(
            urllib.request.Request(self.url, body, {"Content-Type": kind}), timeout=60)

    def edited(self, *fields):
        with self.open(*fields) as reply:
            return [base64.b64decode(one["b64_json"]) for one in json.loads(reply.read())["data"]]

    def refused(self, *fields):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.open(*fields)
        with caught.exception as error:
            return error.code, json.loads(error.read())["error"]

    def grpc_image(self, strength=None, **fields):
        sampling = {"sampler": "ddim", "steps": 6}
        if strength is not None:
            sampling["strength"] = strength
        request = pb.GenerateRequest(count=1, seed=7, class_id=3, sampling=sampling, **fields)
        return self.stub.GenerateImages(request, timeout=60).images[0].data

    def test_what_is_transparent_in_the_mask_is_drawn(self):
        drawn = self.grpc_image(init_image=PICTURE, mask=LEFT, picture_fit=pb.PICTURE_FIT_COVER)
        self.assertEqual(self.edited(("image", PICTURE), ("mask", HOLE)), [drawn])
        self.assertNotEqual(drawn, self.grpc_image())
        self.assertNotEqual(drawn, self.grpc_image(init_image=PICTURE, mask=PICTURE))

    def test_without_a_mask_the_picture_is_drawn_over(self):
        drawn = self.grpc_image(strength=0.6, init_image=PICTURE, picture_fit=pb.PICTURE_FIT_COVER)
        self.assertEqual(self.edited(("image[]", PICTURE), ("n", "2"))[0], drawn)
        self.assertNotEqual(self.edited(("image", PICTURE), ("strength", "0.4")), [drawn])

    def test_pictures_of_other_sizes_are_fitted(self):
        wide = png(GREY, [bytes([255]) * SIDE + bytes([60]) * SIDE * 2 + bytes([255]) * SIDE] * SIDE * 2)
        self.assertEqual(
            self.edited(("image", wide)),
            [self.grpc_image(strength=0.6, init_image=wide, picture_fit=pb.PICTURE_FIT_COVER)])
        code, error = self.refused(("image", wide), ("picture_fit", "exact"))
        self.assertEqual((code, error["param"]), (400, "image"))

    def test_partial_images_are_called_those_of_an_edit(self):
        with self.open(("image", PICTURE), ("stream", "true"), ("partial_images", "2")) as reply:
            told = [data for _, data in events(reply)]
        self.assertEqual(told[-1]["type"], "image_edit.completed")
        self.assertEqual([base64.b64decode(told[-1]["b64_json"])], self.edited(("image", PICTURE)))
        # Three steps are run: a slow reader gets the newer ones alone.
        self.assertLessEqual(len(told), 3)
        for event in told[:-1]:
            self.assertEqual(event["type"], "image_edit.partial_image")

    def test_curl_sends_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, picture in (("image.png", PICTURE), ("mask.png", HOLE)):
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(picture)
            answer = subprocess.run(
                ["curl", "-sS", "--fail", "-F", "image=@image.png", "-F", "mask=@mask.png", "-F", "prompt=3",
                 "-F", "seed=7", "-F", "sampler=ddim", "-F", "steps=6", self.url],
                cwd=folder, check=True, capture_output=True, timeout=60).stdout
        self.assertEqual([base64.b64decode(json.loads(answer)["data"][0]["b64_json"])],
                         self.edited(("image", PICTURE), ("mask", HOLE)))

    def test_faults_are_told_by_the_names_of_the_form(self):
        for fields, param in (((), "image"),
                              ((("image", b""),), "image"),
                              ((("image", b"GIF89a no"),), "image"),
                              ((("image", PICTURE), ("image", PICTURE)), "image"),
                              ((("image", PICTURE), ("mask", LEFT)), "mask"),
                              ((("image", PICTURE), ("mask", b"nonsense")), "mask"),
                              ((("image", PICTURE), ("n", "100000")), "n"),
                              ((("image", PICTURE), ("n", "many")), "n"),
                              ((("image", PICTURE), ("seed", "7")), "seed"),
                              ((("image", PICTURE), ("stream", "perhaps")), "stream"),
                              ((("image", PICTURE), ("size", "1024x1024")), "size"),
                              ((("image", PICTURE), ("colour", "red")), "colour")):
            code, error = self.refused(*fields)
            self.assertEqual((code, error["param"]), (400, param), error)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(self.url, b'{"prompt": "3"}', timeout=60)
        with caught.exception as error:
            self.assertIn("no multipart/form-data", json.loads(error.read())["error"]["message"])


if __name__ == "__main__":
    unittest.main()
