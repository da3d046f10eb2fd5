#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/counter.h"
#include "core/sparse_counts.h"

namespace siglane {

// What one shard counted for each combination of labels. On the shard's thread, and so is reading.
// The first count allocates the table, 192 KiB; later ones allocate nothing, but for the first of a
// counter that finds no row.
class LabelledCounts {
 public:
  // Rows for single combinations. Peers choose some of the numbers, so there is a bound: beyond it,
  // a counter's other combinations share one row.
  static constexpr std::size_t kRowsMax = 4096;

  template <std::size_t N>
  void add(const LabelledCounter<N>& counter, const typename LabelledCounter<N>::Values& values,
           std::uint64_t n) {
    Row wanted{static_cast<std::uint32_t>(counter.total().index()), {}, n};
    std::ranges::copy(values, wanted.values.begin());
    add(wanted);
  }

  // Visits each combination that was counted, in no particular order. No `values`: the others.
  void visit(
      const std::function<void(const CounterInfo& counter, std::span<const std::uint32_t> values,
                               std::uint64_t count)>& visit) const;

 private:
  struct Row {
    std::uint32_t counter = 0;
    std::array<std::uint32_t, kLabelsMax> values{};
    std::uint64_t count = 0;  // 0: a free place
  };

  void add(const Row& wanted);

  std::vector<Row> places_;  // open addressing, at most half full
  std::size_t rows_ = 0;
  SparseCounts others_;
};

}  // namespace siglane
