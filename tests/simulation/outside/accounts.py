"""What /metrics must say after a round, by the histories of its clients.

What a client saw bounds what was counted from both sides. Where it cannot know, since it went away
before the end, the bounds lie apart; in a round in which nobody did they meet."""

import collections

import pictures
from promises import GENERATIONS, promise

NOT_COUNTED = None
METHODS = ("Generate", "GenerateImages", "ListModels", "GetModel")


def codes_possible(call):
    """With what the server may have counted the call; NOT_COUNTED: not at all."""
    if not call.reached:
        return {NOT_COUNTED, "CANCELLED"} if call.method in GENERATIONS else {NOT_COUNTED}
    drawn = set() if call.action.long else {"OK"}
    if call.end == "unread":
        return {"RESOURCE_EXHAUSTED", "CANCELLED"}
    if call.end == "DEADLINE_EXCEEDED":
        admitted = {"DEADLINE_EXCEEDED", "CANCELLED"} | drawn
        # It may be the client's own clock that said so.
        return admitted if call.accepted() else admitted | {"RESOURCE_EXHAUSTED", NOT_COUNTED}
    if call.cancelled and call.end != "OK":
        admitted = {"CANCELLED"} | drawn
        return admitted if call.accepted() else admitted | {"RESOURCE_EXHAUSTED", NOT_COUNTED}
    return {call.end}


def sure(call):
    return len(codes_possible(call)) == 1


class Bounds:
    """A sum of which each call adds something between two numbers."""

    def __init__(self):
        self.low = self.high = 0

    def add(self, low, high=None):
        self.low += low
        self.high += low if high is None else high

    def check(self, value, what):
        promise(self.low <= value <= self.high, "counters balance",
                f"{what} is {value:g}, by the histories {self.low} .. {self.high}")


def check_requests(calls, delta):
    counted, all_of = collections.defaultdict(Bounds), collections.defaultdict(Bounds)
    for call in calls:
        possible = codes_possible(call)
        all_of[call.method].add(NOT_COUNTED not in possible, possible != {NOT_COUNTED})
        for code in possible - {NOT_COUNTED}:
            counted[call.method, code].add(len(possible) == 1, 1)
    for labels, value in delta.samples("diffusiond_requests_total"):
        counted[labels["method"], labels["code"]].check(value, f"requests_total {labels}")
    for method in METHODS:
        total = delta.sum("diffusiond_requests_total", method=method)
        all_of[method].check(total, f"requests_total of {method}")
        durations = delta.sum("diffusiond_request_duration_seconds_count", method=method)
        promise(total == durations, "counters balance",
                f"{total:g} requests of {method}, {durations:g} durations")


def image_bounds(calls):
    by_format = collections.defaultdict(Bounds)
    for call in calls:
        if call.request is None or call.method not in GENERATIONS:
            continue
        seen = len(call.images())
        may_be_more = "OK" in codes_possible(call) or call.accepted() is not None
        unseen = max(1, call.request.count) - seen if may_be_more and not sure_ok(call) else 0
        by_format[pictures.FORMATS[call.request.format or 1]].add(seen, seen + unseen)
    return by_format


def sure_ok(call):
    return codes_possible(call) == {"OK"}


def check_images_sent(calls, delta):
    by_format = image_bounds(calls)
    for labels, value in delta.samples("diffusiond_images_total"):
        by_format[labels["format"]].check(value, f"images_total {labels}")
    received = sum(len(image.data) for call in calls for image in call.images())
    sent = delta.sum("diffusiond_image_bytes_total")
    unseen = sum(bounds.high - bounds.low for bounds in by_format.values())
    promise(sent >= received if unseen else sent == received, "counters balance",
            f"image_bytes_total is {sent:g}, received {received}")


def check_previews(calls, delta):
    sent, drawn = Bounds(), Bounds()
    for call in calls:
        if call.method != "Generate" or call.request is None:
            continue
        seen = call.kinds().count("preview")
        expected = pictures.expected_previews(call.request, call.steps_total() or
                                              call.request.sampling.steps)
        known = sure_ok(call) or codes_possible(call) == {"RESOURCE_EXHAUSTED"}
        sent.add(seen, seen if known else expected)
        drawn.add(expected if sure_ok(call) else seen, seen if known and not sure_ok(call) else
                  expected)
    told = delta.sum("diffusiond_previews_sent_total")
    sent.check(told, "previews_sent_total")
    drawn.check(told + delta.sum("diffusiond_previews_dropped_total"), "previews sent and dropped")


def check_engine(calls, delta):
    """Generations: who was refused, who began, who ended early and why."""
    refused, client, late, began = Bounds(), Bounds(), Bounds(), Bounds()
    for call in calls:
        if call.method not in GENERATIONS:
            continue
        possible = codes_possible(call)
        only = next(iter(possible)) if len(possible) == 1 else None
        # An idle server could not meet its deadline: refused, and not RESOURCE_EXHAUSTED.
        refused.add(only == "RESOURCE_EXHAUSTED",
                    bool(possible & {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}))
        client.add(only == "CANCELLED" and call.accepted() is not None, "CANCELLED" in possible)
        late.add(0, "DEADLINE_EXCEEDED" in possible)
        began.add(only == "OK", bool(possible & {"OK", "CANCELLED", "DEADLINE_EXCEEDED"}))
    refused.check(delta.sum("diffusiond_refusals_total"), "refusals_total")
    ended = {reason: delta.sum("diffusiond_cancellations_total", reason=reason)
             for reason in ("client", "deadline", "shutdown", "failure")}
    client.check(ended["client"], "cancellations_total of clients")
    late.check(ended["deadline"], "cancellations_total by deadlines")
    late.check(delta.sum("diffusiond_deadline_misses_total"), "deadline_misses_total")
    began.check(delta.sum("diffusiond_queue_wait_seconds_count"), "generations that began")
    for name, value in (("shutdown", ended["shutdown"]), ("failure", ended["failure"]),
                        ("device failures", delta.sum("diffusiond_device_failures_total")),
                        ("worker restarts", delta.sum("diffusiond_worker_restarts_total")),
                        ("refused connections",
                         delta.sum("diffusiond_connections_refused_total"))):
        promise(value == 0, "counters balance", f"{value:g} {name}")
    early = sum(ended.values())
    not_ok = sum(value for labels, value in delta.samples("diffusiond_requests_total")
                 if labels["method"] in GENERATIONS and labels["code"] != "OK")
    promise(early <= not_ok, "counters balance",
            f"{early:g} generations ended early, {not_ok:g} calls not OK")


def check_accounts(calls, delta):
    check_requests(calls, delta)
    check_images_sent(calls, delta)
    check_previews(calls, delta)
    check_engine(calls, delta)
