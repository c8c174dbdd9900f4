// diffusion-publish: puts a checkpoint into a repository as a model's next version, and says which
// version servers are to serve.
//
// Exit status: 0, 1 when it failed, 2 for a wrong command line.
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/model_versions.h"
#include "model/checkpoint/publish_version.h"
#include "model/config/step_memory.h"
#include "model/process/flag_check.h"
#include "model/process/printable_text.h"
#include "model/process/standard_streams.h"
#include "model/status/status_macros.h"
#include "model/unet/servable.h"

ABSL_FLAG(std::string, publish_to, "", "the servers' --model_repository; made if it is not there");
ABSL_FLAG(std::string, publish_name, "",
          "the model's name; by default that of the checkpoint's directory, or of the one above if "
          "that is \"checkpoint\"");
ABSL_FLAG(int, keep_published_versions, diffusiond::kDefaultPublishedVersions,
          "versions that stay on disk, the newest so many and the pinned one; 0: all, else 2 or "
          "more");
ABSL_FLAG(
    int64_t, max_model_memory, 0,
    "bytes that the model's weights and one step of it may take, as of diffusiond; 0: half of "
    "this machine's memory, or of the control group's limit");
ABSL_FLAG(std::optional<int>, pin, std::nullopt,
          "publish nothing; have servers serve this version, also after a restart");
ABSL_FLAG(bool, unpin, false, "publish nothing; have servers follow the newest version again");
ABSL_FLAG(bool, list, false, "publish nothing; list the model's versions");

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

absl::Status Publish(const std::string& checkpoint, const std::string& name) {
  PublishOptions options;
  options.name = name;
  options.keep = absl::GetFlag(FLAGS_keep_published_versions);
  const int64_t max_model_memory = absl::GetFlag(FLAGS_max_model_memory);
  RETURN_IF_ERROR(CheckMaxModelMemory(max_model_memory));
  options.judge = [max_model_memory](const Checkpoint& source) {
    return CheckServable(source, max_model_memory);
  };
  RETURN_IF_ERROR(CheckPublishOptions(options));
  const absl::StatusOr<PublishedVersion> published =
      PublishVersion(absl::GetFlag(FLAGS_publish_to), checkpoint, options);
  if (published.ok()) std::printf("%s", Describe(*published).c_str());
  // What is wrong with a checkpoint is not wrong with the command line.
  if (absl::IsInvalidArgument(published.status())) {
    return absl::FailedPreconditionError(published.status().message());
  }
  return published.status();
}

absl::Status List(const fs::path& directory) {
  ASSIGN_OR_RETURN(const VersionFolders folders, ListVersionFolders(directory));
  ASSIGN_OR_RETURN(const std::optional<int> pinned, ReadPinnedVersion(directory));
  for (const auto& [version, names] : folders.versions) {
    for (const std::string& name : names) {
      const auto record = ReadVersionRecord(directory / name);
      const bool known = record.ok() && record->has_value();
      std::printf("%s digest=%s published=%s%s\n", name.c_str(),
                  known ? (*record)->digest.c_str() : "unknown",
                  known ? Printable((*record)->published).c_str() : "unknown",
                  version == pinned ? " pinned" : "");
    }
  }
  if (!folders.others.empty()) {
    std::fprintf(stderr, "diffusion-publish: %s\n", NoVersions(folders.others).c_str());
  }
  return absl::OkStatus();
}

// The name of ".../mine/checkpoint" and of ".../mine" is "mine".
std::string NameOf(const fs::path& checkpoint) {
  fs::path path = fs::absolute(checkpoint).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path.filename() == "checkpoint") path = path.parent_path();
  return path.filename().string();
}

absl::Status Main(const std::vector<char*>& arguments) {
  if (absl::GetFlag(FLAGS_publish_to).empty()) {
    return absl::InvalidArgumentError("--publish_to is required");
  }
  const int pin = absl::GetFlag(FLAGS_pin).value_or(0);
  const bool unpin = absl::GetFlag(FLAGS_unpin), list = absl::GetFlag(FLAGS_list);
  const size_t checkpoints = arguments.size() - 1;
  if (absl::GetFlag(FLAGS_pin).has_value() && (pin < 1 || pin > kMaxModelVersion)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--pin is ", pin, ", expected a version: 1 .. ", kMaxModelVersion));
  }
  if (checkpoints + (pin != 0) + unpin + list != 1) {
    return absl::InvalidArgumentError(
        "give one checkpoint's directory, or one of --pin, --unpin, "
        "--list");
  }
  std::string name = absl::GetFlag(FLAGS_publish_name);
  if (checkpoints == 1) {
    return Publish(arguments[1], name.empty() ? NameOf(arguments[1]) : name);
  }
  if (name.empty()) return absl::InvalidArgumentError("--publish_name is required");
  RETURN_IF_ERROR(CheckModelName(name));
  const fs::path directory = fs::path(absl::GetFlag(FLAGS_publish_to)) / name;
  if (list) return List(directory);
  RETURN_IF_ERROR(unpin ? UnpinVersion(directory) : PinVersion(directory, pin));
  std::printf(
      "%s %s\n", name.c_str(),
      unpin ? "follows the newest version" : absl::StrCat("is pinned to version ", pin).c_str());
  return absl::OkStatus();
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::OpenStandardStreams();
  absl::SetProgramUsageMessage(
      "puts a checkpoint into a repository as a model's next version.\n"
      "  diffusion-publish runs/mine/checkpoint --publish_to=models\n"
      "  diffusion-publish --publish_to=models --publish_name=mine --pin=3");
  const absl::Status status =
      diffusiond::Main(diffusiond::ParseCommandLineOrExit("diffusion-publish", argc, argv));
  if (status.ok()) return diffusiond::FinishStandardOutput("diffusion-publish", 0);
  std::cerr << "diffusion-publish: " << diffusiond::Printable(status.message()) << "\n";
  return absl::IsInvalidArgument(status) ? 2 : 1;
}
