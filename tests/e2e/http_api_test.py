"""The API over HTTP, by Python's own client and by curl: against what gRPC answers."""

import base64
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import unittest
import urllib.error
import urllib.request

from diffusiond.v1 import diffusion_pb2 as pb
from diffusiond.v1 import diffusion_pb2_grpc
from diffusiond_process import SOURCE, Diffusiond, eventually
from over_http import OverHttpTest, events

JSON = {"Content-Type": "application/json"}
IMAGES = "/v1/images/generations"


class HttpApiTest(OverHttpTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stub = diffusion_pb2_grpc.DiffusionServiceStub(cls.server.channel)

    def open(self, path, body=None, headers=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, data, {**JSON, **(headers or {})},
                                       method=method)
        return urllib.request.urlopen(asked, timeout=60)

    def refused(self, path, body=None, headers=None):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.open(path, body, headers)
        with caught.exception as error:
            return error.code, json.loads(error.read())["error"], error.headers

    def grpc_image(self, **fields):
        request = {"count": 1, "seed": 7, "class_id": 3,
                   "sampling": {"sampler": "ddim", "steps": 6}, **fields}
        return self.stub.GenerateImages(pb.GenerateRequest(**request), timeout=60).images[0].data

    def test_curl_draws_a_picture_in_one_line(self):
        picture = subprocess.run(
            ["curl", "-sS", "--fail", f"{self.url}/v1/generate?class=3&seed=7&sampler=ddim&steps=6"],
            check=True, capture_output=True, timeout=60).stdout
        self.assertEqual(picture, self.grpc_image())

    def test_accept_chooses_the_picture_and_the_receipt_replays_it(self):
        path = "/v1/generate?class=3&seed=7&sampler=ddim&steps=6"
        for accept, form in (("image/webp", pb.IMAGE_FORMAT_WEBP), ("image/jpeg", pb.IMAGE_FORMAT_JPEG)):
            with self.open(path, headers={"Accept": accept}) as reply:
                picture = reply.read()
                self.assertEqual(reply.headers["Content-Type"], accept)
                receipt = json.loads(reply.headers["Diffusiond-Receipt"])
            self.assertEqual(picture, self.grpc_image(format=form))
            self.assertEqual(receipt["imageSha256"], [hashlib.sha256(picture).hexdigest()])

    def test_json_takes_the_whole_request(self):
        body = {"count": 2, "seed": "7", "classId": 3, "sampling": {"sampler": "ddim", "steps": 6}}
        with self.open("/v1/generate", body) as reply:
            answer = json.loads(reply.read())
        self.assertEqual(base64.b64decode(answer["images"][0]["data"]), self.grpc_image())
        self.assertEqual([image["imageIndex"] for image in answer["images"]], [0, 1])
        self.assertEqual(answer["receipt"]["parameters"]["seed"], "7")

    def test_events_come_in_the_order_that_the_api_promises(self):
        body = {"count": 2, "seed": "7", "classId": 3, "sampling": {"sampler": "ddim", "steps": 6},
                "preview": {"everySteps": 2}}
        with self.open("/v1/generate", body, {"Accept": "text/event-stream"}) as reply:
            self.assertEqual(reply.headers["Content-Type"], "text/event-stream")
            told = list(events(reply))
        self.assertEqual((told[0][0], told[-1][0]), ("accepted", "completed"))
        images = {data["imageIndex"]: data for name, data in told if name == "image"}
        self.assertEqual(base64.b64decode(images[0]["data"]), self.grpc_image())
        self.assertEqual(set(images), {0, 1})
        for image in images:
            steps = [data["stepsDone"] for name, data in told
                     if name == "preview" and data["imageIndex"] == image]
            self.assertEqual(steps, sorted(set(steps)))

    def test_openai_draws_what_the_prompt_names(self):
        body = {"model": "tiny", "prompt": "3", "n": 2, "size": "28x28", "seed": 7,
                "sampler": "ddim", "steps": 6, "user": "somebody", "quality": "auto"}
        with self.open(IMAGES, body) as reply:
            answer = json.loads(reply.read())
        self.assertEqual(len(answer["data"]), 2)
        self.assertEqual(base64.b64decode(answer["data"][0]["b64_json"]), self.grpc_image())
        self.assertEqual((answer["size"], answer["output_format"]), ("28x28", "png"))
        with self.open(IMAGES, {**body, "response_format": "url", "n": 1}) as reply:
            with urllib.request.urlopen(json.loads(reply.read())["data"][0]["url"]) as picture:
                self.assertEqual(picture.read(), self.grpc_image())

    def test_openai_streams_as_many_partial_images_as_it_is_asked_for(self):
        for steps, partial, expected in ((12, 3, 3), (12, 2, 2), (12, 0, 0), (3, 3, 2), (40, 3, 3)):
            body = {"prompt": "3", "stream": True, "partial_images": partial, "seed": 7,
                    "sampler": "ddim", "steps": steps}
            with self.open(IMAGES, body) as reply:
                told = list(events(reply))
            partials = [data for event, data in told
                        if event == "image_generation.partial_image"]
            # A reader who is slow gets the newer ones alone.
            self.assertLessEqual(len(partials), expected)
            self.assertEqual([data["partial_image_index"] for data in partials],
                             list(range(len(partials))))
            event, last = told[-1]
            self.assertEqual((event, last["type"]), ("image_generation.completed",) * 2)
            for data in partials:
                self.assertNotEqual(data["b64_json"], last["b64_json"])

    def test_faults_are_told_in_openais_shape_all_at_once(self):
        code, error, _ = self.refused(IMAGES, {
            "prompt": "a red circle of class X", "size": "1024x1024", "output_format": "gif",
            "quality": "hd", "partial_images": 4})
        self.assertEqual((code, error["type"], error["code"], error["param"]),
                         (400, "invalid_request_error", "INVALID_ARGUMENT", "prompt"))
        self.assertIn("is no class of this model, which knows: ", error["message"])
        self.assertEqual([violation["field"] for violation in error["violations"]],
                         ["prompt", "size", "output_format", "partial_images", "quality"])
        code, error, _ = self.refused("/v1/generate?class=3&colour=red&steps=many")
        self.assertEqual((code, [violation["field"] for violation in error["violations"]]),
                         (400, ["colour", "steps"]))
        code, error, _ = self.refused("/v1/generate?class=3&count=2", headers={"Accept": "image/png"})
        self.assertEqual((code, error["param"]), (400, "count"))
        code, error, _ = self.refused("/v1/generate", {"classId": 3, "sampling": {"sampler": "sorcery"}})
        self.assertEqual((code, error["param"]), (400, "sampling.sampler"))
        code, error, _ = self.refused(IMAGES, {"model": "none such", "prompt": "x"})
        self.assertEqual((code, error["type"]), (404, "not_found_error"))
        self.assertEqual(self.refused("/v1/models/none")[0], 404)
        self.assertEqual(self.refused("/nothing/here")[0], 404)
        self.assertEqual(self.refused(IMAGES)[0], 405)
        for body in ([], "x", None):
            self.assertEqual(self.refused(IMAGES, body if body is not None else 5)[0], 400)

    def test_a_client_that_goes_away_frees_its_rows(self):
        host, port = self.server.http_address.split(":")
        client = http.client.HTTPConnection(host, int(port), timeout=60)
        client.request("POST", "/v1/generate", json.dumps(
            {"count": 8, "classId": 3, "sampling": {"sampler": "ddpm", "steps": 1000}}),
            {**JSON, "Accept": "text/event-stream"})
        reply = client.getresponse()
        reply.readline()
        eventually(lambda: self.server.metric("diffusiond_resident_trajectories") > 0, "it draws")
        reply.close()
        client.close()
        eventually(lambda: self.server.metric("diffusiond_resident_trajectories") == 0,
                   "its rows are free")
        eventually(lambda: self.server.metric("diffusiond_requests_total", code="CANCELLED",
                                              method="POST /v1/generate") == 1, "it is counted")

    def test_pages_of_others_are_refused(self):
        path = "/v1/generate?class=3&steps=2&sampler=ddim"
        self.assertEqual(self.refused(path, headers={"Origin": "https://evil.example"})[0], 403)
        self.assertEqual(self.refused(path, headers={"Host": "evil.example"})[0], 403)
        with self.open(path, headers={"Origin": self.url}) as reply:
            self.assertEqual(reply.status, 200)

    def test_probes_and_metrics_know_of_it(self):
        for path in ("/livez", "/readyz"):
            with self.open(path) as reply:
                self.assertEqual(reply.status, 200)
        self.open("/v1/models").read()
        self.assertGreater(self.server.metric("diffusiond_requests_total", code="OK",
                                              method="GET /v1/models"), 0)


def with_clothes(repository):
    shutil.copytree(os.path.join(SOURCE, "model/checkpoints/fashion-mnist"),
                    os.path.join(repository, "clothes"))


class NamedClassesTest(unittest.TestCase):
    def test_a_prompt_names_a_class_in_any_case(self):
        with Diffusiond(fill=with_clothes) as server:
            pictures = []
            for path, body in (("/v1/generate?class=bag&seed=7&steps=2", None),
                               (IMAGES, {"prompt": " BAG ", "seed": 7, "steps": 2})):
                with urllib.request.urlopen(urllib.request.Request(
                        f"http://{server.http_address}{path}",
                        body and json.dumps(body).encode()), timeout=60) as reply:
                    pictures.append(reply.read())
            answer = json.loads(pictures[1])
            self.assertEqual(base64.b64decode(answer["data"][0]["b64_json"]), pictures[0])
            self.assertEqual(answer["receipt"]["parameters"]["className"], "Bag")
            with self.assertRaises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(urllib.request.Request(
                    f"http://{server.http_address}{IMAGES}", b'{"prompt": "a red bag"}'), timeout=60)
            with caught.exception as error:
                self.assertIn("which knows: T-shirt/top, Trouser",
                              json.loads(error.read())["error"]["message"])


class FullServerTest(unittest.TestCase):
    def test_who_comes_too_many_is_told_when_to_come_again(self):
        with Diffusiond("--max_queued_images=4", "--max_images_per_request=4") as server:
            stub = diffusion_pb2_grpc.DiffusionServiceStub(server.channel)
            long = stub.Generate(pb.GenerateRequest(count=3, class_id=3, sampling={
                "sampler": "ddpm", "steps": 1000}), timeout=60)
            next(long)
            with self.assertRaises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(urllib.request.Request(
                    f"http://{server.http_address}/v1/generate", b'{"classId": 3, "count": 4}'),
                    timeout=10)
            with caught.exception as error:
                self.assertEqual(error.code, 429)
                self.assertGreaterEqual(int(error.headers["Retry-After"]), 1)
            long.cancel()


if __name__ == "__main__":
    unittest.main()
