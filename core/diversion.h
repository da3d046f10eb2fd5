#pragma once
#include <cstdint>

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
//   A reroute: a module gives a flow another path (a group of servers resumes, or
//   spreads its load over others). What cannot be delivered any more by the old path has come back
//   to the flow's coordinator when every shard has had all its marks passed: everything under way
//   is gathered there, in order. The coordinator decides on the new path and sends on what it has;
//   then each shard follows, and routes what it held.
//
// One at a time in a node (Directory): two whose paths cross would need marks of marks.
struct Diversion {
  std::uint64_t number = 0;            // of the node, ascending
  AssociationId flow{};                // who moves, or the coordinator of what is rerouted
  ShardId from{}, to{};                // a move
  ProtocolModule* rerouted = nullptr;  // null: a move
};

}  // namespace siglane
