#!/usr/bin/env python3
"""One seed, one round of clients against the real server: README.md.

  outside_simulation.py SEED                          lives one round, and tells of it
  outside_simulation.py --rounds=N [--first_seed=K]   many, counted; K -1: drawn

Needs the environment that ctest gives it (CMakeLists.txt). The seed decides who does what after
which event; when events come the machine decides, so a round is not repeated exactly."""

import argparse
import collections
import os
import secrets
import shutil
import sys
import threading
import time
import traceback

import grpc

from accounts import check_accounts
from diffusiond_process import eventually
from grpc_clients import GrpcClient
from history import PATIENCE_SECONDS, ItNeverEnds, World
from promises import Broken, check_call, check_images, check_log, request_ids
from raw_clients import RAW_ACTIONS, RawClient, noise
from script import draw_round, flags_of, life_of
from server_life import ServerProcess, Settling, Solo, make_repository
from states import states


LOG_TOLD = 4000  # Characters.
LOG_SECONDS = 10


class Client:
    """One client's thread."""

    def __init__(self, world, number, actions):
        self.world = world
        self.number = number
        self.actions = actions
        self.failure = None
        self.client = None  # Once it is needed.
        self.generation = 0  # Of the server that `client` is connected to.
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            for action in self.actions:
                self.act(action)
        except BaseException:
            self.failure = traceback.format_exc()
        finally:
            self.close()
            self.world.idle(self.number)

    def act(self, action):
        if action.what == "noise":
            return noise(action, self.world, self.number)
        if action.what in RAW_ACTIONS:
            RawClient(self.world, self.number).run(action)
        else:
            self.connect()
            getattr(self.client, action.what)(action)
        self.come_back()

    def connect(self):
        if self.client is None or self.generation != self.world.generation:
            self.close()
            self.generation = self.world.generation
            self.client = GrpcClient(self.world, self.number)

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None

    def come_back(self):
        """Whom the server's end has met waits for the next one."""
        mine = [call for call in self.world.calls if call.client == self.number]
        if self.world.signal and self.world.generation == 0 and mine[-1].end in (
                "UNAVAILABLE", "gone", "unread"):
            self.close()
            self.world.await_restart(self.number, 0)


