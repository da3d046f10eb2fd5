#pragma once
#include <cstdint>

#include "core/time.h"

namespace siglane::transport {

// Events per second over the last whole second or so. Needs no timer: windows roll when something
// is counted, and a rate that nobody fed for two windows is measured up to now.
class RateWindow {
 public:
  void count(Instant now, std::uint64_t n = 1) {
    if (now - start_ >= kLength) roll(now);
    count_ += n;
  }
  double per_second(Instant now) const {
    const Duration open = now - start_;
    return open < kLength ? last_ : static_cast<double>(count_) / seconds(open);
  }

 private:
  static constexpr Duration kLength = 1s;

  void roll(Instant now) {
    last_ = start_ == Instant{} ? 0 : static_cast<double>(count_) / seconds(now - start_);
    start_ = now;
    count_ = 0;
  }

  Instant start_{};
  std::uint64_t count_ = 0;
  double last_ = 0;
};

}  // namespace siglane::transport
