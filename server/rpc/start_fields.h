// The fields of GenerateRequest that say what an image starts from.
#ifndef DIFFUSIOND_SERVER_RPC_START_FIELDS_H_
#define DIFFUSIOND_SERVER_RPC_START_FIELDS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "diffusiond/v1/diffusion.pb.h"
#include "model/sampling/starting_point.h"
#include "server/models/served_model.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {

// Decoded, in the model's shape.
struct RequestedStart {
  StartingPoint::Values image, keep, noise;
  std::optional<uint64_t> morph_seed;
  // Of the bytes that came, lower-case hexadecimal; empty: none came.
  std::string image_sha256, mask_sha256, noise_sha256;
  v1::PictureFit fit = v1::PICTURE_FIT_UNSPECIFIED;  // Set with an image only.
};

// Of the values.
size_t BytesOf(const RequestedStart& start);

// Longest side, in pixels, of a picture that is fitted to a model.
inline constexpr int kDefaultMaxPictureSide = 4096;

// Notes each fault: bytes that are no image, or one whose size is neither the model's nor, where it
// is to be fitted, within `max_picture_side`; a value out of range, one that has no effect.
RequestedStart ReadStart(const v1::GenerateRequest& request, const ServedModel& model, int count,
                         int max_picture_side, FieldViolations* violations);

void WriteStart(const RequestedStart& start, v1::ResolvedParameters* parameters);

// What image `image_index` of `count` starts from; null: its seed's noise.
std::shared_ptr<const StartingPoint> StartOf(const RequestedStart& start, int image_index,
                                             int count);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_START_FIELDS_H_
