#include "core/labelled_counts.h"

namespace siglane {
namespace {

constexpr unsigned kPlacesLog2 = 13;
static_assert((std::size_t{1} << kPlacesLog2) == 2 * LabelledCounts::kRowsMax);
// A peer could choose numbers whose places collide. Even so a count looks at so many places at
// most; without that intent, hardly any row is so far from its first place.
constexpr std::size_t kProbesMax = 64;

}  // namespace

void LabelledCounts::add(const Row& wanted) {
  if (wanted.count == 0) return;
  if (places_.empty()) places_.resize(std::size_t{1} << kPlacesLog2);
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
  std::uint64_t hash = wanted.counter * kOdd;
  for (const std::uint32_t value : wanted.values) hash = (hash ^ (hash >> 29) ^ value) * kOdd;
  std::size_t at = hash >> (64 - kPlacesLog2);
  for (std::size_t i = 0; i < kProbesMax; ++i, at = (at + 1) % places_.size()) {
    Row& row = places_[at];
    if (row.count == 0) {
      if (rows_ == kRowsMax) break;
      row = wanted;
      ++rows_;
      return;
    }
    if (row.counter == wanted.counter && row.values == wanted.values) {
      row.count += wanted.count;
      return;
    }
  }
  others_.add(wanted.counter, wanted.count);
}

void LabelledCounts::visit(
    const std::function<void(const CounterInfo& counter, std::span<const std::uint32_t> values,
                             std::uint64_t count)>& visit) const {
  const auto catalogue = counter_catalogue();
  for (const Row& row : places_) {
    if (row.count == 0) continue;
    const CounterInfo& counter = catalogue[row.counter];
    visit(counter, std::span(row.values).first(counter.labels.size()), row.count);
  }
  for (const auto& [index, count] : others_.entries()) visit(catalogue[index], {}, count);
}

}  // namespace siglane
