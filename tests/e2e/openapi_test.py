"""/openapi.json: well-formed, and what it says of requests and answers is what the server takes and gives."""

import json
import unittest
import urllib.error
import urllib.request

import jsonschema

from openai_edits_test import PICTURE, form
from over_http import OverHttpTest, events

JSON = {"Content-Type": "application/json"}
SSE = {"Accept": "text/event-stream"}
REQUEST = {"count": 2, "seed": "7", "classId": 3, "sampling": {"sampler": "ddim", "steps": 6}}
PROMPT = {"prompt": "3", "n": 2, "seed": 7, "sampler": "ddim", "steps": 6}


def walk(json_value, path=()):
    """(path, object) of each object in it."""
    if isinstance(json_value, dict):
        yield path, json_value
        for name, value in json_value.items():
            yield from walk(value, path + (name,))
    elif isinstance(json_value, list):
        for index, value in enumerate(json_value):
            yield from walk(value, path + (index,))


class OpenApiTest(OverHttpTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with urllib.request.urlopen(f"{cls.url}/openapi.json", timeout=60) as reply:
            cls.text = reply.read()
        cls.document = json.loads(cls.text)

    def open(self, path, body=None, headers=None, method=None):
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, data, {**JSON, **(headers or {})}, method=method)
        try:
            return urllib.request.urlopen(asked, timeout=60)
        except urllib.error.HTTPError as error:
            return error

    @staticmethod
    def named(parameters):
        return [parameter for parameter in parameters if "name" in parameter]

    def check(self, name, value, closed=True):
        """`closed`: nothing is there that the schema does not tell of."""
        schemas = json.loads(json.dumps(self.document["components"]["schemas"]))
        if closed:
            for _, schema in walk(schemas):
                if schema.get("type") == "object" and "allOf" not in schema and "properties" in schema:
                    if name not in ("ImagesResponse", "ImageEvent"):
                        schema["additionalProperties"] = False
                elif "allOf" in schema:
                    schema["unevaluatedProperties"] = False
        root = {"$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        jsonschema.Draft202012Validator(root).validate(value)

    def test_every_reference_leads_somewhere_and_every_schema_is_one(self):
        for path, value in walk(self.document):
            reference = value.get("$ref")
            if isinstance(reference, str):
                target = self.document
                for name in reference.removeprefix("#/").split("/"):
                    self.assertIn(name, target, f"{reference} at {path}")
                    target = target[name]
        for name, schema in self.document["components"]["schemas"].items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)
        operations = [operation["operationId"] for path in self.document["paths"].values()
                      for operation in path.values()]
        self.assertEqual(len(operations), len(set(operations)))
        self.assertEqual(self.document["openapi"], "3.1.0")
        self.assertRegex(self.document["info"]["version"], r"^\d+\.\d+\.\d+")

    def test_every_path_that_it_names_is_served_by_the_methods_it_names(self):
        for path, methods in self.document["paths"].items():
            reply = self.open(path.replace("{model}", "tiny"), method="DELETE")
            self.assertEqual(reply.status, 405, path)
            allowed = {word.strip().lower() for word in reply.headers["Allow"].split(",")} - {"head"}
            self.assertEqual(allowed, set(methods), path)

    def test_comments_of_the_messages_are_its_descriptions(self):
        steps = self.document["components"]["schemas"]["SamplingOptions"]["properties"]["steps"]
        self.assertTrue(steps["description"].startswith("Denoising steps, 1 .. "), steps)
        query = {parameter["name"]: parameter for parameter in self.named(
                     self.document["paths"]["/v1/generate"]["get"]["parameters"])}
        self.assertEqual(query["steps"]["description"], steps["description"])
        self.assertEqual(query["format"]["schema"]["enum"], ["png", "webp", "jpeg", "raw_float32"])
        self.assertNotIn("init_image", query)

    def test_answers_are_what_it_says(self):
        self.check("ModelList", json.load(self.open("/v1/models")))
        self.check("ListedModel", json.load(self.open("/v1/models/tiny")))
        self.check("ServerState", json.load(self.open("/v1/state")))
        self.check("GenerateRequest", REQUEST)
        self.check("GenerateImagesResponse", json.load(self.open("/v1/generate", REQUEST)))
        self.check("ImagesResponse", json.load(self.open("/v1/images/generations", PROMPT)))
        kind, body = form([("image", PICTURE), ("prompt", "3"), ("steps", "6")])
        self.check("ImagesResponse",
                   json.load(self.open("/v1/images/edits", body, {"Content-Type": kind})))

    def test_events_are_what_it_says(self):
        preview = {"everySteps": 1, "kind": "PREVIEW_KIND_BOTH"}
        seen = set()
        for name, data in events(self.open("/v1/generate", {**REQUEST, "preview": preview}, SSE)):
            seen.add(name)
            self.check("Events", {name: data})
        self.assertEqual(seen, {"accepted", "progress", "preview", "image", "completed"})
        for name, data in events(self.open("/v1/images/generations",
                                           {**PROMPT, "stream": True, "partial_images": 2})):
            self.assertEqual(name, data["type"])
            self.check("ImageEvent", data)

    def test_errors_are_what_it_says(self):
        for status, reply in ((400, self.open("/v1/generate?steps=many")),
                              (404, self.open("/v1/models/none")),
                              (404, self.open("/nothing/here")),
                              (403, self.open("/", headers={"Origin": "https://evil.example"}))):
            self.assertEqual(reply.status, status)
            self.check("Error", json.load(reply))

    def test_the_fields_it_names_are_those_that_are_read(self):
        query = [parameter["name"] for parameter in self.named(
            self.document["paths"]["/v1/generate"]["get"]["parameters"])]
        theirs = self.document["components"]["schemas"]["ImageGenerationRequest"]["properties"]
        for name in query:
            error = json.load(self.open(f"/v1/generate?{name}=%00")).get("error", {})
            self.assertNotIn("is no field", error.get("message", ""), name)
        for name in theirs:
            error = json.load(self.open("/v1/images/generations", {name: {}})).get("error", {})
            self.assertNotIn("is no field", error.get("message", ""), name)
        error = json.load(self.open("/v1/images/generations", {"colour": {}, "prompt": "3"}))["error"]
        self.assertIn("is no field", error["message"])

    def test_it_is_the_same_each_time(self):
        with urllib.request.urlopen(f"{self.url}/openapi.json", timeout=60) as reply:
            self.assertEqual(reply.read(), self.text)


if __name__ == "__main__":
    unittest.main()
