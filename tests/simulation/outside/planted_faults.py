#!/usr/bin/env python3
"""Plants faults in the server, one at a time, and says after how many rounds each is found.

  planted_faults.py --build build/dev [--rounds N] [--first_seed K] [NAME ...]

As ../mutations.py, whose way to build it takes. Needs the targets diffusiond and e2e_python_stubs.
Ends with 1 if a fault is not found, or does not fit the sources any more."""

import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from mutations import ROOT, Builder, Mutation  # noqa: E402

RPC = "server/rpc/"
FAULTS = (
    # What is told.
    Mutation("a preview is told after its image", RPC + "event_queue.cc",
             "  events_.push_back(Waiting{{std::move(what)}, slot});\n",
             "  if (events_.size() > 0 && !slot.has_value()) {\n"
             "    events_.push_front(Waiting{{std::move(what)}, slot});\n    return;\n  }\n"
             "  events_.push_back(Waiting{{std::move(what)}, slot});\n"),
    Mutation("a slow reader loses images", RPC + "event_queue.cc",
             "  Append(std::move(image), std::nullopt);\n",
             "  Place({-1, PreviewContent::kNone}, std::move(image));\n"),
    Mutation("an image depends on others of its batch", "server/worker/plan_step_executor.cc",
             ".label = spec.class_id.value_or(null_label_),",
             ".label = tasks[0].spec->class_id.value_or(null_label_),"),
    Mutation("the receipt names the version that serves by now", RPC + "stream_messages.cc",
             "  receipt.set_model_digest(model.digest);\n",
             "  static std::string* const first = new std::string(model.digest);\n"
             "  receipt.set_model_digest(*first);\n"),
    Mutation("a version that is asked for is not looked for", RPC + "requested_model.cc",
             "catalog.Find(name, digest);", "catalog.Find(name, \"\");"),
    # Who goes away.
    Mutation("a request goes on when its client is gone", RPC + "generate_reactor.cc",
             "  const absl::Status reason = Gone();\n  CancelGeneration(reason);\n",
             "  const absl::Status reason = Gone();\n"),
    Mutation("a dropped connection leaves a descriptor", "server/connections/listener.cc",
             "    take_(descriptor);\n",
             "    [[maybe_unused]] const int left = dup(descriptor);\n    take_(descriptor);\n"),
    Mutation("every twentieth connection leaves an event's descriptor",
             "server/connections/listener.cc",
             "    take_(descriptor);\n",
             "    static int taken = 0;\n    if (++taken % 20 == 0) eventfd(0, 0);\n"
             "    take_(descriptor);\n"),
    Mutation("a cancelled call keeps 2 MiB", RPC + "generate_reactor.cc",
             "void GenerateReactor::OnCancel() {\n",
             "void GenerateReactor::OnCancel() {\n"
             "  static auto* const kept = new std::vector<std::string>;\n"
             "  kept->emplace_back(2 << 20, 'x');\n"),
    Mutation("an answer that nobody takes is not ended", RPC + "generate_reactor.cc",
             "  if (done_ || !(writing_ || finished_) || write_started_ > limit) return;\n",
             "  if (limit < absl::InfiniteFuture()) return;\n"),
    Mutation("half a request of metrics keeps its connection", "model/http/http_connection.cc",
             "  if (exchange_ == nullptr || !exchange_->whole()) Close(HttpEnd::kClient);\n",
             "  if (exchange_ != nullptr && !exchange_->whole()) Close(HttpEnd::kClient);\n"),
    # What is counted.
    Mutation("a cancelled call is not counted", "server/metrics/server_metrics.cc",
             "  requests_.Add({{\"method\", method}, {\"code\", code}}).Increment();\n",
             "  if (code != \"CANCELLED\") {\n"
             "    requests_.Add({{\"method\", method}, {\"code\", code}}).Increment();\n  }\n"),
    Mutation("a call that fails is in flight for ever", "server/metrics/server_metrics.cc",
             "  requests_in_flight_.Add({{\"method\", method}}).Decrement();\n",
             "  if (code != \"NOT_FOUND\") "
             "requests_in_flight_.Add({{\"method\", method}}).Decrement();\n"),
    Mutation("images of one answer are counted once", RPC + "generate_images_reactor.cc",
             "image.data().size());\n", "image.data().size());\n        break;\n"),
    Mutation("lost previews are not counted", RPC + "generate_reactor.cc",
             "  context_->metrics->OnPreviewsDropped(count);\n", ""),
    Mutation("a refusal is not counted", "server/engine/engine.cc",
             "    options_.metrics->OnRefused(id.status());\n", "    return id;\n"),
    Mutation("a request that did not come is called wrong", RPC + "submission.cc",
             "  if (!bytes.Valid()) return absl::CancelledError",
             "  if (false) return absl::CancelledError"),
    Mutation("a call that was admitted has no line", RPC + "call_scope.cc",
             "  if (status.ok() || accepted_) {\n", "  if (status.ok()) {\n"),
    # What is answered.
    Mutation("a refusal does not say when to come back", RPC + "status_mapping.cc",
             "    rpc->AddTrailingMetadata(",
             "    if (delay < absl::ZeroDuration()) rpc->AddTrailingMetadata("),
    Mutation("one wrong field is named", RPC + "field_violations.cc",
             "  google::rpc::BadRequest::FieldViolation* violation",
             "  if (!empty()) return;\n  google::rpc::BadRequest::FieldViolation* violation"),
    # The end.
    Mutation("SIGTERM drops what runs", RPC + "server.cc",
             "  const bool generated = engine_->Drain(deadline);\n",
             "  const bool generated = engine_->Drain(options_.now());\n"),
)


def found_by(program, build, options):
    """(seed, what it said), or None."""
    scratch = os.path.dirname(program)
    environment = os.environ | {
        "PYTHONDONTWRITEBYTECODE": "1", "DIFFUSIOND_BIN_DIR": scratch,
        "DIFFUSIOND_SOURCE_DIR": ROOT, "OUTSIDE_PATIENCE_SECONDS": "15",
        "PYTHONPATH": f"{ROOT}/tests/e2e:{build}/tests/e2e"}
    run = subprocess.run(
        [sys.executable, os.path.join(HERE, "outside_simulation.py"),
         f"--rounds={options.rounds}", f"--first_seed={options.first_seed}"],
        capture_output=True, text=True, env=environment, check=False)
    if run.returncode == 0:
        return None
    found = re.search(r"^seed (\d+): (.*)", run.stdout, re.MULTILINE)
    return found.groups() if found else ("-", (run.stdout + run.stderr)[-300:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/dev")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--first_seed", type=int, default=1)
    parser.add_argument("names", nargs="*", help="only faults whose names contain one of these")
    options = parser.parse_args()
    missed = 0
    print("| planted fault | rounds | promise that it breaks |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        builder = Builder(options.build, scratch, "diffusiond")
        for fault in FAULTS:
            if options.names and not any(name in fault.name for name in options.names):
                continue
            program = builder.program(fault)
            found = program and found_by(program, os.path.abspath(options.build), options)
            missed += not found
            if found:
                seed, what = found
                rounds = int(seed) - options.first_seed + 1 if seed != "-" else "-"
                print(f"| {fault.name} | {rounds} | {what.split(':')[0]} |", flush=True)
            else:
                print(f"| {fault.name} | - | {'NOT FOUND' if program else 'DOES NOT FIT'} |",
                      flush=True)
    print(f"\n{missed} not found", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
