#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/association.h"

namespace siglane {

class ProtocolModule;

// A change of the path that a flow takes between shards, such that nothing of it overtakes
// anything. Every shard hears of it through its mailbox, never by a pointer that is swapped; it
// holds what is new of the flow, and puts a mark behind all that it sent by the old path. Who gets
// a mark has dealt with everything before it, and says Passed.
//
//   A move: an association goes to live on another shard. Its old home passes on what still comes;
//   each shard whose mark it has passed sends what it held to the new home.
//
//   A reroute: a module gives a flow another path (a group of servers resumes, or spreads its load
//   over others). What cannot be delivered any more by the old path has come back to the flow's
//   coordinator when every shard has had all its marks passed: everything under way is gathered
//   there, in order. The coordinator decides on the new path and sends on what it has; once every
//   coordinator has, each shard follows, and routes what it held.
//
// One at a time in a node (Directory): two whose paths cross would need marks of marks. But one
// reroute serves many flows, all that wait for their turn: what could not be delivered of a flow
// goes to its own coordinator alone, so that no flow waits for another's marks.
struct Diversion {
  struct Flow {
    AssociationId coordinator{};
    ProtocolModule* module = nullptr;
  };

  std::uint64_t number = 0;                           // of the node, ascending
  AssociationId mover{};                              // a move
  ShardId from{}, to{};                               // a move
  std::shared_ptr<const std::vector<Flow>> rerouted;  // by coordinator, ascending; null: a move

  bool is_move() const { return rerouted == nullptr; }
  // Is its path the one that changes?
  bool concerns(AssociationId to_whom) const {
    if (is_move()) return to_whom == mover;
    return std::ranges::binary_search(*rerouted, to_whom, {}, &Flow::coordinator);
  }
};

}  // namespace siglane
