#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "core/association.h"

namespace siglane {

class ProtocolModule;

namespace diversion {

// An association goes to live on another shard. Its old home passes on what still comes; each
// shard whose mark it has passed sends what it held to the new home.
struct Move {
  AssociationId who{};
  ShardId from{}, to{};
};

// A module gives flows another path (a group of servers resumes, or spreads its load over
// others). What cannot be delivered any more by the old path has come back to the flow's
// coordinator when every shard has had all its marks passed: everything under way is gathered
// there, in order. The coordinator decides on the new path and sends on what it has. Once every
// coordinator has, each shard follows, and routes what it held.
struct Flow {
  AssociationId coordinator{};
  ProtocolModule* module = nullptr;
};
struct Reroute {
  std::shared_ptr<const std::vector<Flow>> flows;  // by coordinator, ascending
};

}  // namespace diversion

// A change of the path that a flow takes between shards, such that nothing of it overtakes
// anything. Every shard hears of it through its mailbox, never by a pointer that is swapped. It
// holds what is new of the flow, and puts a mark behind all that it sent by the old path. A shard
// that gets a mark has dealt with everything before it, and says Passed. What each shard does, and
// when, is a table (diverter.h).
//
// One at a time in a node (DiversionTurns): two whose paths cross would need marks of marks. But
// one reroute serves many flows, all that wait for their turn: what could not be delivered of a
// flow goes to its own coordinator alone, so that no flow waits for another's marks.
struct Diversion {
  using Move = diversion::Move;
  using Flow = diversion::Flow;
  using Reroute = diversion::Reroute;

  const Move* move() const { return std::get_if<Move>(&change); }
  const std::vector<Flow>& flows() const { return *std::get<Reroute>(change).flows; }
  // Is its path the one that changes?
  bool concerns(AssociationId to_whom) const {
    if (const Move* moves = move()) return to_whom == moves->who;
    return std::ranges::binary_search(flows(), to_whom, {}, &Flow::coordinator);
  }

  std::uint64_t number = 0;  // of the node, ascending
  std::variant<Move, Reroute> change;
};

// What shards tell each other of it.
struct Diverted {
  Diversion diversion;
};
struct Mark {
  std::uint64_t diversion = 0;
  ShardId sender{};
};
struct Passed {
  std::uint64_t diversion = 0;
};
struct Gathered {
  std::uint64_t diversion = 0;
};
struct Settled {
  std::uint64_t diversion = 0;
};

}  // namespace siglane
