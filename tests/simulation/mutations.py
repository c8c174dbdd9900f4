#!/usr/bin/env python3
"""Plants faults in copies of the sources, one at a time, and says which seed finds each.

  mutations.py --build build/dev [--seeds N] [NAME ...]

MUTATIONS is the table to read. The sources are left as they are: of each fault's file a changed copy
is compiled, and linked before the libraries, as compile_commands.json and ninja say how. Ends with 1
if a fault is not found, or does not fit the sources any more.
"""

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = "engine_simulation"


@dataclasses.dataclass(frozen=True)
class Mutation:
    name: str
    path: str
    old: str
    new: str


ENGINE = "server/engine/"
MUTATIONS = (
    # Who comes in.
    Mutation("the queue has one place more", ENGINE + "queue_places.cc",
             "if (held.all + count > limits_.places)", "if (held.all + count > limits_.places + 1)"),
    Mutation("the queue has one place less", ENGINE + "queue_places.cc",
             "if (held.all + count > limits_.places)", "if (held.all + count >= limits_.places)"),
    Mutation("an address leaves half as much", ENGINE + "queue_places.cc",
             "{Whose::kAddress, held.address, limits_.share}",
             "{Whose::kAddress, held.address / 2, limits_.share}"),
    Mutation("an address's images are counted twice", ENGINE + "queue_places.cc",
             "{Whose::kAddress, held.address, limits_.share}",
             "{Whose::kAddress, held.address * 2, limits_.share}"),
    Mutation("a tenant has its address's share", ENGINE + "queue_places.cc",
             "{Whose::kTenant, held.tenant, limits_.share}", "{Whose::kTenant, 0, limits_.share}"),
    Mutation("NORMAL is held to HIGH's share", ENGINE + "queue_places.cc",
             "priority == Priority::kHigh ? held.high : 0", "held.high"),
    Mutation("a drawn image keeps its place", ENGINE + "step_settlement.cc",
             "  places_.Release(generation->spec, 1);\n", "  if (false) places_.Release(generation->spec, 1);\n"),
    Mutation("requests come in while draining", ENGINE + "engine.cc",
             "    draining_ = true;\n  }\n", "  }\n"),
    Mutation("a drain ends all at once", ENGINE + "engine.cc",
             "  if (outbox_.AwaitAllEnded(deadline - options_.now())) return true;\n",
             "  if (outbox_.AwaitAllEnded(absl::ZeroDuration())) return true;\n"),
    # Who waits for work, and who wakes.
    Mutation("a request wakes no worker", ENGINE + "engine.cc",
             "    if (id.ok()) {\n      work_.SignalAll();\n    }\n", ""),
    Mutation("a step's end wakes no worker", ENGINE + "engine.cc",
             "effects.counts.device_failure = batch.model;\n    work_.SignalAll();\n",
             "effects.counts.device_failure = batch.model;\n"),
    Mutation("a lost worker's work wakes nobody", ENGINE + "engine.cc",
             "scheduler_->AbandonWorker(id, reason, options_.now(), effects);\n    work_.SignalAll();\n",
             "scheduler_->AbandonWorker(id, reason, options_.now(), effects);\n"),
    Mutation("a frame wakes no encoder", ENGINE + "outbox.cc",
             "    if (ScheduleFrames(*lane)) frame_waits_.Signal();\n", "    ScheduleFrames(*lane);\n"),
    Mutation("an end wakes nobody who tells it", ENGINE + "outbox.cc",
             "  notices_.push_back(&generation);\n  told_at_once_.Signal();\n",
             "  notices_.push_back(&generation);\n"),
    # What is chosen.
    Mutation("one image more may begin", ENGINE + "step_scheduler.cc",
             ".new_residents = model.resident_limit - model.resident}",
             ".new_residents = model.resident_limit - model.resident + 1}"),
    Mutation("a worker waits for the last resident's place", ENGINE + "step_scheduler.cc",
             ".new_residents = model.resident_limit - model.resident}",
             ".new_residents = model.resident_limit - model.resident - (model.resident > 0 ? 1 : 0)}"),
    Mutation("the lowered limit is told only", ENGINE + "step_scheduler.cc",
             ".new_residents = model.resident_limit - model.resident}",
             ".new_residents = limits_.max_resident_trajectories - model.resident}"),
    Mutation("an address leaves no resident's place", ENGINE + "step_policy.cc",
             "begun + 1 <= kBegunOfFree * (free - 1));", "begun < kBegunOfFree * 1000);"),
    Mutation("an image that began is not counted", ENGINE + "step_policy.cc",
             "      --left.new_residents;\n", ""),
    Mutation("guided rows count as one pass", ENGINE + "step_policy.cc",
             "    left.capacity -= trajectory.passes;\n", "    left.capacity -= 1;\n"),
    Mutation("what was ended is tried again", ENGINE + "step_scheduler.cc",
             "    if (trajectory->state == Trajectory::State::kWaiting) return trajectory;\n",
             "    return trajectory;\n"),
    Mutation("a late request is stepped", ENGINE + "engine.cc",
             "      scheduler_->ExpireDue(now, effects);\n", ""),
    # The rule.
    Mutation("nobody ages", ENGINE + "step_policy.cc",
             "    while (!ageing.empty() && ageing.begin()->first <= now) {",
             "    while (false && !ageing.empty() && ageing.begin()->first <= now) {"),
    Mutation("LOW goes before NORMAL", ENGINE + "step_policy.cc",
             "    Address* address = levels_[i].queue.Next(kinds);\n",
             "    if (i == 1 && levels_[2].queue.Next(kinds) != nullptr) continue;\n"
             "    Address* address = levels_[i].queue.Next(kinds);\n"),
    Mutation("HIGH has it all", ENGINE + "step_policy.cc",
             "    sides_.Serve(group.level == 0 ? high_ : others_, trajectory.passes);",
             "    sides_.Serve(others_, trajectory.passes);"),
    Mutation("tenants weigh the same", ENGINE + "step_policy.cc",
             "  if (found != options_.tenant_weights.end()) return found->second;\n", ""),
    Mutation("an address's turn costs it nothing", ENGINE + "step_policy.cc",
             "  level.queue.Serve(*group.address, trajectory.passes);\n", ""),
    Mutation("patience never ends", ENGINE + "step_policy.cc",
             "    group.key = group.admitted_batch + int64_t{options_.patience} *",
             "    group.key = int64_t{options_.patience} *"),
    Mutation("patience lasts three times as long", ENGINE + "step_policy.cc",
             "    group.key = group.admitted_batch + int64_t{options_.patience} *",
             "    group.key = group.admitted_batch + int64_t{3} * options_.patience *"),
    Mutation("alone, steps take as long as full batches", ENGINE + "step_admission.cc",
             "pace.StepOf(PassesAtOnce(trajectories)));\n  return layout",
             "pace.StepOf(pace.side_by_side));\n  return layout"),
    Mutation("deadlines that do not fit come in", ENGINE + "step_admission.cc",
             "  if (!model.policy->DeadlinesFit(asked, trajectories, now)) {",
             "  if (false && !model.policy->DeadlinesFit(asked, trajectories, now)) {"),
    Mutation("a deadline that can wait no step waits one", ENGINE + "step_policy.cc",
             "std::max(due, pace_.StepOf(passes_at_once()))", "due"),
    Mutation("the latest deadline goes first", ENGINE + "step_policy.cc",
             "if (earliest == nullptr || deadline < *earliest)",
             "if (earliest == nullptr || deadline > *earliest)"),
    # What comes back.
    Mutation("a late image counts", ENGINE + "step_settlement.cc",
             "  ExpireDue(now, effects);\n  Model&", "  Model&"),
    Mutation("a stale batch is taken", ENGINE + "worker_table.cc",
             "  if (found == workers_.end() || found->second.batch != batch.id) return false;\n",
             "  if (found == workers_.end()) return true;\n"),
    Mutation("a lost worker's rows are lost", ENGINE + "step_settlement.cc",
             "      SettleFailure(model, trajectory, reason, now, effects);\n", ""),
    Mutation("a place in the machine is freed twice", ENGINE + "step_settlement.cc",
             "    trajectory.resident = false;\n    --model.resident;\n",
             "    trajectory.resident = false;\n    model.resident -= 2;\n"),
    Mutation("a cancelled row keeps its place", ENGINE + "step_settlement.cc",
             "trajectory.generation->ended_batch + 1);\n  Drop(model, trajectory, effects);\n",
             "trajectory.generation->ended_batch + 1);\n"),
    Mutation("failures are never forgotten", ENGINE + "step_settlement.cc",
             "  trajectory.failed_attempts = 0;\n", ""),
    Mutation("two failures are enough", ENGINE + "step_settlement.cc",
             "kMaxStepAttempts = 3;", "kMaxStepAttempts = 2;"),
    Mutation("a failed step is passed over", ENGINE + "step_settlement.cc",
             "  if (++trajectory->failed_attempts < kMaxStepAttempts) {\n",
             "  if (++trajectory->failed_attempts < kMaxStepAttempts) {\n"
             "    if (!trajectory->on_last_row()) ++trajectory->next_row;\n"),
    Mutation("no memory: nobody may begin", ENGINE + "step_settlement.cc",
             "std::max({1, most / 2, micro_batch})", "most / 2"),
    Mutation("a bad row goes on", ENGINE + "step_settlement.cc",
             "  if (!task.status.ok()) {\n", "  if (!task.status.ok() && last) {\n"),
    # What is told.
    Mutation("a preview beside the image", ENGINE + "step_settlement.cc",
             "return every > 0 && !trajectory.on_last_row() &&", "return every > 0 &&"),
    Mutation("an older preview stays", ENGINE + "outbox.cc",
             "    std::swap(*older, preview);\n", ""),
    Mutation("one preview more may wait", ENGINE + "outbox.cc",
             "if (waiting_previews_ >= options_.max_waiting_previews)",
             "if (waiting_previews_ > options_.max_waiting_previews)"),
    Mutation("previews that were told are still counted", ENGINE + "outbox.cc",
             "    if (preview != nullptr) --waiting_previews_;\n", ""),
    Mutation("a frame does not wait for its progress", ENGINE + "outbox.cc",
             "  if (!lane.frames.empty() && !lane.at_once) {", "  if (!lane.frames.empty()) {"),
    Mutation("the end does not wait for frames", ENGINE + "outbox.cc",
             "  if (generation.turns == 0) Notice(generation);\n", "  generation.turns = 0;\n  Notice(generation);\n"),
    Mutation("an end drops images that are done", ENGINE + "outbox.cc",
             "            return preview != nullptr;\n", "            return true;\n"),
    Mutation("lost previews are not counted", ENGINE + "outbox.cc",
             "    std::swap(*older, preview);\n    dropped_.push_back(std::move(preview.frame));\n"
             "    ++generation.previews_dropped;\n",
             "    std::swap(*older, preview);\n    dropped_.push_back(std::move(preview.frame));\n"),
    Mutation("a newer preview goes to the client out of turn", "server/rpc/event_queue.cc",
             "      next = waiting->second;\n", ""),
    Mutation("the client is told of the end before its images", "server/rpc/generation_run.cc",
             "      events_.Push(StreamEvent::FinalImage{image_index, *std::move(encoded)});\n", ""),
    # Versions.
    Mutation("a swap goes back to the older version", "server/versions/version_policy.cc",
             "    if (serving == nullptr || *number >= serving->number) newest_first.push_back(*number);",
             "    if (serving == nullptr || *number <= serving->number) newest_first.push_back(*number);"),
    Mutation("a pin does not bind", "server/versions/version_policy.cc",
             "  if (model.pinned->has_value()) return {**model.pinned};\n", ""),
    Mutation("the version that serves is let go", "server/versions/version_policy.cc",
             "    if (&*loaded == &chosen || !is_kept) continue;\n",
             "    if (!is_kept) continue;\n"),
    Mutation("a model that goes takes the batches in hand along", ENGINE + "step_scheduler.cc",
             "  if (found->second.batches_in_hand == 0) models_.erase(found);\n}",
             "  models_.erase(found);\n}"),
    Mutation("a worker is not told of a new model", "server/worker/device_worker.cc",
             "  state_->engine->AddModel(state_->id, std::move(capacity));\n", ""),
    # Workers.
    Mutation("a device is built again at once", "server/worker/worker_supervisor.cc",
             "    if (options_.now() < slot.retry_at) return;\n", ""),
    Mutation("a device may hang for ever", "server/worker/worker_supervisor.cc",
             "slot.worker != nullptr || slot.hangs >= options_.max_hangs)", "slot.worker != nullptr)"),
    Mutation("a failed worker is not taken out", "server/worker/worker_supervisor.cc",
             "    if (slots_[index].worker == nullptr || slots_[index].failure.ok()) return;\n",
             "    if (slots_[index].worker == nullptr || !slots_[index].failure.ok()) return;\n"),
    Mutation("hangs are not looked for", "server/worker/worker_supervisor.cc",
             "    TakeOutHung(i);\n", ""),
)


