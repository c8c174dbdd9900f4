#include "model/checkpoint/diffusers_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/attention_names.h"
#include "model/checkpoint/checkpoint_digest.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/file_status.h"
#include "model/checkpoint/model_index_json.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/checkpoint/torch_pickle.h"
#include "model/checkpoint/unet_config_json.h"

namespace diffusiond {
namespace {

// Times to start over when the directory was replaced while it was being read.
constexpr int kMaxAttempts = 16;

// The files of one directory, found through its descriptor rather than its path.
class Directory {
 public:
  Directory(int fd, const std::filesystem::path& path) : fd_(fd), path_(path) {}

  bool Has(const std::string& name) const {
    struct stat info;
    return fstatat(fd_, name.c_str(), &info, 0) == 0;
  }

  absl::StatusOr<MappedFile> Open(const std::string& name) const {
    return MappedFile::OpenAt(fd_, name, path_ / name);
  }

  template <typename T>
  absl::Status Parse(const std::string& name, absl::StatusOr<T> (*parse)(absl::string_view),
                     T* value) const {
    absl::StatusOr<MappedFile> file = Open(name);
    if (!file.ok()) return file.status();
    absl::StatusOr<T> parsed = parse(file->text());
    if (!parsed.ok()) return InFile(path_ / name, parsed.status());
    *value = *std::move(parsed);
    return absl::OkStatus();
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  int fd_;
  const std::filesystem::path& path_;
};

struct Layout {
  std::string unet_config;
  std::string scheduler_config;
  std::string weights;
  bool weights_are_pickled = false;
};

absl::StatusOr<Layout> FindLayout(const Directory& directory) {
  const bool nested = directory.Has(kNestedUNetConfig);
  if (!nested && !directory.Has(kFlatUNetConfig)) {
    return InFile(directory.path(),
                  absl::NotFoundError(absl::StrCat("not a checkpoint: has neither ",
                                                   kNestedUNetConfig, " nor ", kFlatUNetConfig)));
  }
  const std::string unet = nested ? absl::StrCat(kUNetDirectory, "/") : "";
  Layout layout;
  layout.unet_config = nested ? kNestedUNetConfig : kFlatUNetConfig;
  layout.scheduler_config = nested ? kNestedSchedulerConfig : kSchedulerConfigName;
  layout.weights = unet + kSafetensorsName;
  if (directory.Has(layout.weights)) return layout;
  layout.weights = unet + kPickledName;
  layout.weights_are_pickled = true;
  if (directory.Has(layout.weights)) return layout;
  return InFile(directory.path(),
                absl::NotFoundError(absl::StrCat("has no weights: neither ", unet, kSafetensorsName,
                                                 " nor ", unet, kPickledName)));
}

absl::StatusOr<CheckpointConfig> ReadConfig(const Directory& directory, const Layout& layout) {
  CheckpointConfig config;
  ModelIndex index;
  absl::Status status = directory.Parse(kModelIndexName, ParseModelIndex, &index);
  if (!status.ok()) return status;
  status = directory.Parse(layout.unet_config, ParseUNetConfig, &config.unet);
  if (!status.ok()) return status;
  status = directory.Parse(layout.scheduler_config, ParseSchedulerConfig, &config.scheduler);
  if (!status.ok()) return status;
  if (directory.Has(kGenerationConfigName)) {
    status = directory.Parse(kGenerationConfigName, ParseGenerationDefaults,
                             &config.generation.emplace());
    if (!status.ok()) return status;
  }
  config.class_names = std::move(index.class_names);
  config.null_class_id = index.null_class_id;
  const int64_t names = static_cast<int64_t>(config.class_names.size());
  if (!config.null_class_id && names > 0 && config.unet.num_class_embeds == names + 1) {
    config.null_class_id = static_cast<int>(names);
  }
  status = Validate(config);
  if (!status.ok()) return InFile(directory.path(), status);
  return config;
}

bool SameDirectory(int fd, const std::filesystem::path& path) {
  struct stat opened, current;
  return fstat(fd, &opened) == 0 && stat(path.c_str(), &current) == 0 &&
         opened.st_dev == current.st_dev && opened.st_ino == current.st_ino;
}

}  // namespace

absl::Status Validate(const CheckpointConfig& config) {
  absl::Status status = Validate(config.unet);
  status.Update(Validate(config.scheduler));
  if (config.generation) status.Update(Validate(*config.generation));
  if (!status.ok()) return status;

  const int64_t names = static_cast<int64_t>(config.class_names.size());
  const int64_t classes = config.unet.num_class_embeds.value_or(0);
  if (names > classes) {
    return absl::InvalidArgumentError(
        absl::StrCat("id2label names ", names, " classes, num_class_embeds allows ", classes));
  }
  if (config.null_class_id && (*config.null_class_id < 0 || *config.null_class_id >= classes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("null_class_id is ", *config.null_class_id,
                     ", expected 0 or more and less than num_class_embeds = ", classes));
  }
  if (!config.null_class_id && names > 0 && names + 1 == classes) {
    return absl::InvalidArgumentError(
        absl::StrCat("null_class_id is not set, expected ", names,
                     ": num_class_embeds is one more than the class names"));
  }
  return absl::OkStatus();
}

Checkpoint::Checkpoint(CheckpointConfig config, std::filesystem::path weights_path,
                       MappedFile weights, TensorMap tensors, std::string digest)
    : config_(std::move(config)),
      weights_path_(std::move(weights_path)),
      weights_(std::move(weights)),
      tensors_(std::move(tensors)),
      digest_(std::move(digest)) {}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::filesystem::path& directory) {
  for (int attempt = 1;; ++attempt) {
    const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ErrnoInFile(directory, "cannot open checkpoint", errno);
    absl::Cleanup close_fd = [fd] { close(fd); };
    absl::StatusOr<Checkpoint> checkpoint = OpenOnce(directory, fd);
    if (checkpoint.ok() || attempt == kMaxAttempts || SameDirectory(fd, directory)) {
      return checkpoint;
    }
  }
}

absl::StatusOr<Checkpoint> Checkpoint::OpenOnce(const std::filesystem::path& path,
                                                int directory_fd) {
  const Directory directory(directory_fd, path);
  const absl::StatusOr<Layout> layout = FindLayout(directory);
  if (!layout.ok()) return layout.status();
  absl::StatusOr<CheckpointConfig> config = ReadConfig(directory, *layout);
  if (!config.ok()) return config.status();

  absl::StatusOr<MappedFile> weights = directory.Open(layout->weights);
  if (!weights.ok()) return weights.status();
  const std::filesystem::path weights_path = path / layout->weights;
  absl::StatusOr<TensorMap> tensors = TensorMap();
  if (layout->weights_are_pickled) {
    tensors = ParseTorchArchive(weights->bytes());
  } else {
    absl::StatusOr<SafetensorsContents> contents = ParseSafetensors(weights->bytes());
    if (!contents.ok()) return InFile(weights_path, contents.status());
    tensors = std::move(contents->tensors);
  }
  if (tensors.ok()) tensors = WithNewNames(*std::move(tensors));
  if (!tensors.ok()) return InFile(weights_path, tensors.status());

  absl::StatusOr<std::string> digest = CheckpointDigest(*config, *tensors);
  if (!digest.ok()) return InFile(weights_path, digest.status());
  return Checkpoint(*std::move(config), weights_path, *std::move(weights), *std::move(tensors),
                    *std::move(digest));
}

absl::Status Checkpoint::CheckTensors(const ParameterList& expected) const {
  return InFile(weights_path_, diffusiond::CheckTensors(expected, tensors_));
}

}  // namespace diffusiond
