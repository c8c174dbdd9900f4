#include "model/checkpoint/check_tensors.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "model/files/file_status.h"

namespace diffusiond {
namespace {

constexpr size_t kMaxListed = 5;

// Faults of one kind: how many, and the first few in words.
class FaultList {
 public:
  explicit FaultList(absl::string_view kind) : kind_(kind) {}

  void Add(std::string text) {
    if (++count_ <= kMaxListed) listed_.push_back(std::move(text));
  }

  void AppendTo(std::vector<std::string>* parts) const {
    if (count_ == 0) return;
    parts->push_back(absl::StrCat(count_, " ", kind_, ": ", absl::StrJoin(listed_, ", "),
                                  count_ > kMaxListed ? ", ..." : ""));
  }

 private:
  absl::string_view kind_;
  size_t count_ = 0;
  std::vector<std::string> listed_;
};

}  // namespace

absl::Status CheckTensors(const ParameterList& expected, const TensorMap& actual) {
  FaultList missing("missing"), surplus("surplus"), wrong_shape("of a wrong shape"),
      wrong_type("of a wrong type"), not_finite("with values that are not finite");
  std::set<absl::string_view> known;
  for (const auto& [name, shape] : expected) {
    known.insert(name);
    const auto found = actual.find(name);
    if (found == actual.end()) {
      missing.Add(absl::StrCat(Quoted(name), " ", ShapeToString(shape)));
      continue;
    }
    const TensorView& tensor = found->second;
    if (tensor.shape != shape) {
      wrong_shape.Add(absl::StrCat(Quoted(name), " (expected ", ShapeToString(shape), ", found ",
                                   ShapeToString(tensor.shape), ")"));
    }
    if (!IsFloatingPoint(tensor.dtype)) {
      wrong_type.Add(absl::StrCat(Quoted(name), " (expected F64, F32, F16 or BF16, found ",
                                  DtypeName(tensor.dtype), ")"));
    } else if (const std::optional<int64_t> index = FindNonFinite(tensor)) {
      not_finite.Add(absl::StrCat(Quoted(name), " (element ", *index, " is NaN or infinite)"));
    }
  }
  for (const auto& [name, tensor] : actual) {
    if (!known.contains(name)) {
      surplus.Add(absl::StrCat(Quoted(name), " ", ShapeToString(tensor.shape)));
    }
  }
  std::vector<std::string> parts;
  for (const FaultList* list : {&missing, &surplus, &wrong_shape, &wrong_type, &not_finite}) {
    list->AppendTo(&parts);
  }
  if (parts.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the tensors are not the network's: ", absl::StrJoin(parts, "; ")));
}

}  // namespace diffusiond
