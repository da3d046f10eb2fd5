#include "core/histogram.h"

#include <algorithm>
#include <cmath>

namespace siglane {

std::uint64_t Histogram::quantile(double share) const {
  if (count_ == 0) return 0;
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(
             std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (const Few& one : few_) {
    seen += one.times;
    if (seen >= wanted) return upper_edge(one.bucket);
  }
  for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    seen += counts_[bucket];
    if (seen >= wanted) return upper_edge(bucket);
  }
  return upper_edge(kBuckets - 1);
}

void Histogram::merge(const Histogram& other) {
  for (const Few& one : other.few_) add(one.bucket, one.times);
  if (!other.counts_.empty() && counts_.empty()) spread_few();
  for (std::size_t bucket = 0; bucket < other.counts_.size(); ++bucket) {
    counts_[bucket] += other.counts_[bucket];
  }
  count_ += other.count_;
}

void Histogram::add_to_few(std::uint32_t bucket, std::uint32_t times) {
  const auto at = std::ranges::lower_bound(few_, bucket, {}, &Few::bucket);
  const bool known = at != few_.end() && at->bucket == bucket;
  if (known && at->times <= ~times) {
    at->times += times;
  } else if (!known && few_.size() < kFewMax) {
    few_.insert(at, {bucket, times});
  } else {
    spread_few();
    counts_[bucket] += times;
  }
}

void Histogram::spread_few() {
  counts_.resize(kBuckets);
  for (const Few& one : few_) counts_[one.bucket] += one.times;
  few_ = {};
}

}  // namespace siglane
