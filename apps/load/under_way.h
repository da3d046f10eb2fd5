#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace siglane::load {

// What was sent and has no answer yet, by tag. A tag is never given out twice, so whatever comes
// back a second time finds nothing. Memory is that of the most that were under way at once.
template <class T>
class UnderWay {
 public:
  std::uint64_t add(T value) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = slots_[index];
    slot.value = std::move(value);
    ++size_;
    return std::uint64_t{slot.generation} << 32 | index;
  }
  std::optional<T> take(std::uint64_t tag) {
    const auto index = static_cast<std::uint32_t>(tag);
    if (index >= slots_.size()) return std::nullopt;
    Slot& slot = slots_[index];
    if (!slot.value || slot.generation != static_cast<std::uint32_t>(tag >> 32)) {
      return std::nullopt;
    }
    ++slot.generation;
    free_.push_back(index);
    --size_;
    return std::exchange(slot.value, std::nullopt);
  }
  std::size_t size() const { return size_; }

 private:
  struct Slot {
    std::optional<T> value;
    std::uint32_t generation = 0;
  };
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace siglane::load