class Rounds:
    """Lives rounds, with a server that outlives some of them."""

    def __init__(self):
        self.repository = make_repository()
        self.solo = Solo(self.repository)
        self.server = None
        self.life = None
        self.seen = collections.Counter()

    def close(self):
        for server in (self.solo, self.server):
            if server is not None:
                server.close()
        shutil.rmtree(self.repository)

    def serve(self, seed):
        """A server with the flags of this seed: the one that is there, if it has them."""
        if self.life == life_of(seed) and self.server is not None:
            return
        self.retire()
        self.life = life_of(seed)
        self.server = ServerProcess(self.repository, flags_of(seed))

    def retire(self):
        if self.server is not None:
            server, self.server = self.server, None
            try:
                server.end()
            finally:
                server.close()

    def live(self, seed):
        """(what was broken, or None; the story)."""
        script = draw_round(seed)
        self.serve(seed)
        world = World(len(script.clients), self.server.addresses)
        clients = [Client(world, number, actions)
                   for number, actions in enumerate(script.clients)]
        try:
            for client in clients:
                client.thread.start()
            self.operate(script, world)
            self.join(clients)
            self.ask_honestly(script, world)
            self.check(world)
        except (Broken, ItNeverEnds, AssertionError, grpc.RpcError, OSError) as broken:
            log = world.old_log + self.server.process.log()[-LOG_TOLD:]
            self.server.close()
            self.server = None
            return f"{broken}", f"{tell(script, world)}\n  the server's log ends:\n{log}"
        self.count(script, world)
        return None, tell(script, world)

    @staticmethod
    def ask_honestly(script, world):
        """After all of it the server serves. Connections are accepted in their order, so those of
        the others are no longer on their way."""
        client = GrpcClient(world, len(script.clients))
        try:
            client.images(script.last)
        finally:
            client.close()

    def operate(self, script, world):
        for deed in script.deeds:
            world.await_count(deed.after)
            if deed.what == "swap":
                self.server.serve(deed.version)
                world.tell(f"operator: swap to version {deed.version}")
                continue
            world.signalled(deed.what)
            ended = self.server
            if deed.what == "term":
                ended.end()
            else:
                ended.kill()
            self.server = ServerProcess(self.repository, ended.flags)
            world.old_log = ended.new_log()
            ended.close()
            world.restarted(self.server.addresses)

    @staticmethod
    def join(clients):
        deadline = time.monotonic() + PATIENCE_SECONDS
        for client in clients:
            client.thread.join(max(0, deadline - time.monotonic()))
            if client.thread.is_alive():
                raise ItNeverEnds(f"every call ends: client {client.number} waits")
            if client.failure:
                raise Broken(client.failure)

    def check(self, world):
        settling = Settling(self.server)
        try:
            eventually(settling.over, "the server is at rest", PATIENCE_SECONDS)
        except AssertionError as error:
            raise Broken(f"all returns to nothing: {error}: {settling.left} "
                         f"{self.server.addresses} {self.server.sockets()}") from None
        for call in world.calls:
            try:
                check_call(call, world, self.server.flags)
            except Broken as broken:
                raise Broken(f"{broken}\n  of client {call.client}: {call.action.text()}") from None
        self.seen["images compared"] += check_images(world.calls, self.solo)
        if world.signal is None:
            world.grown = settling.readings.since(self.server.before)
            check_accounts(world.calls, world.grown)
        self.server.before = settling.readings
        self.server.check_memory()
        self.check_log(world)

    def check_log(self, world):
        """A line is written after its call was counted."""
        log = world.old_log
        owed = request_ids(world.calls, world)

        def all_there():
            nonlocal log
            log += self.server.new_log()
            return all(request_id in log for request_id in owed)
        try:
            eventually(all_there, "all lines are in the log", LOG_SECONDS)
        except AssertionError:
            pass  # The promise says which is missing.
        check_log(world.calls, log, world)

    def count(self, script, world):
        self.seen.update(f"a client does: {action.what} {action.detail}".rstrip()
                         for actions in script.clients for action in actions)
        self.seen.update(f"a call ends: {call.end}" for call in world.calls)
        self.seen.update(f"the operator does: {deed.what}" for deed in script.deeds)
        self.seen.update(f"state: {state}" for state in set(states(script, world, world.grown)))


def tell(script, world):
    with world.changed:
        lines = [f"    {count:4} {text}" for count, text in world.told]
    return "\n".join([script.text(), "  flags: " + " ".join(flags_of(script.seed)),
                      "  what happened:", *lines])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--first_seed", type=int, default=1)
    parser.add_argument("--counts", action="store_true", help="say what rounds did")
    options = parser.parse_args()
    if (options.seed is None) == (options.rounds is None):
        parser.error("a SEED or --rounds=N")
    first = options.seed if options.seed is not None else options.first_seed
    if first < 0:
        first = secrets.randbelow(1 << 31)
    seeds = range(first, first + (options.rounds or 1))
    began = time.monotonic()
    failed = []
    rounds = Rounds()
    try:
        for seed in seeds:
            broken, story = rounds.live(seed)
            if broken:
                failed.append(seed)
                print(f"seed {seed}: {broken}\n{story}", flush=True)
                break
            if options.seed is not None:
                print(story)
        rounds.retire()
    finally:
        rounds.close()
    seconds = time.monotonic() - began
    lived = seed - first + 1
    print(f"{lived} rounds from seed {first}: {len(failed)} broken, in {seconds:.1f} s "
          f"({lived / seconds * 60:.0f} a minute)")
    if options.counts:
        for what, count in sorted(rounds.seen.items()):
            print(f"{count:8} {what}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.stdout.flush()
    status = main()
    sys.stdout.flush()
    os._exit(status)  # Clients that hang are not waited for.
