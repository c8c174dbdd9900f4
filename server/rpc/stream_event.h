// What a client is told of its generation, as plain data.
#ifndef DIFFUSIOND_SERVER_RPC_STREAM_EVENT_H_
#define DIFFUSIOND_SERVER_RPC_STREAM_EVENT_H_

#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "server/engine/generation.h"
#include "server/imaging/frame_encoder.h"

namespace diffusiond {

struct StreamEvent {
  struct Accepted {};
  struct Progress {
    int image_index = 0;
    int steps_done = 0;
    int steps_total = 0;
  };
  struct Preview {
    int image_index = 0;
    int steps_done = 0;
    double timestep = 0;
    PreviewContent kind = PreviewContent::kNone;
    EncodedFrame frame;
  };
  struct FinalImage {
    int image_index = 0;
    EncodedFrame frame;
  };
  struct Completed {
    std::vector<std::string> sha256;  // By image.
    GenerationTimings engine;
    absl::Duration encode;  // Of all frames.
    absl::Duration total;   // Since the request was accepted.
  };
  using What = std::variant<Accepted, Progress, Preview, FinalImage, Completed>;

  What what;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_STREAM_EVENT_H_
