"""What clients do that speak by a gRPC library, the honest ones among them."""

import grpc

from diffusiond.v1 import diffusion_pb2 as pb
from diffusiond.v1 import diffusion_pb2_grpc
from history import PATIENCE_SECONDS, Call

SERVICE = "/diffusiond.v1.DiffusionService/"
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
TENANT = "diffusiond-tenant"
WRONG_FIELDS = ["class_id", "count", "sampling.guidance_scale", "sampling.sampler",
                "sampling.steps"]


def wrong_request():
    return pb.GenerateRequest(count=100000, class_id=4711, sampling={
        "sampler": "sorcery", "steps": 0, "guidance_scale": -1})


class GrpcClient:
    """One client's channel, which is its own connection."""

    def __init__(self, world, number):
        self.world = world
        self.number = number
        self.open()

    def open(self):
        self.channel = grpc.insecure_channel(self.world.addresses[0], options=OPTIONS)
        self.stub = diffusion_pb2_grpc.DiffusionServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def begin(self, action, method, request=None):
        return self.world.begin(Call(self.number, action, method, request))

    def end(self, call, error):
        call.cancelled = call.cancelled or error.code() == grpc.StatusCode.CANCELLED and (
            "Channel closed" in (error.details() or ""))
        self.world.end(call, error.code().name, error.details() or "", error.trailing_metadata())

    @staticmethod
    def options(action):
        return {"timeout": action.deadline,
                "metadata": ((TENANT, action.tenant),) if action.tenant else ()}

    def follow(self, call, stream, at=None, do=None):
        """Reads the stream to its end; does `do` after so many events."""
        try:
            if at == 0:
                do()
            for event in stream:
                self.world.event(call, event)
                if len(call.events) == at:
                    do()
            self.world.end(call, "OK", trailers=stream.trailing_metadata())
        except grpc.RpcError as error:
            self.end(call, error)

    def unary(self, action, method, message, request=None):
        call = self.begin(action, method, request)
        try:
            call.reply, done = getattr(self.stub, method).with_call(message, **self.options(action))
            self.world.end(call, "OK", trailers=done.trailing_metadata())
        except grpc.RpcError as error:
            self.end(call, error)

    def stream(self, action):
        call = self.begin(action, "Generate", action.requests[0])
        self.follow(call, self.stub.Generate(action.requests[0], **self.options(action)))

    deadline = stream

    def images(self, action):
        self.unary(action, "GenerateImages", action.requests[0], action.requests[0])

    def list(self, action):
        self.unary(action, "ListModels", pb.ListModelsRequest())

    def get(self, action):
        self.unary(action, "GetModel", pb.GetModelRequest())

    def burst(self, action):
        calls = []
        for request in action.requests:
            call = self.begin(action, "GenerateImages", request)
            calls.append((call, self.stub.GenerateImages.future(request, **self.options(action))))
        for call, future in calls:
            try:
                call.reply = future.result(PATIENCE_SECONDS)
                self.world.end(call, "OK", trailers=future.trailing_metadata())
            except grpc.RpcError as error:
                self.end(call, error)

    def cancel(self, action):
        request = action.requests[0]
        call = self.begin(action, action.detail, request)

        def cancel():
            call.cancelled = True
            self.world.tell(f"client {self.number}: cancels")
            running.cancel()
        if action.detail == "Generate":
            running = self.stub.Generate(request, **self.options(action))
            self.follow(call, running, action.after, cancel)
            return
        running = self.stub.GenerateImages.future(request, **self.options(action))
        cancel()
        try:
            call.reply = running.result(PATIENCE_SECONDS)
            self.world.end(call, "OK")
        except grpc.FutureCancelledError:
            self.world.end(call, "CANCELLED")
        except grpc.RpcError as error:
            self.end(call, error)

    def forget(self, action):
        """Closes the channel and lets the library do what it does with the stream."""
        call = self.begin(action, "Generate", action.requests[0])

        def close():
            call.cancelled = True
            self.world.tell(f"client {self.number}: closes its channel")
            self.channel.close()
        self.follow(call, self.stub.Generate(action.requests[0], **self.options(action)),
                    action.after, close)
        self.open()

    def refused(self, action):
        """What no server does; the promises know which status is right."""
        raw = self.channel.unary_unary(SERVICE + (
            "Sorcery" if action.detail == "method" else "GenerateImages"),
            response_deserializer=pb.GenerateImagesResponse.FromString)
        request = pb.GenerateRequest()
        request.CopyFrom(action.requests[0])
        more = {}
        if action.detail == "fields":
            request = wrong_request()
        elif action.detail == "model":
            request.model = "no-such-model"
        elif action.detail == "digest":
            request.model_digest = "0" * 64
        elif action.detail == "preview":
            request.preview.every_steps = 1
        elif action.detail == "tenant":
            more["metadata"] = ((TENANT, "t" * 129),)
        elif action.detail == "compressed":
            more["compression"] = grpc.Compression.Gzip
            request.init_noise = bytes(4000)  # Short ones go as they are.
        payload = b"\xff" * 100 if action.detail == "malformed" else request.SerializeToString()
        call = self.begin(action, "Sorcery" if action.detail == "method" else "GenerateImages")
        call.reached = action.detail not in ("method", "compressed")
        try:
            call.reply, _ = raw.with_call(payload, **more)
            self.world.end(call, "OK")
        except grpc.RpcError as error:
            self.end(call, error)
