"""What is asked for: requests whose images are known, and one that nobody waits for the end of."""

import random
import struct
import zlib

from diffusiond.v1 import diffusion_pb2 as pb

MODEL = "tiny"
SIDE = 8  # Of the model's pictures; grey.
CLASSES = 10  # And the null class.
LONG_STEPS = 1000  # No test lives until its end.
# Rounds that share a catalogue, so that what a request gives alone is drawn once for several.
ROUNDS_OF_A_CATALOGUE = 50
FAMILIES = 40
SAMPLERS = ("ddpm", "ddim", "deis", "dpmpp", "euler", "euler_ancestral", "heun", "lms", "pndm",
            "predictor_corrector", "probability_flow", "reverse_sde", "unipc")
FORMATS = {pb.IMAGE_FORMAT_PNG: "png", pb.IMAGE_FORMAT_WEBP: "webp", pb.IMAGE_FORMAT_JPEG: "jpeg",
           pb.IMAGE_FORMAT_RAW_FLOAT32: "raw_float32"}
# Whose steps are as many as previews and progress count, and may be any.
PLAIN_SAMPLERS = ("ddpm", "ddim", "euler_ancestral", "reverse_sde")


def _chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data +
            struct.pack(">I", zlib.crc32(kind + data)))


def png(dice):
    rows = b"".join(b"\0" + dice.randbytes(SIDE) for _ in range(SIDE))
    return (b"\x89PNG\r\n\x1a\n" +
            _chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)) +
            _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b""))


def family(dice):
    """The fields of a GenerateRequest but for count, first_image_index, preview and priority."""
    sampling = {"sampler": dice.choice(SAMPLERS), "steps": dice.randint(1, 6)}
    fields = {"seed": dice.getrandbits(32), "sampling": sampling,
              "format": dice.choice(list(FORMATS))}
    if dice.random() < 0.8:
        fields["class_id"] = dice.randrange(CLASSES)
        if dice.random() < 0.5:
            sampling["guidance_scale"] = dice.choice((0.0, 2.5, 7.0))
    start = dice.random()
    if start < 0.15:
        fields["init_image"] = png(dice)
        if dice.random() < 0.5:
            fields["mask"] = png(dice)
        if sampling["steps"] >= 2 and dice.random() < 0.5:
            sampling["strength"] = 0.5
    elif start < 0.25:
        fields["init_noise"] = struct.pack("<64f", *(dice.gauss(0, 1) for _ in range(SIDE * SIDE)))
    return fields


def catalogue(seed):
    """The families that this round and its neighbours ask for."""
    dice = random.Random(f"catalogue {seed // ROUNDS_OF_A_CATALOGUE}")
    return [family(dice) for _ in range(FAMILIES)]


def long_family(dice):
    return {"seed": dice.getrandbits(32), "class_id": dice.randrange(CLASSES),
            "sampling": {"sampler": dice.choice(PLAIN_SAMPLERS), "steps": LONG_STEPS}}


def expected_previews(request, steps_total):
    """How many previews are drawn for a request, told or not."""
    every = request.preview.every_steps
    if every == 0:
        return 0
    kinds = 2 if request.preview.kind == pb.PREVIEW_KIND_BOTH else 1
    return (steps_total - 1) // every * kinds * max(1, request.count)


def alone(request, index, digest):
    """The request for image `index` of `request`, drawn by that version, and nothing beside it."""
    one = pb.GenerateRequest()
    one.CopyFrom(request)
    one.ClearField("preview")
    one.ClearField("priority")
    one.count = 1
    one.first_image_index = index
    one.model_digest = digest
    return one
