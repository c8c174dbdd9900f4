// A model on disk: the directory layout of Hugging Face diffusers, both ways.
//
//   nested (written by diffusers' save_pretrained, and by SaveCheckpoint)
//     model_index.json                              pipeline class, class names
//     unet/config.json
//     unet/diffusion_pytorch_model.safetensors      or diffusion_pytorch_model.bin
//     scheduler/scheduler_config.json
//     generation_config.json                        optional, ours: GenerationDefaults
//     classifier/config.json                        optional, ours: see CheckpointConfig
//     classifier/diffusion_pytorch_model.safetensors
//   flat (google/ddpm-* on the hub): the same files, all in the root
//
// model_index.json carries two fields that diffusers ignores: "id2label", the class names as
// {"0": "T-shirt", "1": "Trouser", ...}, and "null_class_id", the class that means "none".
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_DIFFUSERS_DIRECTORY_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_DIFFUSERS_DIRECTORY_H_

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/checkpoint/check_tensors.h"
#include "model/checkpoint/generation_defaults.h"
#include "model/checkpoint/tensor_view.h"
#include "model/config/scheduler_config.h"
#include "model/config/unet_config.h"
#include "model/files/mapped_file.h"

namespace diffusiond {

// Bytes of a class name.
inline constexpr size_t kMaxClassNameLength = 1024;

struct CheckpointConfig {
  UNetConfig unet;
  SchedulerConfig scheduler;
  // By class id. Empty: the classes, if any, have no names. Never more than num_class_embeds.
  std::vector<std::string> class_names;
  // The label that means no class, for unconditional drawing and guidance. A file that does not say
  // has one exactly if num_class_embeds is one more than its class names: the last.
  std::optional<int> null_class_id;
  std::optional<GenerationDefaults> generation;
  // A noise-conditional classifier, for classifier guidance: a UNet2DModel, so that all that reads,
  // checks and runs one does, with a channel for each class. The mean of channel y over the image
  // is the logit of p(y | x_t). diffusers' DDPMPipeline passes it over; UNet2DModel loads it.
  std::optional<UNetConfig> classifier;

  friend bool operator==(const CheckpointConfig&, const CheckpointConfig&) = default;
};

// The class of diffusers' pipeline that draws such a model, for model_index.json: DDPMPipeline.
// Empty if none does: it gives a network no class, scales no input as the schedulers in sigma need,
// and its schedulers know no prediction_type "score".
std::string PipelineClass(const CheckpointConfig& config);

// OK if every part is valid and the parts fit together; else names the field, its value and the
// range.
absl::Status Validate(const CheckpointConfig& config);

// Ids that a class may be asked by: the network's, but for the null class where it is the last; for
// a network without classes the classifier's, if there is one.
int64_t NumClasses(const CheckpointConfig& config);

// The weights file of one network of a checkpoint.
struct NetworkWeights {
  std::filesystem::path path;
  MappedFile file;    // What `tensors` looks into.
  TensorMap tensors;  // By today's parameter names, whatever the file calls them.

  // diffusiond::CheckTensors, naming the file.
  absl::Status Check(const ParameterList& expected) const;
};

// An opened checkpoint. Immutable, so reads are thread-safe; move-only. The tensors are views into
// a mapping of the weights file that lives as long as this object (see MappedFile).
class Checkpoint {
 public:
  // Reads the configuration, checks the weights file's structure and computes the digest, which
  // reads every byte (about a second for 500 MB). All files come from one directory even if another
  // checkpoint is renamed to `directory` meanwhile.
  // NOT_FOUND: the directory or a file of it is not there. INVALID_ARGUMENT: damaged or not
  // supported; the message names the file, the field or tensor, expected and found.
  // Whether the tensors are those of the configured network is for NetworkWeights::Check to say.
  static absl::StatusOr<Checkpoint> Open(const std::filesystem::path& directory);

  const CheckpointConfig& config() const { return config_; }

  // What of the files does not act here, or not as their author may think; a sentence each.
  const std::vector<std::string>& warnings() const { return warnings_; }

  const NetworkWeights& weights() const { return weights_; }
  // Present if config().classifier is.
  const std::optional<NetworkWeights>& classifier_weights() const { return classifier_weights_; }
  const TensorMap& tensors() const { return weights_.tensors; }
  // Empty without a classifier.
  TensorMap classifier_tensors() const {
    return classifier_weights_ ? classifier_weights_->tensors : TensorMap();
  }

  // 64 hexadecimal digits (checkpoint_digest.h): equal for a model in any layout, file format and
  // naming.
  const std::string& digest() const { return digest_; }

 private:
  Checkpoint(CheckpointConfig config, NetworkWeights weights,
             std::optional<NetworkWeights> classifier_weights, std::string digest,
             std::vector<std::string> warnings);

  static absl::StatusOr<Checkpoint> OpenOnce(const std::filesystem::path& directory,
                                             int directory_fd);

  CheckpointConfig config_;
  NetworkWeights weights_;
  std::optional<NetworkWeights> classifier_weights_;
  std::string digest_;
  std::vector<std::string> warnings_;
};

// Writes a checkpoint in the nested layout, under the names given, in place of any checkpoint at
// `directory`. Everything is written to a temporary sibling, fsynced and renamed: after a crash
// `directory` is the old one or the new, never half; a reader that has the old one open keeps it. A
// crash may leave the sibling (".<name>.tmp-...") behind.
//
// Where names cannot be exchanged (NFS, CephFS, most of FUSE: renameat2 gives EINVAL or ENOSYS) the
// old one is renamed aside before the new one is renamed into its place. In the moment between the
// two, `directory` is absent: a reader gets NOT_FOUND, a crash leaves both under hidden names, and
// of concurrent calls one may fail.
//
// Regular files in the root of a replaced directory that are no part of a checkpoint, such as a
// README.md, are carried over; what else its unet/ and scheduler/ hold goes with them.
// FAILED_PRECONDITION if `directory` is not a checkpoint and not empty, or holds a foreign
// directory: nothing of anybody's is deleted. INVALID_ARGUMENT as Validate, or for tensors whose
// bytes do not fit their shapes. File errors name the file; the old one stays. Concurrent calls for
// one directory are safe; the last one wins.
// `classifier_tensors`: of config.classifier, empty if there is none.
absl::Status SaveCheckpoint(const std::filesystem::path& directory, const CheckpointConfig& config,
                            const TensorMap& tensors, const TensorMap& classifier_tensors = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_DIFFUSERS_DIRECTORY_H_
