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
#include "model/checkpoint/foreign_files.h"
#include "model/checkpoint/model_index_json.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/checkpoint/torch_pickle.h"
#include "model/checkpoint/unet_config_json.h"
#include "model/files/file_status.h"
#include "model/process/printable_text.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Times to start over when the directory was replaced while it was being read.
constexpr int kMaxAttempts = 16;

// The files of one directory, found through its descriptor rather than its path.
class Directory {
 public:
  Directory(int fd, const std::filesystem::path& path) : fd_(fd), path_(path) {}

  // What is there and cannot be reached, such as a link to nothing, is an error.
  absl::StatusOr<bool> Has(const std::string& name) const {
    struct stat info;
    if (fstatat(fd_, name.c_str(), &info, 0) == 0) return true;
    const int error = errno;
    if (error != ENOENT && error != ENOTDIR) {
      return ErrnoInFile(path_ / name, "cannot open", error);
    }
    for (std::filesystem::path part = name; !part.empty(); part = part.parent_path()) {
      if (fstatat(fd_, part.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (!S_ISLNK(info.st_mode) || fstatat(fd_, part.c_str(), &info, 0) == 0) break;
      return InFile(path_ / part, absl::NotFoundError("is a link to what is not there"));
    }
    return false;
  }

  absl::StatusOr<MappedFile> Open(const std::string& name) const {
    return MappedFile::OpenAt(fd_, name, path_ / name);
  }

  template <typename T, typename Function>
  absl::Status Parse(const std::string& name, const Function& parse, T* value) const {
    ASSIGN_OR_RETURN(MappedFile file, Open(name));
    absl::StatusOr<T> parsed = parse(file.text());
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
  std::string unet;  // Where the weights are: "", or a directory with a slash.
  bool has_classifier = false;
};

absl::StatusOr<Layout> FindLayout(const Directory& directory) {
  ASSIGN_OR_RETURN(const bool nested, directory.Has(kNestedUNetConfig));
  ASSIGN_OR_RETURN(const bool flat, directory.Has(kFlatUNetConfig));
  if (!nested && !flat) {
    return InFile(directory.path(), absl::NotFoundError(absl::StrCat(
                                        "not a checkpoint: has neither ", kNestedUNetConfig,
                                        " nor ", kFlatUNetConfig, WhatLiesIn(directory.path()))));
  }
  Layout layout;
  layout.unet_config = nested ? kNestedUNetConfig : kFlatUNetConfig;
  layout.scheduler_config = nested ? kNestedSchedulerConfig : kSchedulerConfigName;
  layout.unet = nested ? absl::StrCat(kUNetDirectory, "/") : "";
  ASSIGN_OR_RETURN(const bool classifier, directory.Has(kClassifierConfig));
  layout.has_classifier = nested && classifier;
  return layout;
}

// `in`: "", or a directory with a slash.
absl::StatusOr<NetworkWeights> ReadWeights(const Directory& directory, const std::string& in) {
  ASSIGN_OR_RETURN(const bool safe, directory.Has(in + kSafetensorsName));
  const bool pickled = !safe;
  const std::string name = in + (pickled ? kPickledName : kSafetensorsName);
  ASSIGN_OR_RETURN(const bool found, directory.Has(name));
  if (!found) {
    return InFile(directory.path(),
                  absl::NotFoundError(absl::StrCat("has no weights: neither ", in, kSafetensorsName,
                                                   " nor ", in, kPickledName,
                                                   WhatWeightsLieIn(directory.path() / in))));
  }
  const std::filesystem::path path = directory.path() / name;
  ASSIGN_OR_RETURN(MappedFile file, directory.Open(name));
  if (absl::Status status = CheckIsBinary(file.text()); !status.ok()) return InFile(path, status);
  absl::StatusOr<TensorMap> tensors = TensorMap();
  if (pickled) {
    tensors = ParseTorchArchive(file.bytes());
  } else {
    absl::StatusOr<SafetensorsContents> contents = ParseSafetensors(file.bytes());
    if (!contents.ok()) return InFile(path, contents.status());
    tensors = std::move(contents->tensors);
  }
  if (tensors.ok()) tensors = WithNewNames(*std::move(tensors));
  if (!tensors.ok()) return InFile(path, tensors.status());
  return NetworkWeights{path, std::move(file), *std::move(tensors)};
}

absl::StatusOr<CheckpointConfig> ReadConfig(const Directory& directory, const Layout& layout,
                                            std::vector<std::string>* warnings) {
  CheckpointConfig config;
  ModelIndex index;
  ASSIGN_OR_RETURN(const bool indexed, directory.Has(kModelIndexName));
  if (!indexed) {
    return InFile(directory.path(),
                  absl::NotFoundError(absl::StrCat("has no ", kModelIndexName,
                                                   ", which diffusers' save_pretrained of the "
                                                   "pipeline writes: with the network's folder "
                                                   "alone nothing says how it was trained")));
  }
  absl::Status status = directory.Parse(
      kModelIndexName,
      [warnings](absl::string_view text) { return ParseModelIndex(text, warnings); }, &index);
  if (!status.ok()) return status;
  const auto parse_unet = [warnings](absl::string_view text) {
    return ParseUNetConfig(text, warnings);
  };
  status = directory.Parse(layout.unet_config, parse_unet, &config.unet);
  if (!status.ok()) return status;
  status = directory.Parse(
      layout.scheduler_config,
      [&](absl::string_view text) {
        return ParseSchedulerConfig(text, warnings, index.scheduler_class);
      },
      &config.scheduler);
  if (!status.ok()) return status;
  ASSIGN_OR_RETURN(const bool has_defaults, directory.Has(kGenerationConfigName));
  if (has_defaults) {
    status = directory.Parse(
        kGenerationConfigName,
        [warnings](absl::string_view text) { return ParseGenerationDefaults(text, warnings); },
        &config.generation.emplace());
    if (!status.ok()) return status;
  }
  config.class_names = std::move(index.class_names);
  config.null_class_id = index.null_class_id;
  const int64_t names = static_cast<int64_t>(config.class_names.size());
  if (!config.null_class_id && names > 0 && config.unet.num_class_embeds == names + 1) {
    config.null_class_id = static_cast<int>(names);
  }
  if (layout.has_classifier) {
    status = directory.Parse(kClassifierConfig, parse_unet, &config.classifier.emplace());
    if (!status.ok()) return status;
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

// That the classifier takes what the network takes, and tells the model's classes apart.
absl::Status CheckClassifier(const CheckpointConfig& config) {
  const UNetConfig& classifier = *config.classifier;
  absl::Status status = Validate(classifier);
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat("classifier: ", status.message()));
  }
  struct Equal {
    const char* field;
    int64_t value, expected;
  };
  for (const Equal& equal : {
           Equal{"in_channels", classifier.in_channels, config.unet.in_channels},
           {"sample height", classifier.sample_height, config.unet.sample_height},
           {"sample width", classifier.sample_width, config.unet.sample_width},
           {"num_class_embeds", classifier.num_class_embeds.value_or(0), 0},
           {"out_channels", classifier.out_channels, NumClasses(config)},
       }) {
    if (equal.value != equal.expected) {
      return absl::InvalidArgumentError(absl::StrCat("classifier: ", equal.field, " is ",
                                                     equal.value, "; for this model it must be ",
                                                     equal.expected));
    }
  }
  if (classifier.out_channels < 2) {
    return absl::InvalidArgumentError(absl::StrCat("classifier: out_channels is ",
                                                   classifier.out_channels,
                                                   "; it must be 2 or more, one a class"));
  }
  return absl::OkStatus();
}

// Clients print it, and ask by it.
absl::Status CheckClassName(size_t id, const std::string& name) {
  if (name.size() > kMaxClassNameLength) {
    return absl::InvalidArgumentError(absl::StrCat("id2label: the name of class ", id, " has ",
                                                   name.size(), " bytes, expected at most ",
                                                   kMaxClassNameLength));
  }
  if (IsPrintable(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("id2label: the name of class ", id, " is ", Quoted(name),
                   ", expected UTF-8 text without control characters"));
}

}  // namespace

int64_t NumClasses(const CheckpointConfig& config) {
  const int64_t embeds = config.unet.num_class_embeds.value_or(0);
  if (embeds == 0) return config.classifier ? config.classifier->out_channels : 0;
  return config.null_class_id == embeds - 1 ? embeds - 1 : embeds;
}

std::string PipelineClass(const CheckpointConfig& config) {
  const bool drawn =
      !config.unet.num_class_embeds.has_value() && !config.scheduler.is_edm() &&
      (config.scheduler.class_name == "DDPMScheduler" ||
       (config.scheduler.class_name == "DDIMScheduler" && !config.scheduler.learns_variance())) &&
      config.scheduler.prediction_type != "score";
  return drawn ? "DDPMPipeline" : "";
}

absl::Status NetworkWeights::Check(const ParameterList& expected) const {
  return InFile(path, CheckTensors(expected, tensors));
}

absl::Status Validate(const CheckpointConfig& config) {
  absl::Status status = Validate(config.unet);
  if (status.ok() && config.unet.out_channels > kMaxImageChannels) {
    status = absl::InvalidArgumentError(absl::StrCat("out_channels is ", config.unet.out_channels,
                                                     ", expected 1 to ", kMaxImageChannels));
  }
  status.Update(Validate(config.scheduler));
  if (config.generation) status.Update(Validate(*config.generation));
  if (!status.ok()) return status;

  if (config.classifier) status = CheckClassifier(config);
  if (!status.ok()) return status;

  const int64_t names = static_cast<int64_t>(config.class_names.size());
  const int64_t classes = config.unet.num_class_embeds.value_or(0);
  if (const int64_t most = std::max(classes, NumClasses(config)); names > most) {
    return absl::InvalidArgumentError(absl::StrCat(
        "id2label names ", names, " classes, ",
        classes == 0 && config.classifier ? "the classifier has " : "num_class_embeds allows ",
        most));
  }
  for (size_t id = 0; id < config.class_names.size(); ++id) {
    if (status = CheckClassName(id, config.class_names[id]); !status.ok()) return status;
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

Checkpoint::Checkpoint(CheckpointConfig config, NetworkWeights weights,
                       std::optional<NetworkWeights> classifier_weights, std::string digest,
                       std::vector<std::string> warnings)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      classifier_weights_(std::move(classifier_weights)),
      digest_(std::move(digest)),
      warnings_(std::move(warnings)) {}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::filesystem::path& directory) {
  for (int attempt = 1;; ++attempt) {
    const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return NoDirectory(directory, errno);
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
  // Else nothing in it would seem to be there.
  if (faccessat(directory_fd, ".", X_OK, 0) != 0) return NoDirectory(path, errno);
  ASSIGN_OR_RETURN(const Layout layout, FindLayout(directory));
  std::vector<std::string> warnings;
  ASSIGN_OR_RETURN(CheckpointConfig config, ReadConfig(directory, layout, &warnings));

  ASSIGN_OR_RETURN(NetworkWeights weights, ReadWeights(directory, layout.unet));
  std::optional<NetworkWeights> classifier;
  if (layout.has_classifier) {
    ASSIGN_OR_RETURN(classifier, ReadWeights(directory, absl::StrCat(kClassifierDirectory, "/")));
  }
  absl::StatusOr<std::string> digest =
      CheckpointDigest(config, weights.tensors, classifier ? classifier->tensors : TensorMap());
  if (!digest.ok()) return InFile(path, digest.status());
  return Checkpoint(std::move(config), std::move(weights), std::move(classifier),
                    *std::move(digest), std::move(warnings));
}

}  // namespace diffusiond
