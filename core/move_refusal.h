#pragma once
#include <string_view>

namespace siglane {

// Why an association is not moved to another shard (Shard::move). Unless it says otherwise it stays
// unharmed, and what is marked "for now" may be asked for again soon.
enum class MoveRefusal {
  gone,            // no association of that id is here: it has ended, or lives on another shard
  coordinator,     // a session without an association
  closing,         // it is being closed, was refused, or has ended
  not_identified,  // for now: nobody knows which peer it is
  claimed,         // for now: another association waits to hear whether it may be its peer
  same_shard,      // it lives there
  no_such_shard,
  stopping,        // this shard stops
  bound,           // its transport must stay on this loop, or it is not up
  diverting,       // for now: another change of a path is under way in this node
  waits_for_room,  // for now: something it has sent waits on its way to another shard
  target_full,     // for now: the mailbox of the other shard is full
  no_descriptor,   // for now: none to spare for a socket of its own
  lost,            // the stack gave it up meanwhile: its Down follows
};
std::string_view name_of(MoveRefusal reason);

}  // namespace siglane
