// What Promises holds the engine to when nothing more can happen before time moves on: whatever
// could be told was told, and whoever could work does.
#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/simulation/promises.h"

namespace diffusiond {

void Promises::Quiet() {
  const bool idle = AnyIdle();
  for (const Order& order : orders_) {
    if (order.admitted && !order.told.has_value()) CheckTold(order, idle);
  }
  CheckWaitingPreviews();
  CheckResidentLimit();
  const std::string impatient = shares_.Quiet(orders_, fibers_->Now());
  Check(impatient.empty(), "patience", impatient);
  if (idle && all_end_ > fibers_->Now()) CheckNobodyIdles();
}

void Promises::CheckTold(const Order& order, bool idle) {
  const absl::Time now = fibers_->Now();
  const bool may_be_told = frame_calls_ < world_.frame_threads && !order.InCall();
  bool all_drawn = true;
  for (size_t i = 0; i < order.images.size(); ++i) {
    const OrderedImage& image = order.images[i];
    all_drawn = all_drawn && order.Drawn(image) && !image.is_late;
    // Progress waits for nobody.
    if (!Lives(order) || image.is_late) continue;
    Check(image.told_steps == image.next_row / order.asked->rows_a_step, "progress is told at once",
          absl::StrCat(Name(order, static_cast<int>(i)), " was told of ", image.told_steps,
                       " steps after ", image.next_row, " rows"));
    Check(!may_be_told || !order.Drawn(image) || image.told, "images are told at once",
          Name(order, static_cast<int>(i)));
  }
  if (!may_be_told) return;
  Check(order.cancelled > now, "a cancel is told at once", Name(order));
  Check(!order.bad && !all_drawn, "an end is told at once", Name(order));
  // While all workers are busy nobody looks at the time before one has done its step.
  Check(!idle || order.deadline > now, "a passed deadline is told at once", Name(order));
}

// Of requests that go on, all previews that are due have been told or dropped, or wait.
void Promises::CheckWaitingPreviews() {
  int waiting = 0;
  previews_waiting_ = -1;
  for (Order& order : orders_) {
    if (order.asked->preview_every == 0 || !order.admitted || order.told.has_value()) continue;
    if (Troubled(order)) return;  // Perhaps they were dropped with it.
    const int kinds = order.asked->preview == PreviewContent::kBoth ? 2 : 1;
    waiting -= order.previews_told + order.previews_dropped;
    for (OrderedImage& image : order.images) {
      const int steps = std::min(image.next_row / order.asked->rows_a_step, order.asked->steps - 1);
      const int due = steps / order.asked->preview_every;
      waiting += due * kinds;
      if (image.is_late) return;  // Nobody knows whether it counts.
      image.due_preview = due * order.asked->preview_every;
    }
  }
  Check(waiting <= world_.max_waiting_previews, "waiting previews",
        absl::StrCat(waiting, " wait, allowed: ", world_.max_waiting_previews));
  previews_waiting_ = waiting;
}

// What has begun may always go on; and more may begin where nothing has, or where places are free.
void Promises::CheckNobodyIdles() {
  struct Work {
    int holding = 0;
    std::string waits_begun, waits, may_begin;
  };
  std::map<std::string, Work> models;
  for (const Order& order : orders_) {
    if (!order.admitted) continue;
    Work& work = models[order.model];
    const bool lives = Lives(order);
    for (size_t i = 0; i < order.images.size(); ++i) {
      const OrderedImage& image = order.images[i];
      if (!image.at_it.empty() || (image.begun && lives && !order.Drawn(image))) ++work.holding;
      if (!lives || order.Drawn(image) || !image.at_it.empty() || image.is_late) continue;
      const std::string name = Name(order, static_cast<int>(i));
      (image.begun ? work.waits_begun : work.waits) = name;
      if (!image.begun && MayBegin(order)) work.may_begin = name;
    }
  }
  for (const auto& [model, work] : models) {
    Check(work.waits_begun.empty(), "no worker is idle beside work", work.waits_begun);
    Check(work.waits.empty() || work.holding > 0, "no worker is idle beside work", work.waits);
    Check(work.may_begin.empty(), "no worker is idle beside what may begin", work.may_begin);
    if (!work.waits.empty()) Sometimes("an image may not begin beside an idle worker");
  }
}

}  // namespace diffusiond
