// Start-time fair queueing (Goyal, Vin and Cheng 1996), for one level of a hierarchy of shares.
#ifndef DIFFUSIOND_SERVER_ENGINE_FAIR_QUEUE_H_
#define DIFFUSIOND_SERVER_ENGINE_FAIR_QUEUE_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>
#include <tuple>

namespace diffusiond {

// What a member has to do, a bit for each kind of trajectory: a server that cannot take some kinds
// now passes over members that have nothing else, at no cost.
using WorkKinds = uint64_t;
inline constexpr size_t kMaxWorkKinds = 40;

// A member's part in a FairQueue. `name` and `weight` are its owner's, the rest the queue's.
struct FairShare {
  std::string_view name;  // Decides between equals; must outlive the membership.
  double weight = 1;      // More than 0; what was served before a change stays as it is.
  double served = 0;      // Virtual time: network passes had, by weight.
  WorkKinds waiting = 0;
};

// Members that want work done, by weight: the next turn is that of the one that has had least. One
// that wanted nothing for a while gets no credit for it. `Member` has a FairShare `share`. Every
// operation is O(kinds * log(members)). Thread-compatible.
template <typename Member>
class FairQueue {
 public:
  // Says what of the member waits from now on; nothing, before it is destroyed.
  void Offer(Member& member, WorkKinds waiting) {
    FairShare& share = member.share;
    if (waiting == share.waiting) return;
    if (share.waiting == 0) share.served = std::max(share.served, virtual_now_);
    Erase(member, share.waiting & ~waiting);
    Insert(member, waiting & ~share.waiting);
    share.waiting = waiting;
  }

  // Whose turn it is among those that have work of these kinds; null: nobody's.
  Member* Next(WorkKinds kinds) const {
    const Entry* least = nullptr;
    ForEach(kinds & waiting_, [&](size_t kind) {
      const Entry& first = *queues_[kind].begin();
      if (least == nullptr || first < *least) least = &first;
    });
    return least == nullptr ? nullptr : std::get<Member*>(*least);
  }

  // The member has a turn, of so many network passes.
  void Serve(Member& member, int passes) {
    FairShare& share = member.share;
    Erase(member, share.waiting);
    virtual_now_ = std::max(virtual_now_, share.served);
    share.served += passes / share.weight;
    Insert(member, share.waiting);
  }

  // What waits, of all members.
  WorkKinds waiting() const { return waiting_; }

 private:
  using Entry = std::tuple<double, std::string_view, Member*>;

  static Entry EntryOf(Member& member) { return {member.share.served, member.share.name, &member}; }
  template <typename Do>
  static void ForEach(WorkKinds kinds, Do apply) {
    for (; kinds != 0; kinds &= kinds - 1) apply(static_cast<size_t>(std::countr_zero(kinds)));
  }
  void Insert(Member& member, WorkKinds kinds) {
    ForEach(kinds, [&](size_t kind) { queues_[kind].insert(EntryOf(member)); });
    waiting_ |= kinds;
  }
  void Erase(Member& member, WorkKinds kinds) {
    ForEach(kinds, [&](size_t kind) {
      queues_[kind].erase(EntryOf(member));
      if (queues_[kind].empty()) waiting_ &= ~(WorkKinds{1} << kind);
    });
  }

  std::array<std::set<Entry>, kMaxWorkKinds> queues_;
  WorkKinds waiting_ = 0;
  double virtual_now_ = 0;  // Where the last turn began.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_FAIR_QUEUE_H_
