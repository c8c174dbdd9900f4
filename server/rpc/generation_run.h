// One accepted request between the engine and the client: frames in, messages out.
#ifndef DIFFUSIOND_SERVER_RPC_GENERATION_RUN_H_
#define DIFFUSIOND_SERVER_RPC_GENERATION_RUN_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "server/engine/engine.h"
#include "server/imaging/encoder_pool.h"
#include "server/rpc/generation_request.h"

namespace diffusiond {

// Takes what a generation makes. Calls come from worker and encoder threads, also at the same time,
// but in order for each image; they must not block. OnEnd comes once, after every other call that
// matters; calls after it are to be ignored.
class GenerationSink {
 public:
  virtual ~GenerationSink() = default;
  virtual void OnProgress(v1::Progress progress) = 0;
  virtual void OnPreview(v1::Preview preview) = 0;
  // A preview was lost before it was encoded.
  virtual void OnPreviewDropped() = 0;
  virtual void OnImage(v1::Image image) = 0;
  // OK: every image was delivered, and `completed` is whole. Else `completed` means nothing.
  virtual void OnEnd(absl::Status status, v1::Completed completed) = 0;
};

// Hears the engine, has frames encoded, and tells the sink. Thread-safe.
class GenerationRun : public GenerationListener,
                      public std::enable_shared_from_this<GenerationRun> {
 public:
  // `encoders` outlives the run. The sink is kept until OnEnd was called.
  GenerationRun(std::string request_id, GenerationRequest request, EncoderPool* encoders,
                std::shared_ptr<GenerationSink> sink, std::function<absl::Time()> now);

  void OnProgress(int image_index, int steps_done, int steps_total) override;
  void OnPreview(int image_index, int steps_done, double timestep, PreviewContent kind,
                 Frame frame) override;
  void OnImage(int image_index, Frame frame) override;
  void OnFinished(absl::Status status, GenerationTimings timings) override;

 private:
  void OnPreviewEncoded(v1::Preview preview, EncoderPool::Result result);
  void OnImageEncoded(int image_index, EncoderPool::Result result);
  std::shared_ptr<GenerationSink> sink() const;
  // Ends the run when the engine is done and nothing is being encoded, or when it failed.
  void EndIfDone();

  const std::string request_id_;
  const GenerationRequest request_;
  EncoderPool* const encoders_;
  const std::function<absl::Time()> now_;
  const absl::Time accepted_;
  const std::vector<std::shared_ptr<EncoderPool::Lane>> lanes_;  // By image.

  mutable absl::Mutex mu_;
  std::shared_ptr<GenerationSink> sink_ ABSL_GUARDED_BY(mu_);  // Null once it was told the end.
  bool engine_done_ ABSL_GUARDED_BY(mu_) = false;
  int images_encoding_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mu_);  // The first failure.
  GenerationTimings timings_ ABSL_GUARDED_BY(mu_);
  absl::Duration encode_time_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> sha256_ ABSL_GUARDED_BY(mu_);  // By image.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_GENERATION_RUN_H_
