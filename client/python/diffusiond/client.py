"""The methods of diffusiond.v1.DiffusionService, as Python has them."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import warnings
from typing import Any, Iterator, Optional

import grpc
from google.protobuf.message import Message

from diffusiond.v1 import diffusion_pb2 as pb
from diffusiond.v1 import diffusion_pb2_grpc
from diffusiond.v1.sampling_options_pb2 import SamplingOptions

DEFAULT_PORT = 50051
MAX_MESSAGE_BYTES = 256 << 20  # A GenerateImages answer holds all its images.
KINDS = {"x_t": pb.PREVIEW_KIND_X_T, "x0_hat": pb.PREVIEW_KIND_X0_HAT,
         "both": pb.PREVIEW_KIND_BOTH}
FORMATS = {"png": pb.IMAGE_FORMAT_PNG, "webp": pb.IMAGE_FORMAT_WEBP,
           "jpeg": pb.IMAGE_FORMAT_JPEG, "raw": pb.IMAGE_FORMAT_RAW_FLOAT32}
FITS = {"exact": pb.PICTURE_FIT_EXACT, "cover": pb.PICTURE_FIT_COVER,
        "contain": pb.PICTURE_FIT_CONTAIN}
PRIORITIES = {"high": pb.PRIORITY_HIGH, "normal": pb.PRIORITY_NORMAL, "low": pb.PRIORITY_LOW}


class ImageDamaged(Exception):
    """The bytes of an image do not have the SHA-256 that the server announced."""


@dataclasses.dataclass(frozen=True)
class _Picture:
    image_index: int
    width: int
    height: int
    data: bytes

    def pil(self) -> Any:
        """As a PIL.Image.Image; needs Pillow. ("raw" images are data, no file: not those.)"""
        from PIL import Image as PillowImage  # pylint: disable=import-outside-toplevel
        return PillowImage.open(io.BytesIO(self.data))

    def save(self, path: str) -> None:
        """Writes the bytes as the server sent them."""
        with open(path, "wb") as file:
            file.write(self.data)


@dataclasses.dataclass(frozen=True)
class Preview(_Picture):
    """An image on its way: the noisy one (kind "x_t"), or the guess at the final one ("x0_hat")."""

    steps_done: int
    timestep: float
    kind: str


@dataclasses.dataclass(frozen=True)
class Image(_Picture):
    """A finished image, its SHA-256 verified."""

    sha256: str


class Generation:
    """A running request: iterate over it for the previews, then ask for images and receipt.

    `images` and `receipt` wait for the end, previews or not. Errors are grpc.RpcError, with the
    server's text as details(), or ImageDamaged. cancel() ends it; so does leaving a `with`.
    """

    def __init__(self, call: Any):
        self._call = call
        self._events = self._read()
        self._images: dict[int, Image] = {}
        self.accepted: Optional[pb.Accepted] = None  # From the first preview on.
        self._completed: Optional[pb.Completed] = None
        self._failure: Optional[Exception] = None

    def _read(self) -> Iterator[Preview]:
        try:
            yield from self._previews()
        except Exception as failure:
            self._failure = failure
            raise

    def _previews(self) -> Iterator[Preview]:
        for event in self._call:
            what = event.WhichOneof("event")
            if what == "accepted":
                self.accepted = event.accepted
                for warning in event.accepted.warnings:
                    warnings.warn(warning, stacklevel=2)
            elif what == "preview":
                preview = event.preview
                yield Preview(preview.image_index, preview.width, preview.height, preview.data,
                              preview.steps_done, preview.timestep,
                              "x_t" if preview.kind == pb.PREVIEW_KIND_X_T else "x0_hat")
            elif what == "image":
                self._images[event.image.image_index] = _checked(event.image)
            elif what == "completed":
                self._completed = event.completed

    def __iter__(self) -> Iterator[Preview]:
        return self._events

    def __enter__(self) -> Generation:
        return self

    def __exit__(self, *unused: Any) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Tells the server to stop; nothing happens to a request that is finished."""
        self._call.cancel()

    def _finish(self) -> pb.Completed:
        for _ in self._events:
            pass
        if self._failure is not None:
            raise self._failure  # Whoever asks again is told the same.
        if self._completed is None:
            raise RuntimeError("the stream ended without Completed")
        return self._completed

    @property
    def images(self) -> list[Image]:
        """All of them, by image_index."""
        self._finish()
        return [self._images[index] for index in sorted(self._images)]

    @property
    def receipt(self) -> pb.Receipt:
        """What draws the same bytes again: Client.replay takes it."""
        return self._finish().receipt

    @property
    def timings(self) -> pb.Timings:
        return self._finish().timings


