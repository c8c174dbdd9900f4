// What a stream still has to send, kept small when the client is slower than the server.
#ifndef DIFFUSIOND_SERVER_RPC_EVENT_QUEUE_H_
#define DIFFUSIOND_SERVER_RPC_EVENT_QUEUE_H_

#include <list>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "server/rpc/stream_event.h"

namespace diffusiond {

// First in, first out, but of an image's previews that of the earlier step comes first. For each
// image at most one Progress and one Preview of each kind wait; a newer one takes the place of the
// older. Accepted, FinalImage and Completed are never replaced. So what waits is bounded by the
// number of images, however slow the reader is. Thread-compatible.
class EventQueue {
 public:
  void Push(StreamEvent::Accepted accepted) { Append(accepted, std::nullopt); }
  void Push(StreamEvent::Progress progress);
  // True if a preview was lost by this: an older one was replaced, or the image is already out.
  bool Push(StreamEvent::Preview preview);
  void Push(StreamEvent::FinalImage image);
  void Push(StreamEvent::Completed completed) { Append(std::move(completed), std::nullopt); }

  // The next event to send; nullopt: nothing waits.
  std::optional<StreamEvent> Pop();

  void Clear();
  bool empty() const { return events_.empty(); }

 private:
  // Image index, and of what: kNone for Progress.
  using Slot = std::pair<int, PreviewContent>;
  struct Waiting {
    StreamEvent event;
    std::optional<Slot> slot;
  };

  // Where a replaceable event goes: over the one that waits, or at the end. True: over.
  bool Place(Slot slot, StreamEvent::What what);
  void Append(StreamEvent::What what, std::optional<Slot> slot);

  std::list<Waiting> events_;
  std::map<Slot, std::list<Waiting>::iterator> slots_;
  std::set<int> images_out_;  // Nothing of these follows their FinalImage.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_EVENT_QUEUE_H_
