// Any GenerateRequest, as text: it is refused with each wrong field named, or what it was resolved
// to, asked for again, is resolved to itself, which is what receipts rest on.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "client/receipt_file.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "google/rpc/error_details.pb.h"
#include "model/imaging/png.h"
#include "model/sampling/sampler.h"
#include "server/engine/memory_budget.h"
#include "server/models/model_catalog.h"
#include "server/rpc/field_violations.h"
#include "server/rpc/generation_request.h"
#include "server/rpc/proto_conversion.h"
#include "tests/fuzz/message_mutator.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

constexpr size_t kBudgetBytes = size_t{64} << 20;

class Quiet : public google::protobuf::io::ErrorCollector {
  void AddError(int, google::protobuf::io::ColumnNumber, const std::string&) override {}
};

bool Parse(const uint8_t* data, size_t size, v1::GenerateRequest* request) {
  google::protobuf::TextFormat::Parser parser;
  Quiet quiet;
  parser.RecordErrorsTo(&quiet);
  parser.AllowPartialMessage(true);
  return parser.ParseFromString(std::string(reinterpret_cast<const char*>(data), size), request);
}

// Grey with classes, and colour without, of sides that differ.
const ModelCatalog& Models() {
  static const ModelCatalog* const models = [] {
    auto* catalog = new ModelCatalog("clothes");
    catalog->Put(TestModel());
    ServedModel colour = TestModel("colour");
    colour.channels = 3;
    colour.width = 3;
    colour.class_names.clear();
    colour.is_conditional = false;
    colour.null_class_id.reset();
    catalog->Put(std::move(colour));
    return catalog;
  }();
  return *models;
}

const MutatorWords& KnownWords() {
  static const auto* const words = [] {
    const auto png = [](int width, int height, std::vector<uint8_t> pixels) {
      return EncodePng(
                 {.width = width, .height = height, .channels = 1, .pixels = std::move(pixels)})
          .value();
    };
    auto* all = new MutatorWords;
    all->strings = {"",         "clothes",  "colour", "d1637e",  "T-shirt", "trouser",  "leading",
                    "trailing", "linspace", "zero",   "learned", "exact",   "diffusers"};
    all->bytes = {"", png(2, 2, {0, 51, 204, 255}), png(5, 1, {9, 0, 8, 0, 7}),
                  std::string(16, '\0'), std::string(72, 'a')};
    for (const Sampler& sampler : Samplers()) {
      all->strings.push_back(sampler.name);
      for (const auto& type : sampler.solver_types) all->strings.emplace_back(type);
    }
    std::string foreign;  // Cut anywhere but between characters, it is no text any more.
    for (int i = 0; i < 400; ++i) foreign += "\xe3\x81\x82";
    all->strings.push_back(foreign);
    return all;
  }();
  return *words;
}

void CheckRefusal(const absl::Status& status) {
  if (absl::IsNotFound(status) || absl::IsFailedPrecondition(status) ||
      absl::IsResourceExhausted(status)) {
    return;
  }
  if (!absl::IsInvalidArgument(status)) std::abort();
  const auto payload = status.GetPayload(kBadRequestTypeUrl);
  google::rpc::BadRequest details;
  if (!payload.has_value() || !details.ParseFromString(std::string(*payload))) std::abort();
  if (details.field_violations().empty()) std::abort();
  for (const auto& violation : details.field_violations()) {
    if (violation.field().empty() || violation.description().empty()) std::abort();
  }
}

v1::GenerateRequest Again(const v1::GenerateRequest& request,
                          const v1::ResolvedParameters& parameters) {
  v1::Receipt receipt;
  *receipt.mutable_parameters() = parameters;
  v1::GenerateRequest again = RequestFromReceipt(receipt);
  again.set_init_image(request.init_image());
  again.set_mask(request.mask());
  again.set_init_noise(request.init_noise());
  return again;
}

void Try(const v1::GenerateRequest& request) {
  const RequestLimits limits = {.max_count = 8, .max_picture_side = 64};
  const auto resolve = [&](const v1::GenerateRequest& asked) {
    return ParseGenerateRequest(asked, Models(), limits, PreviewSupport::kAllowed, 7);
  };
  absl::StatusOr<GenerationRequest> resolved = resolve(request);
  if (!resolved.ok()) return CheckRefusal(resolved.status());
  const v1::ResolvedParameters parameters = ToProto(*resolved);
  const absl::StatusOr<GenerationRequest> replayed = resolve(Again(request, parameters));
  if (!replayed.ok() || ToProto(*replayed).SerializeAsString() != parameters.SerializeAsString()) {
    std::abort();
  }
  static auto* const budget = new MemoryBudget(kBudgetBytes);
  const auto spec = MakeGenerationSpec(*resolved, {.tenant = "a", .address = "b"}, *budget);
  if (!spec.ok()) {  // No plan can be compiled, or it and the pictures take too much.
    if (!absl::IsInvalidArgument(spec.status()) && !absl::IsResourceExhausted(spec.status())) {
      std::abort();
    }
    return;
  }
  if (spec->trajectories.size() != static_cast<size_t>(resolved->count)) std::abort();
  for (const TrajectorySpec& trajectory : spec->trajectories) {
    if (trajectory.plan == nullptr || trajectory.plan->rows.empty()) std::abort();
  }
}

}  // namespace
}  // namespace diffusiond

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  diffusiond::v1::GenerateRequest request;
  if (diffusiond::Parse(data, size, &request)) diffusiond::Try(request);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  diffusiond::v1::GenerateRequest request;
  diffusiond::Parse(data, size, &request);  // What cannot be read is begun anew.
  std::mt19937 random(seed);
  diffusiond::MutateMessage(&request, diffusiond::KnownWords(), &random);
  std::string text;
  google::protobuf::TextFormat::PrintToString(request, &text);
  if (text.size() > max_size) return size;
  std::copy(text.begin(), text.end(), data);
  return text.size();
}
