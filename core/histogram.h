#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

namespace siglane {

// Log-linear counts of non-negative values: 32 steps to each doubling, so every quantile is within
// 3.2 % of the truth, from 1 to 2^40 (18 minutes in ns); larger values count as the largest.
// While the values are few it keeps just those, as most associations are sporadic; with more than
// 64 different ones it takes 9 KiB. One thread.
class Histogram {
 public:
  void record(std::uint64_t value, std::uint32_t times = 1) {
    add(bucket_of(value), times);
    count_ += times;
  }
  std::uint64_t count() const { return count_; }
  // The smallest value such that at least `share` (0..1) of the recorded ones are not greater,
  // rounded up to its bucket's upper edge; 0 if nothing was recorded.
  std::uint64_t quantile(double share) const;
  void merge(const Histogram& other);
  void clear() {
    counts_.assign(counts_.size(), 0);
    few_.clear();
    count_ = 0;
  }

 private:
  static constexpr unsigned kStepBits = 5;
  static constexpr std::uint64_t kSteps = 1u << kStepBits;
  static constexpr unsigned kDoublings = 35;
  static constexpr std::size_t kBuckets = kSteps * (kDoublings + 1);

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < kSteps) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kStepBits - 1;
    const std::size_t bucket = (shift + 1) * kSteps + ((value >> shift) - kSteps);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  static std::uint64_t upper_edge(std::size_t bucket) {
    if (bucket < kSteps) return bucket;
    const unsigned shift = static_cast<unsigned>(bucket / kSteps) - 1;
    return ((kSteps + bucket % kSteps + 1) << shift) - 1;
  }

  struct Few {
    std::uint32_t bucket, times;
  };
  static constexpr std::size_t kFewMax = 64;

  void add(std::size_t bucket, std::uint32_t times) {
    if (counts_.empty()) {
      add_to_few(static_cast<std::uint32_t>(bucket), times);
    } else {
      counts_[bucket] += times;
    }
  }
  void add_to_few(std::uint32_t bucket, std::uint32_t times);
  void spread_few();

  std::vector<Few> few_;               // by bucket; empty once there are counts
  std::vector<std::uint64_t> counts_;  // by bucket; empty as long as there are few
  std::uint64_t count_ = 0;
};

}  // namespace siglane
