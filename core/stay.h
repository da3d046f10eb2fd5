#pragma once
#include <algorithm>

#include "core/time.h"

namespace siglane {

// How long an association that came from another shard stays where it is: a while, as the measures
// need time to tell what that has changed; and twice as long each time that it is soon sent on. A
// peer that sends as fast as it can fills whichever shard it is on, and would be moved for ever.
class Stay {
 public:
  static constexpr Duration kShortest = 10s, kLongest = 1280s;

  void begin(Instant now) {
    const bool soon = begun_ != Instant{} && now - begun_ < 4 * length_;
    length_ = soon ? std::min(2 * length_, kLongest) : kShortest;
    begun_ = now;
  }
  bool over(Instant now) const { return begun_ == Instant{} || now - begun_ >= length_; }

 private:
  Instant begun_{};  // none: it has never been moved
  Duration length_ = kShortest;
};

}  // namespace siglane
