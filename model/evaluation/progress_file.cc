#include "model/evaluation/progress_file.h"

#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/safetensors.h"
#include "model/files/file_status.h"
#include "model/process/printable_text.h"
#include "model/process/quoted_value.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr char kFingerprintKey[] = "fingerprint";
// A fingerprint is some hundred bytes, and what differs may be its end.
constexpr size_t kMostShown = 1000;

}  // namespace

absl::Status SaveNumberTables(const std::filesystem::path& path, const NumberTables& tables,
                              const std::string& fingerprint) {
  TensorMap views;
  for (const auto& [name, table] : tables) {
    views[name] = TensorView{
        .dtype = Dtype::kF64,
        .shape = {static_cast<int64_t>(table.rows()), static_cast<int64_t>(table.columns)},
        .data = std::as_bytes(std::span(table.values))};
  }
  return WriteSafetensors(path, views, {{kFingerprintKey, fingerprint}});
}

absl::StatusOr<NumberTables> LoadNumberTables(const std::filesystem::path& path,
                                              const std::string& fingerprint,
                                              const std::map<std::string, size_t>& columns) {
  ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
  const auto found = file.metadata().find(kFingerprintKey);
  if (found == file.metadata().end() || found->second != fingerprint) {
    return InFile(path,
                  absl::FailedPreconditionError(absl::StrCat(
                      "it belongs to another measurement: it is of ",
                      found == file.metadata().end()
                          ? "no fingerprint"
                          : absl::StrCat("'", Printable(Shortened(found->second, kMostShown)), "'"),
                      ", this one is of '", Printable(fingerprint),
                      "'; give another --out, or remove the file")));
  }
  NumberTables tables;
  for (const auto& [name, count] : columns) {
    const auto tensor = file.tensors().find(name);
    if (tensor == file.tensors().end()) {
      return InFile(path, absl::InvalidArgumentError(absl::StrCat("tensor ", name, " missing")));
    }
    const TensorView& view = tensor->second;
    if (view.dtype != Dtype::kF64 || view.shape.size() != 2 ||
        view.shape[1] != static_cast<int64_t>(count)) {
      return InFile(path, absl::InvalidArgumentError(absl::StrCat(
                              "tensor ", name, " is ", std::string(DtypeName(view.dtype)), " ",
                              ShapeToString(view.shape), "; expected F64 [rows, ", count, "]")));
    }
    NumberTable& table = tables[name];
    table.columns = count;
    table.values.resize(view.data.size() / sizeof(double));
    if (!view.data.empty()) {
      std::memcpy(table.values.data(), view.data.data(), view.data.size());
    }
  }
  return tables;
}

}  // namespace diffusiond
