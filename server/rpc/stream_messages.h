// The API's messages of a generation's events: made by what writes them to the client.
#ifndef DIFFUSIOND_SERVER_RPC_STREAM_MESSAGES_H_
#define DIFFUSIOND_SERVER_RPC_STREAM_MESSAGES_H_

#include <cstdint>
#include <string>

#include "diffusiond/v1/diffusion.pb.h"
#include "server/rpc/generation_request.h"
#include "server/rpc/stream_event.h"

namespace diffusiond {

// Of one request. Keeps what accepted and receipt say, and nothing else of it: a client that reads
// slowly holds no model and no pictures. Thread-safe.
class StreamMessages {
 public:
  StreamMessages(const std::string& request_id, const GenerationRequest& request);

  v1::GenerateEvent Of(StreamEvent event) const;
  v1::Image Of(StreamEvent::FinalImage event) const;
  v1::Completed Of(const StreamEvent::Completed& event) const;
  const v1::Accepted& accepted() const { return accepted_; }

 private:
  // What the engine calls image 0.
  uint32_t first_image() const { return accepted_.parameters().first_image_index(); }

  v1::Accepted accepted_;
  v1::Receipt receipt_;  // But for the parameters, which are accepted_'s, and the images.
  v1::ImageFormat image_format_;
  v1::ImageFormat preview_format_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_STREAM_MESSAGES_H_
