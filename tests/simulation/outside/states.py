"""What rounds reach: states that somebody would want to know were there."""

from accounts import sure
from promises import GENERATIONS


def versions_drawn(calls):
    return {call.receipt().model_version for call in calls
            if call.request is not None and call.receipt() is not None}


def states(script, world, grown):
    """Yields the names of those that the round was in. `grown`: what /metrics grew by, or None."""
    calls = [call for call in world.calls if call.method in GENERATIONS]
    after = [call for call in calls if world.signal and call.ended > world.signal_at]
    if script.trouble == 0:
        yield "nobody breaks a rule"
    if world.signal is None and all(sure(call) for call in world.calls):
        yield "every counter is known exactly"
    if len(versions_drawn(calls)) > 1:
        yield "two versions draw"
    for call in calls:
        if call.cancelled and call.action.long and call.accepted() is not None:
            yield "a client goes in the middle of its images"
        if call.cancelled and not call.events:
            yield "a client goes before it is answered"
        if call.cancelled and call.images():
            yield "a client goes with some of its images"
        if call.end == "RESOURCE_EXHAUSTED":
            share = "would pass its share" in call.details
            pictures = "--max_queued_pictures" in call.details
            yield ("a share of the queue is full" if share else "too many pictures wait"
                   if pictures else "the queue or a deadline refuses")
        if call.end == "DEADLINE_EXCEEDED" and call.accepted() is not None:
            yield "a deadline passes while it is drawn"
        if call.action.what == "slow" and call.end == "OK":
            yield "who took nothing at first gets all of it"
        if call.action.what == "outwait" and call.end == "unread":
            yield "who takes nothing is ended"
    for call in after:
        if call.accepted() is not None and call.end == "OK":
            yield "what ran is finished after SIGTERM"
        if call.accepted() is not None and call.end == "UNAVAILABLE":
            yield f"what ran is cut off by SIG{world.signal.upper()}"
    if world.generation and any(call.end == "OK" for call in after if call.client < len(
            script.clients) and call.began > world.signal_at):
        yield "a client comes back to a new server"
    if grown is not None and grown.sum("diffusiond_previews_dropped_total"):
        yield "previews are dropped"
    if grown is not None and grown.sum("diffusiond_preemptions_total"):
        yield "an image that began lets others go first"
    if grown is not None and grown.sum("diffusiond_migrations_total"):
        yield "an image goes on on another worker"
