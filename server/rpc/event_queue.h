// What a Generate stream still has to send, kept small when the client is slower than the server.
#ifndef DIFFUSIOND_SERVER_RPC_EVENT_QUEUE_H_
#define DIFFUSIOND_SERVER_RPC_EVENT_QUEUE_H_

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// First in, first out, with two exceptions: for each image at most one Progress and one Preview of
// each kind wait; a newer one takes the place of the older. Accepted, Image and Completed are never
// replaced. So what waits is bounded by the number of images, however slow the reader is.
// Thread-compatible.
class EventQueue {
 public:
  void Push(v1::Accepted accepted);
  void Push(v1::Progress progress);
  // True if a preview was lost by this: an older one was replaced, or the image is already out.
  bool Push(v1::Preview preview);
  void Push(v1::Image image);
  void Push(v1::Completed completed);

  // The next event to send; nullopt: nothing waits.
  std::optional<v1::GenerateEvent> Pop();

  void Clear();
  bool empty() const { return events_.empty(); }

 private:
  // (image index, PreviewKind; for Progress UNSPECIFIED).
  using Slot = std::pair<uint32_t, v1::PreviewKind>;
  struct Waiting {
    v1::GenerateEvent event;
    std::optional<Slot> slot;
  };

  // Where a replaceable event goes: over the one that waits, or at the end. True: over.
  bool Place(Slot slot, v1::GenerateEvent event);
  void Append(v1::GenerateEvent event, std::optional<Slot> slot);

  std::list<Waiting> events_;
  std::map<Slot, std::list<Waiting>::iterator> slots_;
  std::set<uint32_t> images_out_;  // Nothing of these follows their Image.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_EVENT_QUEUE_H_
