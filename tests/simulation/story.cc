#include "tests/simulation/story.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace diffusiond {
namespace {

using Change = World::Change;
using Fault = World::Fault;
using Model = World::Model;
using Request = World::Request;

template <typename E>
struct Names;
template <>
struct Names<Priority> {
  static constexpr const char* kAll[] = {"high", "normal", "low"};
};
template <>
struct Names<PreviewContent> {
  static constexpr const char* kAll[] = {"none", "x_t", "x0_hat", "both"};
};
template <>
struct Names<Fault::Kind> {
  static constexpr const char* kAll[] = {"fails", "throws", "no_memory",
                                         "slow",  "leaves", "unbuilt"};
};
template <>
struct Names<Change::Kind> {
  static constexpr const char* kAll[] = {
      "publish", "publish_broken", "mend", "roll_back", "hold", "let_go", "pin", "unpin", "look"};
};

// All that a line can say, in order.
template <typename Visit>
void Fields(Visit visit, Model& it) {
  visit("micro_batch", it.micro_batch);
  visit("capacity", it.capacity);
  visit("step", it.step);
  visit("pass", it.pass);
  visit("keep", it.keep);
}
template <typename Visit>
void Fields(Visit visit, Request& it) {
  visit("at", it.at);
  visit("model", it.model);
  visit("address", it.address);
  visit("tenant", it.tenant);
  visit("priority", it.priority);
  visit("count", it.count);
  visit("steps", it.steps);
  visit("rows_a_step", it.rows_a_step);
  visit("guided", it.guided);
  visit("guided_from", it.guided_from);
  visit("guided_to", it.guided_to);
  visit("preview_every", it.preview_every);
  visit("preview", it.preview);
  visit("deadline", it.deadline);
  visit("retries", it.retries);
  visit("encode", it.encode);
  visit("read", it.read);
  visit("cancel", it.cancel);
  visit("bad_row", it.bad_row);
  visit("bad_encoding", it.bad_encoding);
}
template <typename Visit>
void Fields(Visit visit, Fault& it) {
  visit("device", it.device);
  visit("at", it.at);
  visit("kind", it.kind);
  visit("longer", it.longer);
}
template <typename Visit>
void Fields(Visit visit, Change& it) {
  visit("at", it.at);
  visit("model", it.model);
  visit("kind", it.kind);
  visit("version", it.version);
}
template <typename Visit>
void Fields(Visit visit, World& it) {
  visit("seed", it.seed);
  visit("preempt", it.preempt);
  visit("spurious", it.spurious);
  visit("devices", it.devices);
  visit("lone_workers", it.lone_workers);
  visit("max_trajectories", it.max_trajectories);
  visit("max_resident", it.max_resident);
  visit("queue_share", it.queue_share);
  visit("high_share", it.high_share);
  visit("frame_threads", it.frame_threads);
  visit("max_waiting_previews", it.max_waiting_previews);
  visit("ageing", it.ageing);
  visit("patience", it.patience);
  visit("weights", it.weights);
  visit("watchdog", it.watchdog);
  visit("first_backoff", it.first_backoff);
  visit("longest_backoff", it.longest_backoff);
  visit("max_hangs", it.max_hangs);
  visit("drain", it.drain);
  visit("drain_patience", it.drain_patience);
}

std::string Text(int value) { return absl::StrCat(value); }
std::string Text(uint64_t value) { return absl::StrCat(value); }
std::string Text(double value) { return absl::StrFormat("%.17g", value); }
std::string Text(absl::Duration value) { return absl::FormatDuration(value); }
std::string Text(const std::map<int, double>& value) {
  return absl::StrJoin(value, ",", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.first, ":", Text(entry.second));
  });
}
template <typename E>
requires std::is_enum_v<E> std::string Text(E value) {
  return Names<E>::kAll[static_cast<size_t>(value)];
}

bool Read(absl::string_view text, int& value) { return absl::SimpleAtoi(text, &value); }
bool Read(absl::string_view text, uint64_t& value) { return absl::SimpleAtoi(text, &value); }
bool Read(absl::string_view text, double& value) { return absl::SimpleAtod(text, &value); }
bool Read(absl::string_view text, absl::Duration& value) {
  return absl::ParseDuration(text, &value);
}
bool Read(absl::string_view text, std::map<int, double>& value) {
  for (const absl::string_view entry : absl::StrSplit(text, ',')) {
    const std::vector<std::string> pair = absl::StrSplit(entry, ':');
    int key = 0;
    if (pair.size() != 2 || !Read(pair[0], key) || !Read(pair[1], value[key])) return false;
  }
  return true;
}
template <typename E>
requires std::is_enum_v<E>
bool Read(absl::string_view text, E& value) {
  const auto* const found = std::find(std::begin(Names<E>::kAll), std::end(Names<E>::kAll), text);
  value = static_cast<E>(found - std::begin(Names<E>::kAll));
  return found != std::end(Names<E>::kAll);
}

template <typename Thing>
void Append(std::string& story, const char* word, const Thing& thing) {
  Thing usual, copy = thing;
  std::vector<std::string> usual_texts;
  Fields([&](const char*, auto& value) { usual_texts.push_back(Text(value)); }, usual);
  story += word;
  size_t i = 0;
  Fields(
      [&](const char* name, auto& value) {
        const std::string text = Text(value);
        if (text != usual_texts[i++]) absl::StrAppend(&story, " ", name, "=", text);
      },
      copy);
  story += "\n";
}

template <typename Thing>
absl::Status ReadLine(const std::vector<absl::string_view>& words, Thing& thing) {
  for (size_t i = 1; i < words.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> word =
        absl::StrSplit(words[i], absl::MaxSplits('=', 1));
    bool is_read = false;
    Fields(
        [&](const char* name, auto& value) {
          if (word.first == name) is_read = Read(word.second, value);
        },
        thing);
    if (!is_read) return absl::InvalidArgumentError(absl::StrCat("story: ", words[i]));
  }
  return absl::OkStatus();
}

}  // namespace

std::string Story(const World& world) {
  std::string story;
  Append(story, "world", world);
  for (const Model& model : world.models) Append(story, "model", model);
  for (const Request& request : world.requests) Append(story, "request", request);
  for (const Fault& fault : world.faults) Append(story, "fault", fault);
  for (const Change& change : world.changes) Append(story, "change", change);
  return story;
}

absl::StatusOr<World> ParseStory(absl::string_view story) {
  World world;
  for (const absl::string_view line : absl::StrSplit(story, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.empty() || words[0][0] == '#') continue;
    absl::Status status = absl::InvalidArgumentError(absl::StrCat("story: ", line));
    if (words[0] == "world") status = ReadLine(words, world);
    if (words[0] == "model") status = ReadLine(words, world.models.emplace_back());
    if (words[0] == "request") status = ReadLine(words, world.requests.emplace_back());
    if (words[0] == "fault") status = ReadLine(words, world.faults.emplace_back());
    if (words[0] == "change") status = ReadLine(words, world.changes.emplace_back());
    if (!status.ok()) return status;
  }
  return world;
}

}  // namespace diffusiond
