"""What is promised of each call, as its client saw it, and of its line in the server's log."""

import collections
import hashlib
import re

import pictures
from diffusiond.v1 import diffusion_pb2 as pb
from google.rpc import error_details_pb2, status_pb2
from grpc_clients import WRONG_FIELDS

GENERATIONS = ("Generate", "GenerateImages")
REFUSED_WITH = {"fields": "INVALID_ARGUMENT", "model": "NOT_FOUND",
                "digest": "FAILED_PRECONDITION", "preview": "INVALID_ARGUMENT",
                "malformed": "INVALID_ARGUMENT", "method": "UNIMPLEMENTED",
                "compressed": "UNIMPLEMENTED", "tenant": "INVALID_ARGUMENT"}
PATIENT = ("stream", "images", "burst", "slow")  # Who waits for the end, however late.
BOTH_KINDS = {pb.PREVIEW_KIND_X_T, pb.PREVIEW_KIND_X0_HAT}
CALL_LINE = re.compile(r"method=(\w+) request_id=(\w+) code=(\w+)")


class Broken(Exception):
    """A promise, and how it was broken."""


def promise(kept, what, how=""):
    if not kept:
        raise Broken(f"{what}: {how}")


def ends_allowed(call, world, flags):
    """The ends that the API names for what this client did."""
    what = call.action.what
    if what == "refused":
        allowed = {REFUSED_WITH[call.action.detail]}
    elif call.method not in GENERATIONS:
        allowed = {"OK"}
    else:
        allowed = {"RESOURCE_EXHAUSTED"} | (set() if call.action.long else {"OK"})
    if what == "deadline":
        allowed.add("DEADLINE_EXCEEDED")
    if call.cancelled:
        allowed |= {"CANCELLED", "gone"}
    # Their status is not read.
    if what in ("close", "abort", "reset", "slow", "outwait"):
        allowed.add("unread")
    if world.signal is not None and call.ended > world.signal_at:
        # GOAWAY and a call that meet on their way are CANCELLED by the library.
        allowed |= {"UNAVAILABLE", "gone"} | ({"CANCELLED"} if world.signal == "term" else set())
        if must_be_finished(call, world, flags):
            allowed = {"OK"}
    return allowed


def must_be_finished(call, world, flags):
    """It ran when the server was told to end, and there is time."""
    return (world.signal == "term" and "--drain_timeout=100s" in flags and
            call.action.what in PATIENT and call.accepted() is not None and
            call.began <= world.signal_at and call.accepted_at <= world.signal_at and
            "--stall_timeout=1s" not in flags)


def check_end(call, world, flags):
    promise(call.end is not None, "every call ends", call.method)
    allowed = ends_allowed(call, world, flags)
    promise(call.end in allowed, "a status that the API names",
            f"{call.end} ({call.details}), expected {sorted(allowed)}")
    if call.end == "RESOURCE_EXHAUSTED":
        check_refusal(call)
    if call.action.what == "refused" and call.action.detail == "fields" and (
            call.end == "INVALID_ARGUMENT"):
        found = [violation.field for detail in details_of(call, error_details_pb2.BadRequest)
                 for violation in detail.field_violations]
        promise(sorted(found) == WRONG_FIELDS, "every wrong field is named", str(found))
    if call.end == "unread" and call.action.what != "outwait" and (
            "--stall_timeout=1s" not in flags and world.signal is None):
        promise(call.accepted() is None, "what was admitted is finished", str(call.kinds()[-1:]))


def details_of(call, kind):
    found = []
    status = status_pb2.Status.FromString(call.trailers.get("grpc-status-details-bin", b""))
    for detail in status.details:
        body = kind()
        if detail.Unpack(body):
            found.append(body)
    return found


def check_refusal(call):
    told = call.trailers.get("grpc-retry-pushback-ms")
    retries = details_of(call, error_details_pb2.RetryInfo)
    promise(told is not None and len(retries) == 1, "a refusal says when to come back",
            call.details)
    delay = retries[0].retry_delay.ToMilliseconds()
    promise(str(delay) == told and 10 <= delay <= 60000, "a refusal says when to come back",
            f"{delay} ms and {told} ms")