def _checked(image: pb.Image) -> Image:
    sha256 = hashlib.sha256(image.data).hexdigest()
    if sha256 != image.sha256:
        raise ImageDamaged(f"image {image.image_index} has SHA-256 {sha256}, the server announced "
                           f"{image.sha256}")
    return Image(image.image_index, image.width, image.height, image.data, sha256)


class Client:
    """A connection to one server; threads may share it.

    `target` is host, host:port or whatever gRPC takes. With `credentials` by TLS; with a
    token they are grpc.composite_channel_credentials(grpc.ssl_channel_credentials(CA),
    grpc.access_token_call_credentials(TOKEN)). `tenant`: on whose behalf, for the server's fair
    shares.
    """

    def __init__(self, target: str = "127.0.0.1", *,
                 credentials: Optional[grpc.ChannelCredentials] = None,
                 tenant: Optional[str] = None):
        if ":" not in target:
            target = f"{target}:{DEFAULT_PORT}"
        options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
        self.channel = (grpc.insecure_channel(target, options) if credentials is None else
                        grpc.secure_channel(target, credentials, options))
        self.stub = diffusion_pb2_grpc.DiffusionServiceStub(self.channel)
        self._metadata = [("diffusiond-tenant", tenant)] if tenant else None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *unused: Any) -> None:
        self.close()

    def close(self) -> None:
        self.channel.close()

    def models(self, *, timeout: Optional[float] = None) -> list[pb.Model]:
        response = self.stub.ListModels(pb.ListModelsRequest(), timeout=timeout,
                                        metadata=self._metadata)
        return list(response.models)

    def model(self, name: str = "", *, timeout: Optional[float] = None) -> pb.Model:
        """What a model is, takes and does by default; no name: the server's default model."""
        return self.stub.GetModel(pb.GetModelRequest(model=name), timeout=timeout,
                                  metadata=self._metadata)

    def generate(self, model: str = "", *,  # pylint: disable=too-many-arguments
                 preview_every: int = 0, preview_kind: str = "x0_hat", preview_max_side: int = 0,
                 format: str = "png",  # pylint: disable=redefined-builtin
                 fit: Optional[str] = None, priority: str = "normal",
                 timeout: Optional[float] = None, **fields: Any) -> Generation:
        """Starts to draw and returns at once.

        `fields` are those of GenerateRequest (count, seed, class_name, class_id, init_image, mask,
        first_image_index, ...) and of its SamplingOptions (sampler, steps, eta, guidance_scale,
        ...), by their names, messages too (sampling=, preview=); what is not given is the model's default. `timeout` in seconds.
        TypeError: a name that is neither's. What the server warns of is a UserWarning.
        """
        request = pb.GenerateRequest(model=model, format=FORMATS[format],
                                     priority=PRIORITIES[priority])
        if fit is not None:
            request.picture_fit = FITS[fit]
        for name, value in fields.items():
            sampling = name in SamplingOptions.DESCRIPTOR.fields_by_name
            if not sampling and name not in pb.GenerateRequest.DESCRIPTOR.fields_by_name:
                raise TypeError(f"generate() has no '{name}': it is neither a field of "
                                "GenerateRequest nor of SamplingOptions")
            target = request.sampling if sampling else request
            if isinstance(value, Message):
                getattr(target, name).MergeFrom(value)
            else:
                setattr(target, name, value)
        if preview_every:
            request.preview.every_steps = preview_every
            request.preview.kind = KINDS[preview_kind]
            request.preview.max_side = preview_max_side
        return self.start(request, timeout=timeout)

    def start(self, request: pb.GenerateRequest, *,
              timeout: Optional[float] = None) -> Generation:
        """As generate(), for a request of your own making."""
        return Generation(self.stub.Generate(request, timeout=timeout, metadata=self._metadata))

    def replay(self, receipt: pb.Receipt, *, timeout: Optional[float] = None,
               **start: bytes) -> Generation:
        """Draws a receipt's images again, by the same version of the model; of what they started
        from (init_image, mask, init_noise) a receipt knows the SHA-256 alone: give it again."""
        then = receipt.parameters
        request = pb.GenerateRequest(
            model=then.model, model_digest=receipt.model_digest, count=then.count, seed=then.seed,
            first_image_index=then.first_image_index, sampling=then.sampling, format=then.format,
            picture_fit=then.picture_fit,
            **start)
        if then.HasField("class_id"):
            request.class_id = then.class_id
        if then.HasField("morph_seed"):
            request.morph_seed = then.morph_seed
        return self.start(request, timeout=timeout)
