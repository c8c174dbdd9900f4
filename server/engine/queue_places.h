// Who may hold how much of the queue.
#ifndef DIFFUSIOND_SERVER_ENGINE_QUEUE_PLACES_H_
#define DIFFUSIOND_SERVER_ENGINE_QUEUE_PLACES_H_

#include <map>
#include <optional>
#include <string>

#include "server/engine/generation.h"
#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// Places for images, shared by dynamic thresholds (Choudhury and Hahne 1998): a holder may have
// alpha times as many as it leaves free, alpha = share / (1 - share). So one alone may hold
// `share` of the places, k of them alpha / (1 + k * alpha) each, and a newcomer finds room without
// anybody being displaced. One that holds nothing may take all that is free.
//
// The rule holds thrice, each time for what is free to the holder above: for class HIGH, for each
// address, for each of an address's tenants. With alpha = 3 a lone tenant may hold 9 parts of 13.
//
// Every operation is O(log(holders)). Thread-compatible.
class QueuePlaces {
 public:
  struct Limits {
    int places = 1;
    // Of an address, and of a tenant in it: more than 0; 1: all.
    double share = 1;
    double high_share = 1;  // Of class HIGH.
  };

  explicit QueuePlaces(Limits limits) : limits_(limits) {}

  // Why a request finds no room.
  struct Lack {
    Holder::Whose whose = Holder::Whose::kAll;  // Share that it would pass.
    int held = 0;                               // By that holder.
    int free = 0;                               // To anybody.
    int needed = 0;                             // Of those held: as many free would be enough.
  };
  // Nothing: there is room for all of its images.
  std::optional<Lack> Check(const GenerationSpec& spec) const;

  void Take(const GenerationSpec& spec);
  void Release(const GenerationSpec& spec, int count);

  int held() const { return held_; }
  int limit() const { return limits_.places; }
  // Of which something is remembered: those that hold any.
  size_t known_tenants() const;

 private:
  struct Address {
    int held = 0;
    std::map<std::string, int> tenants;
  };
  // What the request's holders have, from the outermost.
  struct Held {
    int all = 0, high = 0, address = 0, tenant = 0;
  };

  Held HeldBy(const GenerationSpec& spec) const;
  // The first share that `count` more would pass.
  std::optional<Holder::Whose> Passes(const Held& held, Priority priority, int count) const;
  void Add(const GenerationSpec& spec, int count);

  const Limits limits_;
  int held_ = 0;
  int held_high_ = 0;
  std::map<std::string, Address> addresses_;  // That hold any.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_QUEUE_PLACES_H_
