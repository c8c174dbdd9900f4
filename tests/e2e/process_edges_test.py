"""What the programs do with signals, closed descriptors, full disks and ports that are taken."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest

import grpc

from diffusiond.v1 import diffusion_pb2, diffusion_pb2_grpc
from diffusiond_process import BIN, LISTENING, Diffusiond, eventually

DIFFUSIOND = os.path.join(BIN, "diffusiond")
DIFFUSIONCTL = os.path.join(BIN, "diffusionctl")


def nothing(_repository):
    """Nothing to load: it listens at once."""


class SignalTest(unittest.TestCase):
    def test_sigterm_as_soon_as_it_listens_is_an_orderly_end(self):
        with tempfile.TemporaryDirectory() as repository:
            for _ in range(10):
                with subprocess.Popen(
                        [DIFFUSIOND, f"--model_repository={repository}", "--listen=127.0.0.1:0",
                         "--metrics_listen=", "--http_listen="], stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL, text=True) as process:
                    self.assertRegex(process.stdout.readline(), LISTENING)
                    process.send_signal(signal.SIGTERM)
                    self.assertEqual(process.wait(timeout=60), 0)

    def test_sighup_drains_too(self):
        with Diffusiond(fill=nothing) as server:
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(server.wait(), 0)
            self.assertIn("draining signal=1", server.log())
            self.assertTrue(server.log().endswith("drained\n"), server.log())


class HelpTest(unittest.TestCase):
    # A flag of each source that has some.
    FLAGS = {
        "diffusiond": ["listen", "stall_timeout"],
        "diffusion-train": ["data", "steps", "prediction_type", "resume"],
        "diffusion-eval": ["data", "checkpoint", "features", "ode_steps", "decoder", "strips"],
        "diffusion-publish": ["pin", "publish_to"],
    }

    @staticmethod
    def run_program(program, *arguments):
        return subprocess.run([os.path.join(BIN, program), *arguments], timeout=60,
                              capture_output=True, text=True, check=False)

    def test_help_shows_the_program_s_flags_and_none_of_libraries(self):
        for program, flags in self.FLAGS.items():
            with self.subTest(program=program):
                run = self.run_program(program, "--help")
                self.assertEqual(run.returncode, 0)
                self.assertEqual(run.stderr, "")
                self.assertTrue(run.stdout.startswith(f"{program}: "), run.stdout[:80])
                for flag in flags:
                    self.assertRegex(run.stdout, rf"(?m)^  --(\[no\])?{flag}\b")
                self.assertRegex(run.stdout, r"(?m)^([A-Z][a-z ]+ f|F)lags:$")
                self.assertNotRegex(run.stdout, r"--(undefok|fromenv|v)\b")
                for path in ("../", ".cc", os.environ["DIFFUSIOND_SOURCE_DIR"]):
                    self.assertNotIn(path, run.stdout)
                # The usage message's own lines are commands to copy.
                help_of_flags = run.stdout[run.stdout.index("lags:\n"):]
                self.assertLessEqual(max(map(len, help_of_flags.splitlines())), 80)

    def test_every_program_says_version_and_commit(self):
        said = set()
        for program in (*self.FLAGS, "diffusionctl"):
            run = self.run_program(program, "--version")
            self.assertEqual(run.returncode, 0, program)
            self.assertRegex(run.stdout,
                             rf"\A{program} \d+\.\d+\.\d+ \(commit [0-9a-z-]+\)\n\Z")
            said.add(run.stdout.split(" ", 1)[1])
        self.assertEqual(len(said), 1, said)

    def test_a_trainer_without_out_names_the_flag(self):
        for more in ([], ["--image_classifier"]):
            run = self.run_program("diffusion-train", "--data=images", *more)
            self.assertEqual(run.returncode, 2)
            self.assertRegex(run.stderr, r"\Adiffusion-train: --out=DIR is required")


class ClosedDescriptorsTest(unittest.TestCase):
    def test_a_server_without_output_serves_and_ends_in_order(self):
        with Diffusiond(fill=nothing) as free:
            port = free.address.rsplit(":", 1)[1]
        with tempfile.TemporaryDirectory() as repository:
            for closed in (">&- 2>&-", "<&- >&- 2>&-", "<&-"):
                with subprocess.Popen(
                        ["sh", "-c", f'exec "$@" {closed}', "sh", DIFFUSIOND,
                         f"--model_repository={repository}", f"--listen=127.0.0.1:{port}",
                         "--metrics_listen=", "--http_listen="], stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL) as process:
                    eventually(lambda: self.answers(int(port)), "it listens")
                    # Many lines of its log.
                    for _ in range(20):
                        subprocess.run([DIFFUSIONCTL, "models", f"--server=127.0.0.1:{port}"],
                                       capture_output=True, timeout=60, check=False)
                    self.assertIsNone(process.poll(), "it ended by itself")
                    process.send_signal(signal.SIGTERM)
                    self.assertEqual(process.wait(timeout=60), 0, closed)

    @staticmethod
    def answers(port):
        with socket.socket() as peer:
            return peer.connect_ex(("127.0.0.1", port)) == 0


class FullDiskTest(unittest.TestCase):
    def test_output_that_is_lost_is_a_failure(self):
        with Diffusiond() as server, open("/dev/full", "w", encoding="utf-8") as full:
            lost = subprocess.run([DIFFUSIONCTL, "models", f"--server={server.address}"],
                                  stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
                                  check=False)
        self.assertEqual(lost.returncode, 1)
        self.assertIn("standard output did not take all", lost.stderr)


class FloodTest(unittest.TestCase):
    def test_refused_calls_are_counted_and_not_written(self):
        calls = 50
        with Diffusiond("--refusals_logged_per_second=0", fill=nothing) as server:
            stub = diffusion_pb2_grpc.DiffusionServiceStub(server.channel)
            for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
                for _ in range(calls):
                    with self.assertRaises(grpc.RpcError):
                        stub.GenerateImages(diffusion_pb2.GenerateRequest(model="m" * 1000),
                                            compression=compression, timeout=30)

            def left_out(**labels):
                return server.metric("diffusiond_log_lines_left_out_total", **labels)
            eventually(lambda: left_out() >= 2 * calls, "all are counted")
            self.assertEqual(left_out(code="UNAVAILABLE"), calls)  # There is no model.
            self.assertGreaterEqual(left_out(code="gRPC"), calls)
            counted = left_out()
            server.terminate()
            self.assertEqual(server.wait(), 0)
            log = server.log()
        self.assertNotIn("code=UNAVAILABLE", log)
        self.assertNotIn("ompression algorithm", log)
        self.assertEqual(sum(map(int, re.findall(r" WARNING refused left_out=(\d+) ", log))), counted)
        for line in log.splitlines():
            self.assertRegex(line, r"^[-\d]+T[:\d]+\.\d{3}Z (INFO|WARNING|ERROR) \S")


class TakenPortTest(unittest.TestCase):
    def test_one_line_names_flag_and_address(self):
        with tempfile.TemporaryDirectory() as repository, socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for flag in ("listen", "metrics_listen", "admin_listen", "http_listen"):
                flags = {"listen": "127.0.0.1:0", "metrics_listen": "", "http_listen": "", flag: address}
                run = subprocess.run(
                    [DIFFUSIOND, f"--model_repository={repository}",
                     *(f"--{name}={value}" for name, value in flags.items())],
                    capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(run.returncode, 1, flag)
                self.assertEqual(run.stdout, "")
                said = [line for line in run.stderr.splitlines() if " ERROR " in line]
                self.assertEqual(len(said), 1, run.stderr)
                self.assertRegex(said[0], rf" ERROR diffusiond: --{flag}: ")
                self.assertIn(address, said[0])


class WrongFlagsTest(unittest.TestCase):
    # A program, what must stand before its flags, a flag of numbers and the same misspelt.
    PROGRAMS = (("diffusiond", [], "cpu_cores"), ("diffusionctl", ["generate"], "count"),
                ("diffusion-train", [], "batch_size"), ("diffusion-eval", ["samples"], "micro_batch"),
                ("diffusion-publish", [], "pin"))

    def test_status_2_and_one_line_that_names_the_flag(self):
        for program, words, flag in self.PROGRAMS:
            for wrong in (f"--{flag}=many", f"--{flag}x=1", f"-{flag}x", f"--no{flag}", f"--{flag}"):
                run = subprocess.run([os.path.join(BIN, program), *words, wrong], timeout=60,
                                     capture_output=True, text=True, check=False)
                with self.subTest(program=program, wrong=wrong):
                    self.assertEqual(run.returncode, 2, run.stderr)
                    self.assertEqual(run.stdout, "")
                    self.assertRegex(run.stderr, rf"\A{program}: .*-(no)?{flag}.*\n(  See: .*\n)?\Z")


if __name__ == "__main__":
    unittest.main()
