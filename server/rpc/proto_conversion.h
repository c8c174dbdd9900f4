// The API's messages from the plain structs.
#ifndef DIFFUSIOND_SERVER_RPC_PROTO_CONVERSION_H_
#define DIFFUSIOND_SERVER_RPC_PROTO_CONVERSION_H_

#include "absl/time/time.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "google/protobuf/duration.pb.h"
#include "server/engine/generation.h"
#include "server/imaging/frame_encoder.h"
#include "server/models/served_model.h"
#include "server/rpc/generation_request.h"

namespace diffusiond {

v1::ImageFormat ToProto(ImageEncoding encoding);
ImageEncoding FromProto(v1::ImageFormat format);  // PNG for what is unspecified or unknown.
v1::PreviewKind ToProto(PreviewContent content);
v1::Numerics ToProto(const ServedNumerics& numerics);
google::protobuf::Duration ToProto(absl::Duration duration);
v1::ResolvedParameters ToProto(const GenerationRequest& request);
v1::Model ToProto(const ServedModel& model, const RequestLimits& limits);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_PROTO_CONVERSION_H_
