#pragma once
#include <cstddef>
#include <optional>
#include <span>

#include "core/association.h"

namespace siglane {

// How a shard fares: the part of its time that it works, 0 to 1, and how many associations live on
// it and so wait for each other.
struct ShardLoad {
  double busy = 0;
  std::size_t associations = 0;
};

// One that has a socket of its own, and the part of its shard's time that it takes.
struct MoveCandidate {
  AssociationId id{};
  double busy = 0;
};

struct MoveChoice {
  AssociationId id{};
  ShardId to{};
};

// A shard that is less busy than this lets nobody wait, and moves nothing.
inline constexpr double kBusyEnoughToMove = 0.25;

// Which association should leave `own` shard for which other one, if any. What counts is how long
// all associations wait together: on each shard their number times busy / (1 - busy), as in a
// single queue. A move must save a good part of that on the two shards that it touches, so that an
// error of measurement moves nothing to and fro. So a loud peer goes where few wait for it, and
// stays where it already has a shard for itself; and nothing goes where it would fill a shard for
// others. `loads` by shard. Pure.
std::optional<MoveChoice> choose_move(ShardId own, std::span<const ShardLoad> loads,
                                      std::span<const MoveCandidate> candidates);

}  // namespace siglane
