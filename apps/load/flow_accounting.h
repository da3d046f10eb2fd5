#pragma once
#include <cstddef>
#include <cstdint>
#include <map>

namespace siglane::load {

// What the receiver learns from one sequence number.
enum class Arrival {
  in_order,      // the next one, or one after a gap
  out_of_order,  // it fills a gap: a later one came first
  duplicate      // it was here before
};

// Judges one flow, whose sender numbers its messages 0, 1, 2 ... Exact, with memory for the gaps
// only: at most `gaps_max` of them are kept, beyond that the oldest is written off as lost for
// good (should its numbers come after all, they count as duplicates: a failed run either way).
class FlowReceiver {
 public:
  explicit FlowReceiver(std::size_t gaps_max = 1024) : gaps_max_(gaps_max) {}

  Arrival receive(std::uint64_t sequence);

  // Numbers passed over and not seen since.
  std::uint64_t missing() const { return missing_ + written_off_; }
  // What is lost of a flow whose sender has sent `sent`, if nothing more is to come.
  std::uint64_t lost(std::uint64_t sent) const {
    return missing() + (sent > next_ ? sent - next_ : 0);
  }
  std::uint64_t next() const { return next_; }

 private:
  void add_gap(std::uint64_t first, std::uint64_t last);

  std::map<std::uint64_t, std::uint64_t> gaps_;  // first missing -> one past the last missing
  std::uint64_t next_ = 0;
  std::uint64_t missing_ = 0;
  std::uint64_t written_off_ = 0;
  std::size_t gaps_max_;
};

}  // namespace siglane::load
