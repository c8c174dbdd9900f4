#include "model/checkpoint/foreign_files.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/files/file_status.h"
#include "model/process/quoted_value.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShownNames = 8;
// A folder of a million images shall not be read for a message.
constexpr int kMostEntries = 1000;

constexpr char kConvert[] =
    "; such a file says nothing of the network: convert it with diffusers' from_single_file and "
    "save_pretrained";

// Sorted, as many as are looked at; nullopt: it cannot be listed.
std::optional<std::vector<std::string>> Names(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  if (error) return std::nullopt;
  for (int i = 0; i < kMostEntries && entries != fs::directory_iterator(); ++i) {
    names.push_back(entries->path().filename());
    entries.increment(error);
    if (error) break;
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string ListOf(const std::vector<std::string>& names) {
  if (names.empty()) return "; it is empty";
  std::string list = "; it holds ";
  for (size_t i = 0; i < std::min(names.size(), kShownNames); ++i) {
    absl::StrAppend(&list, i == 0 ? "" : ", ", Quoted(names[i]));
  }
  if (names.size() > kShownNames) absl::StrAppend(&list, " and more");
  return list;
}

bool IsSingleFile(absl::string_view name) {
  for (const absl::string_view ending : {".ckpt", ".safetensors", ".pt", ".pth", ".bin", ".onnx"}) {
    if (absl::EndsWith(name, ending)) return true;
  }
  return false;
}

bool IsCheckpoint(const fs::path& directory) {
  std::error_code error;
  return fs::exists(directory / kNestedUNetConfig, error) ||
         fs::exists(directory / kFlatUNetConfig, error);
}

}  // namespace

std::string WhatLiesIn(const fs::path& directory) {
  const std::optional<std::vector<std::string>> names = Names(directory);
  if (!names.has_value()) return "";
  for (const std::string& name : *names) {
    if (IsCheckpoint(directory / name)) {
      return absl::StrCat("; its folder ", Quoted(name), " is one: name that");
    }
  }
  const auto single = std::find_if(names->begin(), names->end(), IsSingleFile);
  if (single != names->end()) return absl::StrCat("; it holds ", Quoted(*single), kConvert);
  return ListOf(*names);
}

std::string WhatWeightsLieIn(const fs::path& folder) {
  const std::optional<std::vector<std::string>> names = Names(folder);
  if (!names.has_value()) return "";
  for (const std::string& name : *names) {
    if (absl::StrContains(name, "-of-") || absl::EndsWith(name, ".index.json")) {
      return absl::StrCat("; it holds ", Quoted(name),
                          ", weights in pieces: save them in one, with diffusers' "
                          "save_pretrained(max_shard_size=\"100GB\")");
    }
  }
  for (const std::string& name : *names) {
    const bool safe = absl::EndsWith(name, ".safetensors");
    if ((!safe && !absl::EndsWith(name, ".bin")) ||
        !absl::StartsWith(name, "diffusion_pytorch_model.")) {
      continue;
    }
    return absl::StrCat("; it holds the variant ", Quoted(name), ": copy it to ",
                        safe ? kSafetensorsName : kPickledName, " to have it read");
  }
  return ListOf(*names);
}

absl::Status CheckIsBinary(absl::string_view text) {
  if (absl::StartsWith(text, "version https://git-lfs")) {
    return absl::DataLossError(
        "is Git LFS's pointer to the weights, not the weights: fetch them by `git lfs pull`");
  }
  if (absl::StartsWith(text, "<!DOCTYPE") || absl::StartsWith(text, "<html")) {
    return absl::DataLossError("is a page of HTML, not weights: the download went wrong");
  }
  return absl::OkStatus();
}

absl::Status NoDirectory(const fs::path& path, int error) {
  if (error != ENOTDIR) return ErrnoInFile(path, "cannot open checkpoint", error);
  return InFile(path, absl::NotFoundError(absl::StrCat(
                          "is a file; a checkpoint is a directory as of diffusers' save_pretrained",
                          IsSingleFile(path.string()) ? kConvert : "")));
}

}  // namespace diffusiond
