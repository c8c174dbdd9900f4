"""Answers that their client never takes are ended, whatever the method."""

import unittest

import diffusiond.v1.diffusion_pb2 as pb
from diffusiond_process import Diffusiond, eventually
from http2_frames import (Connection, RST_STREAM, grpc_headers, grpc_message, settings)

SERVICE = "/diffusiond.v1.DiffusionService/"
IN_FLIGHT = "diffusiond_requests_in_flight"


class StalledAnswersTest(unittest.TestCase):
    def assert_ended(self, method, message):
        with Diffusiond("--stall_timeout=1s") as server:
            with Connection(server.address, settings(initial_window_size=0)) as client:
                client.send(grpc_headers(1, SERVICE + method) +
                            grpc_message(1, message.SerializeToString()))
                client.await_frame(RST_STREAM, 1)
            eventually(lambda: f"method={method}" in server.log(), "the call has its line")
            line = next(line for line in server.log().splitlines() if f"method={method}" in line)
            self.assertIn("code=CANCELLED", line)
            self.assertIn("the client took nothing for", line)
            self.assertEqual(server.metric(IN_FLIGHT, method=method), 0)

    def test_of_list_models(self):
        self.assert_ended("ListModels", pb.ListModelsRequest())

    def test_of_generate_images(self):
        self.assert_ended("GenerateImages", pb.GenerateRequest(class_id=1, sampling={"steps": 1}))

    def test_of_generate(self):
        self.assert_ended("Generate", pb.GenerateRequest(class_id=1, sampling={"steps": 1}))


if __name__ == "__main__":
    unittest.main()
