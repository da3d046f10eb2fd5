#include "apps/load/pacer.h"

#include <algorithm>

namespace siglane::load {

Pacer::Pacer(PaceConfig config, std::uint64_t seed)
    : config_(config), random_(seed), interval_ns_(1e9 / std::max(config.per_second, 1e-6)) {
  phase_ = random_.unit();
}

void Pacer::start(Instant start, Instant end) {
  start_ = start;
  end_ = end;
  slot_ = 0;
  next_ = config_.mode == PaceMode::open_loop ? due_at(0, random_.unit()) : start;
}

// Counted from the start each time, so that rounding never adds up. With jitter <= 1 an arrival
// stays within its own slot's length, which keeps the schedule monotonic.
Instant Pacer::due_at(std::uint64_t slot, double share) const {
  const double slots = static_cast<double>(slot) + phase_ + config_.jitter * share;
  return *start_ + Duration(static_cast<Duration::rep>(slots * interval_ns_));
}

void Pacer::advance() {
  ++slot_;
  next_ = due_at(slot_, random_.unit());
}

std::optional<Instant> Pacer::take(Instant now, std::size_t under_way) {
  if (!start_ || now < *start_ || under_way >= config_.window) return std::nullopt;
  if (config_.mode == PaceMode::closed_loop) {
    return now < end_ ? std::optional(now) : std::nullopt;
  }
  if (next_ > now || next_ >= end_) return std::nullopt;
  const Instant due = next_;
  advance();
  return due;
}

std::uint64_t Pacer::skip(Instant now) {
  if (!start_ || config_.mode == PaceMode::closed_loop) return 0;
  std::uint64_t skipped = 0;
  while (next_ <= now && next_ < end_) {
    advance();
    ++skipped;
  }
  return skipped;
}

std::uint64_t Pacer::stop(Instant now) {
  const std::uint64_t skipped = skip(now);
  end_ = Instant::min();
  return skipped;
}

std::optional<Instant> Pacer::deadline(std::size_t under_way) const {
  if (!start_ || config_.mode == PaceMode::closed_loop) return std::nullopt;
  if (under_way >= config_.window || next_ >= end_) return std::nullopt;
  return next_;
}

}  // namespace siglane::load
