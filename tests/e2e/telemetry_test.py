"""What an operator sees of each call: the access log, which agrees with /metrics, and traces, at a
collector of this test's own."""

import collections
import fcntl
import http.client
import http.server
import json
import os
import re
import threading
import unittest

import grpc

from diffusiond.v1 import diffusion_pb2 as pb
from diffusiond.v1 import diffusion_pb2_grpc
from diffusiond_process import Diffusiond, eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SERVICE = "diffusiond.v1.DiffusionService"


def request(**fields):
    return pb.GenerateRequest(**{"count": 2, "seed": 7, "class_id": 3,
                                 "sampling": {"sampler": "ddim", "steps": 12}, **fields})


class Collector:
    """Takes OTLP's JSON, as far as `answer` says; a context manager."""

    def __init__(self):
        self.bodies, self.answer, self.lock = [], 200, threading.Lock()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with collector.lock:
                    answer = collector.answer
                    if answer == 200:
                        collector.bodies.append(
                            (self.path, self.headers["Content-Type"], json.loads(body)))
                self.send_response(answer)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def spans(self):
        with self.lock:
            return [span for _, _, body in self.bodies for of_resource in body["resourceSpans"]
                    for of_scope in of_resource["scopeSpans"] for span in of_scope["spans"]]


def attributes(span):
    return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}


