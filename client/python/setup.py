"""Makes the stubs of the API, diffusiond/v1/*_pb2*.py, from proto/ when the package is built.

By grpc_tools (grpcio-tools) where that is installed, else by protoc and grpc_python_plugin (Debian:
protobuf-compiler-grpc).
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.metadata import version

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "..", "..", "proto")
PROTOS = ["diffusiond/v1/diffusion.proto", "diffusiond/v1/sampling_options.proto"]


def compiler():
    if importlib.util.find_spec("grpc_tools") is not None:
        return [sys.executable, "-m", "grpc_tools.protoc"]
    protoc, plugin = shutil.which("protoc"), shutil.which("grpc_python_plugin")
    if protoc is None or plugin is None:
        raise SystemExit("diffusiond: to make the stubs, install grpcio-tools, or protoc and "
                         "grpc_python_plugin (Debian: protobuf-compiler-grpc)")
    return [protoc, f"--plugin=protoc-gen-grpc_python={plugin}"]


class BuildWithStubs(build_py):
    def run(self):
        super().run()
        subprocess.run([*compiler(), f"-I{PROTO}", f"--python_out={self.build_lib}",
                        f"--grpc_python_out={self.build_lib}", *PROTOS], check=True)


def runtime():
    """Stubs refuse to run with an older gRPC or Protobuf than they were made by."""
    if importlib.util.find_spec("grpc_tools") is None:
        return ["grpcio>=1.51", "protobuf>=4.21"]
    return [f"grpcio>={version('grpcio-tools')}", f"protobuf>={version('protobuf')}"]


setup(cmdclass={"build_py": BuildWithStubs}, install_requires=runtime())
