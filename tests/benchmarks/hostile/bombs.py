"""Requests that are small on the wire, or legal and costly. What takes time to make is kept."""

import functools
import random
import struct
import zlib

from diffusiond.v1 import diffusion_pb2 as pb

LARGEST_BODY = (4 << 20) - 1024  # --max_request_bytes, less some room for the other fields.
SIDE = 28  # Of the tiny model's pictures.
MIB = 1 << 20
GZIP_MIB = 256


def _deflated_zeros(mebibytes):
    """Raw deflate, about a thousandth: one block is packed, and stands there many times."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * mebibytes + packer.flush()


def zlib_of_zeros(mebibytes):
    adler = (mebibytes * MIB % 65521) << 16 | 1
    return b"\x78\xda" + _deflated_zeros(mebibytes) + struct.pack(">I", adler)


@functools.lru_cache(maxsize=None)
def gzip_of_zeros(mebibytes):
    crc = 0
    for _ in range(mebibytes):
        crc = zlib.crc32(bytes(MIB), crc)
    return (b"\x1f\x8b\x08\0\0\0\0\0\2\xff" + _deflated_zeros(mebibytes) +
            struct.pack("<II", crc, mebibytes * MIB % 2**32))


def _chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data +
            struct.pack(">I", zlib.crc32(kind + data)))


def png(*before_pixels, width=SIDE, height=SIDE, pixels=None):
    """A grey picture, with chunks before its pixels."""
    if pixels is None:
        pixels = zlib.compress((b"\0" + bytes(width)) * height)
    return (b"\x89PNG\r\n\x1a\n" +
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) +
            b"".join(before_pixels) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b""))


@functools.lru_cache(maxsize=None)
def png_bombs():
    """Texts and profiles of a gigabyte, pixels that go on after the picture, a huge picture."""
    zeros = zlib_of_zeros(1024)
    return [png(_chunk(b"zTXt", b"Comment\0\0" + zeros)),
            png(_chunk(b"iTXt", b"Comment\0\1\0\0\0" + zeros)),
            png(_chunk(b"iCCP", b"profile\0\0" + zeros)),
            png(pixels=zeros),
            png(width=30000, height=30000, pixels=zeros)]


@functools.lru_cache(maxsize=None)
def large_png():
    """A good picture that fills the largest request, by a chunk that nobody knows."""
    return png(_chunk(b"paDd", random.Random(1).randbytes(LARGEST_BODY - 1024)))


def request(**fields):
    return pb.GenerateRequest(**{"class_id": 3, "sampling": {"sampler": "ddim", "steps": 2}, "count": 1,
                                 **fields}).SerializeToString()


def longest_request(**fields):
    """As much work as one request may ask for."""
    return request(**{"sampling": {"sampler": "ddpm", "steps": 1000}, "count": 64, **fields})


def plan_request(number):
    """A plan of 10,000 evaluations that no other request shares."""
    return request(sampling={"sampler": "annealed_langevin", "steps": 100, "langevin_steps": 100,
                             "langevin_step_size": 0.1 + number % 1_000_000 * 1e-6})


@functools.lru_cache(maxsize=None)
def unknown_fields(tiny):
    """A good request in megabytes of fields that the API does not have: one, or a million."""
    if tiny:
        return request() + b"\xf8\x3f\x00" * (LARGEST_BODY // 3)  # Field 1023: 0.
    return request() + b"\xfa\x3f" + _varint(LARGEST_BODY) + bytes(LARGEST_BODY)


def _varint(value):
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def wrong_request():
    """Every field is out of its range, and every text long."""
    sampling = {"sampler": "s" * 1000, "steps": 0, "guidance_scale": -1, "variance": "v" * 1000,
                "timestep_spacing": "t" * 1000, "eta": -1, "solver_order": 99, "s_churn": -1}
    return pb.GenerateRequest(count=100_000, class_id=4711, sampling=sampling).SerializeToString()


def make_all():
    """Before clients part into processes, so that none makes its own."""
    gzip_of_zeros(GZIP_MIB)
    png_bombs()
    large_png()
    unknown_fields(True)
    unknown_fields(False)