class TelemetryTest(unittest.TestCase):
    def serve(self, *flags):
        server = Diffusiond(*flags)
        self.path = f"{server.directory}/calls.json"
        server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        return server, diffusion_pb2_grpc.DiffusionServiceStub(server.channel)

    def lines(self, server, count):
        def read():
            with open(self.path, encoding="utf-8") as file:
                return [json.loads(line) for line in file]
        eventually(lambda: len(read()) >= count, f"{count} lines in the access log")
        return read()

    def test_the_access_log_has_each_call_and_agrees_with_metrics(self):
        server, stub = self.serve("--access_log=calls.json")
        list(stub.Generate(request(preview={"every_steps": 4}), timeout=60))
        stub.GenerateImages(request(count=3), timeout=60)
        stub.GenerateImages(request(count=1, seed=8), timeout=60)
        stub.ListModels(pb.ListModelsRequest(), timeout=10)
        for _ in range(30):  # More than the log on standard error tells of.
            with self.assertRaises(grpc.RpcError):
                stub.GenerateImages(request(class_id=4711), timeout=10)
        with self.assertRaises(grpc.RpcError):
            stub.GetModel(pb.GetModelRequest(model="none such"), timeout=10)
        stream = stub.Generate(request(sampling={"sampler": "ddpm", "steps": 1000}, count=8))
        next(stream)
        stream.cancel()
        lines = self.lines(server, 36)
        self.assertEqual(len(lines), 36)

        calls = collections.Counter((line["method"], line["code"]) for line in lines)
        for (method, code), count in calls.items():
            self.assertEqual(
                server.metric("diffusiond_requests_total", method=method, code=code), count)
        self.assertEqual(sum(calls.values()),
                         sum(server.metric("diffusiond_requests_total", method=m)
                             for m in ("Generate", "GenerateImages", "ListModels", "GetModel")))
        for field, metric in (("images", "diffusiond_images_total"),
                              ("bytes", "diffusiond_image_bytes_total"),
                              ("previews", "diffusiond_previews_sent_total")):
            self.assertEqual(sum(line.get(field, 0) for line in lines), server.metric(metric), field)
        self.assertEqual(server.metric("diffusiond_access_log_lines_lost_total"), 0)

        # A client may hear of the end, and call again, before the line is written.
        first = next(line for line in lines
                     if (line["method"], line["code"]) == ("Generate", "OK"))
        self.assertEqual((first["count"], first["images"]), (2, 2))
        self.assertEqual((first["model"], first["sampler"], first["steps"], first["seed"]),
                         ("tiny", "ddim", 12, "7"))
        self.assertRegex(first["request_id"], "^[0-9a-f]{16}$")
        self.assertRegex(first["digest"], "^[0-9a-f]{64}$")
        self.assertLessEqual(first["queue_seconds"] + first["compute_seconds"], first["seconds"])
        hashes = {line["parameters_sha256"] for line in lines if line.get("images")}
        self.assertEqual(len(hashes), 3)
        # What is told there is not told twice.
        self.assertNotIn("method=", server.log())

    def test_equal_requests_have_equal_hashes(self):
        server, stub = self.serve("--access_log=calls.json")
        for seed in (7, 7, 8):
            stub.GenerateImages(request(seed=seed), timeout=60)
        hashes = collections.defaultdict(set)
        for line in self.lines(server, 3):
            hashes[line["seed"]].add(line["parameters_sha256"])
        self.assertEqual({seed: len(of_seed) for seed, of_seed in hashes.items()},
                         {"7": 1, "8": 1})
        self.assertNotEqual(hashes["7"], hashes["8"])

    def test_the_log_is_json_if_asked_and_tells_what_its_level_says(self):
        server, stub = self.serve("--log_format=json")
        stub.GetModel(pb.GetModelRequest(), timeout=10)
        eventually(lambda: '"GetModel"' in server.log(), "the call's line")
        lines = [json.loads(line) for line in server.log().splitlines()]
        self.assertTrue(all({"time", "level", "event"} <= line.keys() for line in lines))
        loaded = next(line for line in lines if line["event"] == "loaded")
        self.assertEqual((loaded["level"], loaded["model"]), ("INFO", "tiny"))
        call = next(line for line in lines if line["event"] == "call")
        self.assertEqual((call["method"], call["code"]), ("GetModel", "OK"))

        quiet, stub = self.serve("--log_level=error")
        with self.assertRaises(grpc.RpcError):
            stub.GetModel(pb.GetModelRequest(model="none such"), timeout=10)
        self.assertNotRegex(quiet.log(), "loaded|GetModel")

    def test_a_trace_goes_on_from_its_caller_down_to_steps(self):
        with Collector() as collector:
            server, stub = self.serve(f"--otlp_endpoint={collector.url}", "--trace_every_steps=4",
                                      "--trace_ratio=0", "--access_log=calls.json")
            metadata = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
            reply = stub.GenerateImages(request(), timeout=60, metadata=metadata)
            stub.GenerateImages(request(), timeout=60)  # By --trace_ratio of no trace.
            stub.ListModels(pb.ListModelsRequest(), timeout=10,
                            metadata=(("traceparent", f"00-{TRACE}-{PARENT}-00"),))
            eventually(collector.spans, "spans at the collector")  # A call's come together.
            spans = collector.spans()
            names = collections.Counter(span["name"] for span in spans)
            # 12 steps of two images, each fourth; what a slow listener did not hear is not there.
            self.assertEqual(names[f"{SERVICE}/GenerateImages"], 1)
            self.assertEqual((names["queue"], names["encode"]), (1, 2))
            self.assertLessEqual(names["step"], 6)
            self.assertEqual({span["traceId"] for span in spans}, {TRACE})
            root = next(span for span in spans if span["name"].endswith("/GenerateImages"))
            self.assertEqual((root["parentSpanId"], root["kind"]), (PARENT, 2))
            self.assertEqual(attributes(root)["diffusiond.request_id"], reply.receipt.request_id)
            self.assertEqual(attributes(root)["rpc.grpc.status_code"], "0")
            for span in spans:
                start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
                self.assertLessEqual(int(root["startTimeUnixNano"]), start + 1000)
                self.assertLessEqual(start, end)
                self.assertLessEqual(end, int(root["endTimeUnixNano"]) + 1000)
                if span is not root:
                    self.assertEqual(span["parentSpanId"], root["spanId"])
                if span["name"] == "step":
                    self.assertEqual(int(attributes(span)["diffusiond.steps_done"]) % 4, 0)
            path, content_type, body = collector.bodies[0]
            self.assertEqual((path, content_type), ("/v1/traces", "application/json"))
            resource = {a["key"]: a["value"]["stringValue"]
                        for a in body["resourceSpans"][0]["resource"]["attributes"]}
            self.assertEqual(resource["service.name"], "diffusiond")
            eventually(lambda: server.metric("diffusiond_spans_total", outcome="sent")
                       == len(spans), "they are counted")
            lines = self.lines(server, 3)
            self.assertEqual(collections.Counter(line.get("trace_id") for line in lines),
                             {TRACE: 2, None: 1})

    def test_what_others_say_of_a_trace_goes_on_unchanged(self):
        with Collector() as collector:
            server, stub = self.serve(f"--otlp_endpoint={collector.url}", "--trace_ratio=0")
            parent = ("traceparent", f"00-{TRACE}-{PARENT}-01")

            def states(wanted):
                """Of the spans of that many calls, which come together."""
                def calls():
                    return [span for span in collector.spans() if span["kind"] == 2]
                eventually(lambda: len(calls()) == wanted, f"spans of {wanted} calls")
                last = calls()[-1]["spanId"]
                return {span.get("traceState") for span in collector.spans()
                        if last in (span["spanId"], span.get("parentSpanId"))}

            stub.GenerateImages(request(), timeout=60, metadata=(
                parent, ("tracestate", "rojo=00f067aa0ba902b7"), ("tracestate", "congo=t61rcWkgMzE")))
            self.assertEqual(states(1), {"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"})
            stub.GenerateImages(request(), timeout=60, metadata=(
                parent, ("tracestate", "rojo=" + "0" * 256 + ",congo=" + "0" * 256)))
            self.assertEqual(states(2), {None})

            connection = http.client.HTTPConnection(server.http_address, timeout=60)
            self.addCleanup(connection.close)
            for value, found in (("a=1, b=2", "a=1, b=2"), ("not one", None)):
                connection.request("GET", "/v1/generate?class=3&steps=2&sampler=ddim",
                                   headers=dict((parent, ("Tracestate", value))))
                reply = connection.getresponse()
                self.assertEqual(reply.status, 200, reply.read())
                reply.read()
                self.assertEqual(states(3 if found else 4), {found})

    def test_a_pipe_that_nobody_reads_does_not_hold_up_the_end(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        room = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        server = Diffusiond("--access_log=-", stdout=writer)
        self.addCleanup(server.__exit__, None, None, None)
        with open(server.log_path, "ab") as log:
            log.write(os.read(reader, room))  # Where it listens.
        os.write(writer, b"." * room)
        os.close(writer)
        server.__enter__()
        stub = diffusion_pb2_grpc.DiffusionServiceStub(server.channel)
        for _ in range(3):
            stub.GenerateImages(request(), timeout=60)
        server.terminate()
        self.assertEqual(server.wait(), 0)
        self.assertRegex(server.log(), 'ERROR access log state=ended lines_lost=3 error="- had no room')

    def test_a_collector_that_takes_nothing_costs_only_its_spans(self):
        with Collector() as collector:
            collector.answer = 400
            server, stub = self.serve(f"--otlp_endpoint={collector.url}", "--max_queued_spans=20",
                                      "--trace_every_steps=1")
            for _ in range(5):
                stub.GenerateImages(request(), timeout=60)
            eventually(lambda: server.metric("diffusiond_spans_total", outcome="collector") > 0,
                       "spans are dropped")
            eventually(lambda: re.search(
                'WARNING trace collector state="takes nothing" error="HTTP status 400"',
                server.log()), "the log tells")
            self.assertEqual(server.log().count("takes nothing"), 1)
            with collector.lock:
                collector.answer = 200
            stub.GenerateImages(request(), timeout=60)
            eventually(lambda: "takes spans again" in server.log(), "the log tells the end")

    def test_what_cannot_be_written_is_refused_at_the_start(self):
        for flag, words in (
                ("--access_log=/no/such/folder/calls", "--access_log: /no/such/folder/calls cannot"),
                ("--otlp_endpoint=localhost:4318", '--otlp_endpoint is "localhost:4318", allowed'),
                ("--log_format=xml", '--log_format is "xml", allowed: text or json'),
                ("--trace_ratio=nan", "--trace_ratio is nan, allowed: 0 .. 1")):
            with self.subTest(flag=flag):
                server = Diffusiond(flag)
                with self.assertRaises(AssertionError) as died:
                    server.__enter__()
                self.assertIn(words, str(died.exception))


if __name__ == "__main__":
    unittest.main()
