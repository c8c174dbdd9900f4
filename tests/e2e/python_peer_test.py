"""A client in another language, over stubs generated from the proto, against the real server."""

import hashlib
import http.client
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import unittest
import zlib

import grpc

import health_pb2
import health_pb2_grpc
import http2_frames
from diffusiond.v1 import diffusion_pb2 as pb
from diffusiond.v1 import diffusion_pb2_grpc
from diffusiond_process import Diffusiond, eventually
from google.rpc import error_details_pb2, status_pb2
from reflection_pb2 import ServerReflectionRequest
from reflection_pb2_grpc import ServerReflectionStub

WAITING = "diffusiond_waiting_trajectories"
RESIDENT = "diffusiond_resident_trajectories"
IN_FLIGHT = "diffusiond_requests_in_flight"
FINISHED = "diffusiond_requests_total"
IMAGES = "diffusiond_images_total"


def request(**fields):
    return pb.GenerateRequest(**{"count": 2, "seed": 7, "class_id": 3,
                                 "sampling": {"sampler": "ddim", "steps": 5}, **fields})


def long_request():
    """Far more work than the tests that stop it wait for."""
    return request(count=8, sampling={"sampler": "ddpm", "steps": 1000},
                   preview=pb.PreviewOptions(every_steps=1))