class Builder:
    """Links the program with one source changed."""

    def __init__(self, build, scratch, target=TARGET):
        self.target = target
        self.build = os.path.abspath(build)
        self.scratch = scratch
        with open(os.path.join(self.build, "compile_commands.json"), encoding="utf-8") as file:
            self.commands = {os.path.relpath(e["file"], ROOT): e for e in json.load(file)}
        lines = subprocess.run(["ninja", "-C", self.build, "-t", "commands", target], check=True,
                               capture_output=True, text=True).stdout.splitlines()
        self.link = [line for line in lines if f"-o bin/{target} " in line][-1]

    def program(self, mutation):
        """The changed program's path; None: the mutation does not fit."""
        with open(os.path.join(ROOT, mutation.path), encoding="utf-8") as file:
            text = file.read()
        if text.count(mutation.old) < 1 or mutation.old == mutation.new:
            return None
        source = os.path.join(self.scratch, os.path.basename(mutation.path))
        with open(source, "w", encoding="utf-8") as file:
            file.write(text.replace(mutation.old, mutation.new, 1))
        entry = self.commands[mutation.path]
        made = os.path.join(self.scratch, "mutated.o")
        command = re.sub(r" -o \S+ -c \S+", f" -o {made} -c {source} -w", entry["command"])
        subprocess.run(command, shell=True, cwd=entry["directory"], check=True)
        program = os.path.join(self.scratch, self.target)
        link = self.link.replace(f"-o bin/{self.target} ", f"-o {program} {made} ")
        subprocess.run(link, shell=True, cwd=self.build, check=True)
        return program


def found_by(program, seeds, timeout):
    """(seed, what it said), or None."""
    try:
        run = subprocess.run([program, f"--seeds={seeds}"], capture_output=True, text=True,
                             timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return "-", "it never ends"
    for line in run.stdout.splitlines():
        match = re.match(r"seed (\d+): (.*)", line)
        if match:
            return match.group(1), match.group(2)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/dev")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one fault")
    parser.add_argument("names", nargs="*", help="only faults whose names contain one of these")
    options = parser.parse_args()
    missed = 0
    print("| planted fault | seed | promise that it breaks |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        builder = Builder(options.build, scratch)
        for mutation in MUTATIONS:
            if options.names and not any(name in mutation.name for name in options.names):
                continue
            program = builder.program(mutation)
            found = None if program is None else found_by(program, options.seeds, options.timeout)
            missed += found is None
            seed, what = found or ("-", "DOES NOT FIT" if program is None else "NOT FOUND")
            print(f"| {mutation.name} | {seed} | {what.split(':')[0]} |", flush=True)
    print(f"\n{missed} not found", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
