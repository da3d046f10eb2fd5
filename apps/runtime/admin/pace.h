#pragma once
#include <algorithm>

#include "core/time.h"

namespace siglane::runtime {

// When the next thing may be done: after a rest, `burst` of them at once, then one in each
// `interval`. Pure.
class Pace {
 public:
  Pace(Duration interval, int burst) : interval_(interval), lead_(interval * (burst - 1)) {}

  // In the past: at once.
  Instant next() const { return due_ - lead_; }
  void take(Instant now) { due_ = std::max(due_, now) + interval_; }

 private:
  Duration interval_, lead_;
  Instant due_{};  // of one that comes without hurry
};

}  // namespace siglane::runtime