def png_size(data):
    """(width, height, channels) of a whole, undamaged PNG."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:8]
    chunks, position, pixels = [], 8, b""
    while position < len(data):
        length, = struct.unpack(">I", data[position:position + 4])
        kind, body = data[position + 4:position + 8], data[position + 8:position + 8 + length]
        checksum, = struct.unpack(">I", data[position + 8 + length:position + 12 + length])
        assert checksum == zlib.crc32(kind + body), kind
        chunks.append(kind)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
        if kind == b"IDAT":
            pixels += body
        position += 12 + length
    assert chunks[-1] == b"IEND", chunks
    channels = {0: 1, 2: 3}[colour]
    assert depth == 8 and len(zlib.decompress(pixels)) == height * (1 + width * channels)
    return width, height, channels


def violations(error):
    """The field paths of a BadRequest detail."""
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    for detail in status.details:
        bad_request = error_details_pb2.BadRequest()
        if detail.Unpack(bad_request):
            return sorted(v.field for v in bad_request.field_violations)
    return []


class PythonPeerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Diffusiond())
        cls.stub = diffusion_pb2_grpc.DiffusionServiceStub(cls.server.channel)

    def assert_refused(self, code, call, *arguments, **options):
        with self.assertRaises(grpc.RpcError) as caught:
            reply = call(*arguments, timeout=60, **options)
            if not hasattr(reply, "DESCRIPTOR"):
                list(reply)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception

    def assert_still_serves(self):
        self.assertEqual(len(self.stub.GenerateImages(request(), timeout=60).images), 2)

    def assert_all_rows_freed(self):
        eventually(lambda: self.server.metric(IN_FLIGHT) == 0, "no request in flight")
        eventually(lambda: self.server.metric(WAITING) + self.server.metric(RESIDENT) == 0,
                   "no image waits or is being drawn")

    def test_a_stream_brings_previews_then_images_then_a_receipt(self):
        preview = pb.PreviewOptions(every_steps=1, kind=pb.PREVIEW_KIND_BOTH)
        events = list(self.stub.Generate(request(preview=preview), timeout=60))
        kinds = [event.WhichOneof("event") for event in events]
        self.assertEqual(kinds[0], "accepted")
        self.assertEqual(kinds[-1], "completed")
        self.assertEqual(kinds.count("image"), 2)
        self.assertIn("preview", kinds)

        accepted, completed = events[0].accepted, events[-1].completed
        self.assertEqual(accepted.parameters.seed, 7)
        self.assertEqual(accepted.parameters.sampling.steps, 5)
        size = (accepted.width, accepted.height, accepted.channels)
        self.assertEqual(size, (28, 28, 1))
        steps, finished = {}, set()
        for event in events:
            kind = event.WhichOneof("event")
            if kind == "progress":
                progress = event.progress
                self.assertGreaterEqual(progress.steps_done, steps.get(progress.image_index, 0))
                self.assertLessEqual(progress.steps_done, progress.steps_total)
                steps[progress.image_index] = progress.steps_done
            elif kind == "preview":
                self.assertNotIn(event.preview.image_index, finished)
                self.assertEqual(png_size(event.preview.data), size)
            elif kind == "image":
                image = event.image
                finished.add(image.image_index)
                self.assertEqual(png_size(image.data), size)
                self.assertEqual(hashlib.sha256(image.data).hexdigest(), image.sha256)
                self.assertEqual(completed.receipt.image_sha256[image.image_index], image.sha256)
        self.assertEqual(finished, {0, 1})
        self.assertEqual(len(completed.receipt.model_digest), 64)
        self.assertEqual(completed.receipt.request_id, accepted.request_id)

    def test_same_request_same_bytes_alone_in_a_crowd_and_with_previews(self):
        alone = [image.data for image in self.stub.GenerateImages(request(), timeout=60).images]
        self.assertNotEqual(alone[0], alone[1])

        crowd = [self.stub.GenerateImages.future(
            request(seed=seed, sampling={"sampler": "ddim", "steps": 3 + seed}, class_id=seed),
            timeout=120) for seed in range(6)]
        watched = self.stub.Generate(
            request(preview=pb.PreviewOptions(every_steps=1)), timeout=120)
        images = {event.image.image_index: event.image.data for event in watched
                  if event.WhichOneof("event") == "image"}
        self.assertEqual([images[0], images[1]], alone)
        for other in crowd:
            other.result()

    def test_one_image_of_a_batch_is_drawn_again_alone(self):
        whole = self.stub.GenerateImages(request(count=4), timeout=60)
        alone = self.stub.GenerateImages(request(count=1, first_image_index=2), timeout=60)
        [image] = alone.images
        self.assertEqual(image.image_index, 2)
        self.assertEqual(image.data, whole.images[2].data)
        self.assertEqual(alone.receipt.parameters.first_image_index, 2)

    def test_go_finds_its_package(self):
        self.assertEqual(pb.DESCRIPTOR.GetOptions().go_package, "diffusiond/v1;diffusiondv1")

    def test_a_receipts_parameters_draw_the_same_images_again(self):
        first = self.stub.GenerateImages(
            pb.GenerateRequest(class_id=1, sampling={"steps": 4}), timeout=60)
        parameters = first.receipt.parameters
        again = self.stub.GenerateImages(
            pb.GenerateRequest(**{field.name: value for field, value in parameters.ListFields()
                                  if field.name != "class_name"}), timeout=60)
        self.assertEqual(first.receipt.image_sha256, again.receipt.image_sha256)

    def test_every_image_format_has_its_signature(self):
        for format_, signature in ((pb.IMAGE_FORMAT_PNG, b"\x89PNG"),
                                   (pb.IMAGE_FORMAT_WEBP, b"RIFF"),
                                   (pb.IMAGE_FORMAT_JPEG, b"\xff\xd8\xff")):
            with self.subTest(format=format_):
                reply = self.stub.GenerateImages(request(count=1, format=format_), timeout=60)
                self.assertEqual(reply.images[0].data[:len(signature)], signature)
        raw = self.stub.GenerateImages(
            request(count=1, format=pb.IMAGE_FORMAT_RAW_FLOAT32), timeout=60)
        self.assertEqual(len(raw.images[0].data), 4 * 28 * 28)

    def test_models_are_listed_and_described(self):
        listed = self.stub.ListModels(pb.ListModelsRequest(), timeout=10)
        models = listed.models
        self.assertEqual([model.name for model in models], ["tiny"])
        self.assertEqual(listed.default_model, "tiny")
        model = self.stub.GetModel(pb.GetModelRequest(model="tiny"), timeout=10)
        self.assertEqual(model, models[0])
        self.assertEqual((model.width, model.height, model.channels), (28, 28, 1))
        self.assertEqual({sampler.name for sampler in model.samplers} & {"ddpm", "ddim"},
                         {"ddpm", "ddim"})
        self.assert_refused(grpc.StatusCode.NOT_FOUND, self.stub.GetModel,
                            pb.GetModelRequest(model="no-such-model"))

    def test_every_wrong_field_is_named_at_once(self):
        wrong = pb.GenerateRequest(count=100000, class_id=4711,
                                   sampling={"sampler": "sorcery", "steps": 0,
                                             "guidance_scale": -1})
        for call in (self.stub.Generate, self.stub.GenerateImages):
            error = self.assert_refused(grpc.StatusCode.INVALID_ARGUMENT, call, wrong)
            self.assertEqual(violations(error),
                             ["class_id", "count", "sampling.guidance_scale", "sampling.sampler",
                              "sampling.steps"])

    def test_health_knows_the_server_and_its_service(self):
        self.assertEqual(self.server.health(), "SERVING")
        self.assertEqual(self.server.health("diffusiond.v1.DiffusionService"), "SERVING")
        self.assertEqual(self.server.health("no.such.Service"), "NOT_FOUND")

    def test_reflection_lists_and_describes_what_grpcurl_needs(self):
        def ask(**question):
            stub = ServerReflectionStub(self.server.channel)
            return next(stub.ServerReflectionInfo(iter([ServerReflectionRequest(**question)]),
                                                  timeout=10))

        names = {s.name for s in ask(list_services="").list_services_response.service}
        for name in ("diffusiond.v1.DiffusionService", "grpc.health.v1.Health"):
            with self.subTest(service=name):
                self.assertIn(name, names)
                reply = ask(file_containing_symbol=name)
                self.assertTrue(reply.file_descriptor_response.file_descriptor_proto, reply)

    def test_nonsense_is_refused_and_harms_nobody(self):
        raw = self.server.channel.unary_unary("/diffusiond.v1.DiffusionService/GenerateImages")
        for payload in (b"\xff" * 100, b"\x08", os.urandom(4096)):
            with self.assertRaises(grpc.RpcError):
                raw(payload, timeout=10)
        unknown = self.server.channel.unary_unary("/diffusiond.v1.DiffusionService/Sorcery")
        self.assert_refused(grpc.StatusCode.UNIMPLEMENTED, unknown, b"")

        host, port = self.server.address.split(":")
        for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(2000), b"\x00" * 9,
                      b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(500)):
            with socket.create_connection((host, int(port)), timeout=10) as peer:
                peer.sendall(noise)
        self.assert_still_serves()

    def test_a_request_that_breaks_off_is_cancelled_and_not_called_wrong(self):
        def ended(code):
            return self.server.metric(FINISHED, method="GenerateImages", code=code)

        cancelled, wrong = ended("CANCELLED"), ended("INVALID_ARGUMENT")
        message = http2_frames.grpc_message(1, request().SerializeToString())
        with http2_frames.Connection(self.server.address) as client:
            client.send(http2_frames.grpc_headers(
                1, "/diffusiond.v1.DiffusionService/GenerateImages"))
            client.await_handled()  # What is reset can take with it what the server has not read.
            client.send(message[:-1])
        eventually(lambda: ended("CANCELLED") + ended("INVALID_ARGUMENT") > cancelled + wrong,
                   "the call is counted")
        self.assertEqual(ended("INVALID_ARGUMENT"), wrong)

    def test_a_client_that_pings_often_is_not_sent_away(self):
        channel = grpc.insecure_channel(self.server.address, options=[
            ("grpc.keepalive_time_ms", 2000), ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0), ("grpc.use_local_subchannel_pool", 1)])
        self.addCleanup(channel.close)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(),
                                                          timeout=9)
        with self.assertRaises(grpc.RpcError) as caught:
            list(watch)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_an_old_connection_is_replaced_and_its_stream_goes_on(self):
        with Diffusiond("--max_connection_age=1s") as server:
            stub = diffusion_pb2_grpc.DiffusionServiceStub(server.channel)

            def ports():
                return re.findall(r"method=GetModel .* peer=ipv4:127.0.0.1:(\d+)", server.log())

            stream = stub.Generate(long_request(), timeout=100)
            next(stream)
            eventually(lambda: stub.GetModel(pb.GetModelRequest(), timeout=10)
                       and len(set(ports())) > 1, "calls come on a new connection")
            next(stream)
            stream.cancel()

    def test_a_connection_without_calls_is_sent_away(self):
        with Diffusiond("--max_connection_idle=1s") as server:
            stub = diffusion_pb2_grpc.DiffusionServiceStub(server.channel)
            stub.GetModel(pb.GetModelRequest(), timeout=10)
            eventually(lambda: server.metric("diffusiond_connections") == 0, "it is closed")
            stub.GetModel(pb.GetModelRequest(), timeout=10)

    def test_calls_over_a_connections_limit_wait_in_the_client(self):
        with Diffusiond("--max_calls_per_connection=1") as server:
            stub = diffusion_pb2_grpc.DiffusionServiceStub(server.channel)
            first = stub.Generate(long_request(), timeout=100)
            next(first)
            with self.assertRaises(grpc.RpcError) as caught:
                stub.GetModel(pb.GetModelRequest(), timeout=0.5)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
            self.assertNotIn("method=GetModel", server.log())
            first.cancel()
            stub.GetModel(pb.GetModelRequest(), timeout=10)

    def test_the_metrics_port_answers_its_one_path(self):
        connection = http.client.HTTPConnection(self.server.metrics_address, timeout=10)
        connection.request("GET", "/etc/passwd")
        self.assertEqual(connection.getresponse().status, 404)

    def test_metrics_count_what_happened_and_please_promtool(self):
        images = self.server.metric(IMAGES)
        self.assert_still_serves()
        eventually(lambda: self.server.metric(IMAGES) == images + 2, "two images more")
        eventually(lambda: self.server.metric(FINISHED, method="GenerateImages", code="OK") >= 1,
                   "a finished request is counted")
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("no promtool here (Debian package prometheus)")
        checked = subprocess.run([promtool, "check", "metrics"], text=True, capture_output=True,
                                 input=self.server.metrics_text(), check=False)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))

    def test_a_cancelled_call_frees_its_rows(self):
        call = self.stub.Generate(long_request())
        next(call)
        call.cancel()
        self.assert_all_rows_freed()
        self.assert_still_serves()

    def test_a_deadline_that_cannot_be_met_is_refused_at_once(self):
        self.assert_still_serves()  # So that the server knows its pace.
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.stub.Generate(long_request(), timeout=0.5))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertIn("which an idle server cannot meet", caught.exception.details())
        # No later time would help.
        self.assertNotIn("grpc-retry-pushback-ms", dict(caught.exception.trailing_metadata()))
        self.assert_all_rows_freed()

    def test_a_client_that_is_killed_frees_its_rows(self):
        client = subprocess.Popen([sys.executable, __file__, "--victim", self.server.address],
                                  stdout=subprocess.PIPE)
        self.assertEqual(client.stdout.readline(), b"preview\n")
        client.kill()
        client.wait()
        client.stdout.close()
        self.assert_all_rows_freed()
        self.assert_still_serves()


class DrainTest(unittest.TestCase):
    def test_sigterm_lets_running_requests_finish_and_refuses_new_ones(self):
        with Diffusiond("--drain_timeout=100s") as server:
            stub = diffusion_pb2_grpc.DiffusionServiceStub(server.channel)
            running = stub.Generate(request(sampling={"sampler": "ddim", "steps": 60},
                                            preview=pb.PreviewOptions(every_steps=1)),
                                    timeout=100)
            next(running)
            # Health says when draining has begun.
            watch = health_pb2_grpc.HealthStub(server.channel).Watch(
                health_pb2.HealthCheckRequest(), timeout=60)
            self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
            server.terminate()
            self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.NOT_SERVING)

            def is_refused():
                try:
                    stub.GenerateImages(request(), timeout=10)
                except grpc.RpcError as error:
                    return error.code() == grpc.StatusCode.UNAVAILABLE
                return False  # It crossed the GOAWAY, and was served.

            eventually(is_refused, "new calls are refused")
            kinds = [event.WhichOneof("event") for event in running]
            self.assertEqual(kinds[-1], "completed")
            self.assertEqual(server.wait(), 0, server.log())

    def test_the_drain_timeout_ends_what_does_not_finish(self):
        with Diffusiond("--drain_timeout=200ms") as server:
            stub = diffusion_pb2_grpc.DiffusionServiceStub(server.channel)
            running = stub.Generate(long_request(), timeout=100)
            next(running)
            server.terminate()
            with self.assertRaises(grpc.RpcError) as caught:
                list(running)
            self.assertIn(caught.exception.code(),
                          (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))
            self.assertEqual(server.wait(), 0, server.log())


def victim(address):
    """Takes a long stream, says when the first preview is there, and goes on until killed."""
    stub = diffusion_pb2_grpc.DiffusionServiceStub(grpc.insecure_channel(address))
    for event in stub.Generate(long_request()):
        if event.WhichOneof("event") == "preview":
            print("preview", flush=True)
            break
    threading.Event().wait(600)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--victim"]:
        victim(sys.argv[2])
    else:
        unittest.main()
