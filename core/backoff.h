#pragma once
#include <algorithm>

#include "core/random.h"
#include "core/time.h"

namespace siglane {

struct BackoffConfig {
  Duration first = 250ms;
  Duration longest = 30s;
  // What lasts so long was a success. Less was not: a peer that takes each connection and ends it
  // at once would otherwise be connected to again and again, after the first wait each time.
  Duration lasting = 10s;
};

// Jittered exponential back-off: the n-th wait is uniform in [half, whole] of first * 2^n, up to
// `longest`; reset() after a success.
class Backoff {
 public:
  explicit Backoff(BackoffConfig config) : config_(config), whole_(config.first) {}

  Duration next(Random& random) {
    const Duration whole = whole_;
    whole_ = std::min(config_.longest, whole_ * 2);
    return whole / 2 + Duration(static_cast<Duration::rep>(
                           random.below(static_cast<std::uint64_t>(whole.count()) / 2 + 1)));
  }
  void reset() { whole_ = config_.first; }
  void use(const BackoffConfig& config) {
    whole_ = std::clamp(whole_, config.first, std::max(config.first, config.longest));
    config_ = config;
  }

 private:
  BackoffConfig config_;
  Duration whole_;
};

}  // namespace siglane
