#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace siglane {

// Counts by a counter's index, for the many who count few of all counters: 16 bytes for each one
// that was ever counted. A counter's first count may allocate, the later ones do not.
class SparseCounts {
 public:
  struct Entry {
    std::uint32_t index = 0;
    std::uint64_t count = 0;
  };

  void add(std::size_t index, std::uint64_t n) {
    const auto at = std::ranges::lower_bound(entries_, index, {}, &Entry::index);
    if (at != entries_.end() && at->index == index) {
      at->count += n;
    } else {
      insert(at, index, n);
    }
  }
  std::uint64_t get(std::size_t index) const {
    const auto at = std::ranges::lower_bound(entries_, index, {}, &Entry::index);
    return at != entries_.end() && at->index == index ? at->count : 0;
  }
  std::span<const Entry> entries() const { return entries_; }  // by index

 private:
  // A peer keeps what it has: growth by a few entries instead of the double.
  static constexpr std::size_t kGrowth = 4;

  void insert(std::vector<Entry>::iterator at, std::size_t index, std::uint64_t n) {
    const auto offset = at - entries_.begin();
    if (entries_.size() == entries_.capacity()) entries_.reserve(entries_.size() + kGrowth);
    entries_.insert(entries_.begin() + offset, {static_cast<std::uint32_t>(index), n});
  }

  std::vector<Entry> entries_;
};

}  // namespace siglane
