#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/random.h"
#include "core/time.h"

namespace siglane::load {

// open_loop: what is sent, and when, is decided beforehand, whatever the other side does with it.
// closed_loop: as many as the window holds are always under way.
enum class PaceMode { open_loop, closed_loop };

struct PaceConfig {
  PaceMode mode = PaceMode::open_loop;
  double per_second = 1;    // open loop: the mean rate; greater than 0
  double jitter = 1;        // open loop, 0..1: how much of its slot an arrival is spread over
  std::size_t window = 32;  // at most so many under way, in either mode; greater than 0
};

// When one sender sends. Open loop: arrival n is due somewhere in slot n of a schedule that is
// fixed at start; a sender that is held up (by its window, or by a busy machine) catches up later,
// and the time it was due stays what it was. Whoever measures from take()'s answer thus also sees
// the waiting that a slow peer causes before a request is sent (no coordinated omission).
class Pacer {
 public:
  Pacer(PaceConfig config, std::uint64_t seed);

  // Nothing is due before start(), nor at or after `end`.
  void start(Instant start, Instant end);

  // The time at which the next one is or was due, if it may be sent now: that is what its latency
  // counts from. The caller sends one for each answer.
  std::optional<Instant> take(Instant now, std::size_t under_way);
  // Gives up what is due by `now` and was not taken (there was nobody to send to, or the window
  // stayed full); how many these were.
  std::uint64_t skip(Instant now);
  // The same, and nothing is due any more.
  std::uint64_t stop(Instant now);

  // Open loop: when the next one is due; nullopt if only an answer can help, or it is over. Closed
  // loop: always nullopt, for there take() is tried at the start and after each answer.
  std::optional<Instant> deadline(std::size_t under_way) const;

 private:
  Instant due_at(std::uint64_t slot, double share) const;
  void advance();

  PaceConfig config_;
  Random random_;
  double interval_ns_;
  double phase_ = 0;  // the whole schedule's shift, in slots: so that senders do not march in step
  std::optional<Instant> start_;
  Instant end_{};
  std::uint64_t slot_ = 0;
  Instant next_{};
};

}  // namespace siglane::load