def check_events(call):
    """Order, and each image once."""
    request, kinds = call.request, call.kinds()
    if not kinds:
        promise(call.end != "OK", "events in order", "OK without an event")
        return
    promise(kinds[0] == "accepted" and kinds.count("accepted") == 1, "events in order",
            f"accepted is not the first alone: {kinds[:3]}")
    check_parameters(call, call.accepted().parameters)
    steps, previews, finished = collections.Counter(), collections.Counter(), set()
    indices = range(request.first_image_index, request.first_image_index + max(1, request.count))
    for event, kind in zip(call.events[1:], kinds[1:]):
        promise("completed" not in kinds[:-1], "nothing after the end", str(kinds[-3:]))
        body = getattr(event, kind)
        if kind == "completed":
            continue
        index = body.image_index
        promise(index in indices, "events in order", f"image {index} was not asked for")
        promise(index not in finished, "each image once, and nothing of it after it",
                f"{kind} of image {index} after the image")
        if kind == "progress":
            promise(steps[index] <= body.steps_done <= body.steps_total, "events in order",
                    f"step {body.steps_done} of {body.steps_total} after {steps[index]}")
            steps[index] = body.steps_done
        elif kind == "preview":
            check_preview(request, body, previews[index], call.steps_total())
            previews[index] = body.steps_done
        else:
            finished.add(index)
    if call.end == "OK":
        promise(kinds[-1] == "completed", "completed is the last event", str(kinds[-2:]))
        promise(finished == set(indices), "each image once, and nothing of it after it",
                f"images {sorted(finished)} of {list(indices)}")


def check_parameters(call, told):
    request = call.request
    for name in ("seed", "first_image_index"):
        promise(getattr(told, name) == getattr(request, name), "parameters as asked", name)
    promise(told.count == max(1, request.count), "parameters as asked", "count")
    promise(told.sampling.sampler == request.sampling.sampler, "parameters as asked", "sampler")
    promise(told.sampling.steps == request.sampling.steps, "parameters as asked", "steps")
    promise(told.HasField("class_id") == request.HasField("class_id") and
            told.class_id == request.class_id, "parameters as asked", "class_id")


def check_preview(request, preview, before, steps_total):
    wanted = request.preview
    kinds = {pb.PREVIEW_KIND_UNSPECIFIED: {pb.PREVIEW_KIND_X0_HAT},
             pb.PREVIEW_KIND_BOTH: BOTH_KINDS}.get(wanted.kind, {wanted.kind})
    promise(wanted.every_steps > 0 and preview.kind in kinds, "previews as asked",
            f"kind {preview.kind}")
    promise(preview.steps_done % wanted.every_steps == 0 and
            (steps_total is None or preview.steps_done < steps_total), "previews as asked",
            f"after step {preview.steps_done} of {steps_total}")
    promise(preview.steps_done >= before, "events in order",
            f"preview of step {preview.steps_done} after one of {before}")


def check_receipt(call):
    """The images are those that the receipt names."""
    images, receipt = call.images(), call.receipt()
    for image in images:
        promise(hashlib.sha256(image.data).hexdigest() == image.sha256, "images as told",
                f"sha256 of image {image.image_index}")
    if receipt is None:
        return
    first = call.request.first_image_index
    told = {first + i: digest for i, digest in enumerate(receipt.image_sha256)}
    promise(told == {image.image_index: image.sha256 for image in images},
            "each image once, and nothing of it after it", f"{len(told)} in the receipt, "
            f"{len(images)} images")
    check_parameters(call, receipt.parameters)


def check_call(call, world, flags):
    check_end(call, world, flags)
    if call.request is None or call.method not in GENERATIONS:
        return
    if call.method == "Generate":
        check_events(call)
    check_receipt(call)


def check_images(calls, solo):
    """No image differs from the one that its request gives alone."""
    compared = 0
    for call in calls:
        receipt = call.receipt()
        for image in call.images() if call.request is not None else ():
            if call.action.long:
                continue
            # Which version draws is told at the end.
            digests = [receipt.model_digest] if receipt is not None else solo.digests
            same = [digest for digest in digests
                    if solo.image(call.request, image.image_index, digest) == image.data]
            promise(same, "an image is what its request gives alone",
                    f"image {image.image_index} of {call.request.sampling.sampler}, "
                    f"format {pictures.FORMATS.get(image.format)}")
            compared += 1
    return compared


def request_ids(calls, world):
    """Of calls whose lines must be in the log: a server that is killed may owe some."""
    return {call.request_id() for call in calls if call.request_id() is not None and not (
        world.signal == "kill" and call.began <= world.signal_at)}


def codes_logged(call, world):
    if not call.cancelled and call.end in ("OK", "RESOURCE_EXHAUSTED"):
        return {call.end}
    codes = {"CANCELLED"} | (set() if call.action.long else {"OK"})
    if call.action.deadline is not None:
        codes.add("DEADLINE_EXCEEDED")
    return codes | ({"UNAVAILABLE"} if world.signal else set())


def check_log(calls, log, world):
    """A call that was admitted has one line, with the code that its client saw."""
    lines = collections.defaultdict(list)
    for _, request_id, code in CALL_LINE.findall(log):
        lines[request_id].append(code)
    owed = request_ids(calls, world)
    for call in calls:
        codes = lines[call.request_id()]
        if call.request_id() in owed:
            promise(len(codes) == 1, "an admitted call has one line in the log", str(codes))
            promise(codes[0] in codes_logged(call, world), "the log says what the client saw",
                    f"{codes[0]}, the client: {call.end}")
