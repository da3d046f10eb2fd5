#include "core/balance.h"

#include <algorithm>

namespace siglane {
namespace {

// Of the waiting on both shards, so much must be saved.
constexpr double kGainMin = 0.3;
// What takes less than this of a shard's time is not worth a move.
constexpr double kCandidateMin = 0.05;

// Beyond, a measure of a second cannot tell how long the queue is.
constexpr double kFull = 0.98;

double waiting(double busy, std::size_t associations) {
  const double at_most = std::clamp(busy, 0.0, kFull);
  return static_cast<double>(associations) * at_most / (1 - at_most);
}

double waiting(const ShardLoad& load) {
  return waiting(load.busy, load.associations);
}

}  // namespace

std::optional<MoveChoice> choose_move(ShardId own, std::span<const ShardLoad> loads,
                                      std::span<const MoveCandidate> candidates) {
  const ShardLoad& here = loads[static_cast<std::size_t>(own)];
  if (here.busy < kBusyEnoughToMove || here.associations < 2) return std::nullopt;
  std::optional<MoveChoice> best;
  double saved_most = 0;
  for (const MoveCandidate& candidate : candidates) {
    if (candidate.busy < kCandidateMin) continue;
    const double rest = waiting(here.busy - candidate.busy, here.associations - 1);
    for (std::size_t i = 0; i < loads.size(); ++i) {
      if (static_cast<ShardId>(i) == own) continue;
      const ShardLoad& there = loads[i];
      if (there.associations > 0 && there.busy + candidate.busy > kFull) continue;
      const double before = waiting(here) + waiting(there);
      const double after = rest + waiting(there.busy + candidate.busy, there.associations + 1);
      const double saved = before - after;
      if (saved < kGainMin * before || saved <= saved_most) continue;
      saved_most = saved;
      best = MoveChoice{candidate.id, static_cast<ShardId>(i)};
    }
  }
  return best;
}

}  // namespace siglane
