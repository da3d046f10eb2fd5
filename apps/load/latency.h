#pragma once
#include <algorithm>
#include <cstdint>

#include "core/histogram.h"
#include "core/time.h"

namespace siglane::load {

// How long things took. Quantiles are within 3.2 %, the largest value is exact. One thread.
class Latency {
 public:
  // Negative durations (there are none on one clock) count as zero.
  void record(Duration took) {
    const auto ns = static_cast<std::uint64_t>(std::max<Duration::rep>(took.count(), 0));
    histogram_.record(ns);
    largest_ns_ = std::max(largest_ns_, ns);
    sum_ns_ += ns;
  }
  void merge(const Latency& other) {
    histogram_.merge(other.histogram_);
    largest_ns_ = std::max(largest_ns_, other.largest_ns_);
    sum_ns_ += other.sum_ns_;
  }

  std::uint64_t count() const { return histogram_.count(); }
  // In microseconds; 0 if nothing was recorded. Never more than max_us().
  double quantile_us(double share) const {
    return static_cast<double>(std::min(histogram_.quantile(share), largest_ns_)) / 1e3;
  }
  double max_us() const { return static_cast<double>(largest_ns_) / 1e3; }
  double mean_us() const {
    return count() == 0 ? 0 : static_cast<double>(sum_ns_) / 1e3 / static_cast<double>(count());
  }

 private:
  Histogram histogram_;
  std::uint64_t largest_ns_ = 0;
  std::uint64_t sum_ns_ = 0;
};

}  // namespace siglane::load
