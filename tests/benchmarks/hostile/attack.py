"""What a hostile client has in hand: addresses, a pace, and a count of what it did."""

import time

from http2_connection import Http2Connection


class Pace:
    """No more bytes and events a second than one remote machine is taken to send. An event is a
    call, a connection or a frame, whatever the attack is made of. `note` hears of each."""

    def __init__(self, bytes_per_second, events_per_second, note):
        self.seconds_per_byte = 1 / bytes_per_second
        self.seconds_per_event = 1 / events_per_second
        self.note = note
        self.free = time.monotonic()

    def _wait(self, seconds):
        now = time.monotonic()
        # What was not sent in the last tenth of a second may be sent late, in one go.
        self.free = max(self.free, now - 0.1) + seconds
        if self.free > now:
            time.sleep(self.free - now)

    def spend_bytes(self, count):
        self.note(sent=count)
        self._wait(count * self.seconds_per_byte)

    def spend_event(self):
        self._wait(self.seconds_per_event)
        self.note(events=1)


class Attack:
    def __init__(self, grpc_address, metrics_address, http_address, source, number, pace):
        self.grpc_address = grpc_address
        self.metrics_address = metrics_address
        self.http_address = http_address
        self.source = source  # The address that it comes from.
        self.number = number  # Of this client, from 0.
        self.pace = pace

    def connect(self, takes_answers=True):
        return Http2Connection(self.grpc_address, self.source, self.pace, takes_answers)
