#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/parcel.h"
#include "core/selector_table.h"
#include "core/time.h"

namespace siglane {

// Ordered flows, by selector, over members that come and go: traffic over the servers of a group,
// or over the links of a linkset. Says which member carries which flow, holds what none can carry
// now, and knows whether an event changes the path of the flows, so that it needs a diversion
// (core/diversion.h). Its user, a coordinator, has the protocol's state machine and tells it the
// state. Pure: it sends nothing and calls nobody.
//
// Why nothing overtakes an older message of its flow: while anything is held, what is new is held
// behind it. During a diversion everything is held, and what comes back from a member that could
// not deliver it (Parcel::tried) goes before what is new. What changes the path, its user does
// right after rerouted() and before it drains what is held: all that waits at once, so that nothing
// is sent to a member that is about to leave.
class FlowGroup {
 public:
  enum class State : std::uint8_t {
    closed,   // no message is taken
    pending,  // no member is available, one may come soon: messages are held
    open,     // members carry messages
  };
  enum class Spread : std::uint8_t {
    by_selector,  // each message to the member that carries its selector
    to_all,       // each to all members; so all pass through the coordinator
  };
  struct Limits {
    std::size_t held_messages_max = 16'384;
    std::size_t held_bytes_max = std::size_t{16} << 20;
    std::size_t drained_per_ms_max = 256;  // that a member's send queue can follow
  };

  FlowGroup(Spread spread, const Limits& limits) : spread_(spread), limits_(limits) {}

  // Other limits from now on. What is held already stays.
  void use(const Limits& limits) { limits_ = limits; }

  // --- Members: those that are available. See SelectorTable.
  void join(const std::string& name, AssociationId id);
  void leave(AssociationId id);
  const std::vector<AssociationId>& members() const { return members_; }
  const Carriers& carriers() const { return table_.carriers(); }

  State state() const { return state_; }
  // What is held stays: to close, say give_up() too.
  void enter(State state);

  // --- The path: nowhere, through the coordinator, or straight to the carriers.
  bool through_coordinator() const;
  // Would it change, if that member joined or left, and the state were `then` afterwards? A member
  // that gets no selector, or had none, changes nothing; nor does any where the spread is to_all.
  bool changes_if_joined(const std::string& name, AssociationId id, State then) const;
  bool changes_if_left(AssociationId id, State then) const;
  // true: open, and all that was held is sent. One more diversion, and messages go straight.
  bool may_go_straight() const;

  // --- A diversion of the path is under way: from reroute() until rerouted().
  bool rerouting() const { return rerouting_; }
  // true: it has to be asked for. false: it is under way already.
  [[nodiscard]] bool reroute();
  // All that was under way is here.
  void rerouted();

  // --- Messages
  enum class Taken : std::uint8_t {
    to_send,  // and untouched: send it now
    held,
    refused_closed,  // and untouched
    refused_full,
  };
  [[nodiscard]] Taken take(ParcelPtr& message);
  std::size_t held() const { return held_.size() + returned_.size(); }
  // The oldest of what is held, at most as many as the limit says: to be sent now, in this order.
  // Empty unless open, and before deadline(). The rest follows a millisecond later.
  std::vector<ParcelPtr> drain(Instant now);
  // When to drain the next.
  std::optional<Instant> deadline() const;
  // All that is held, but not what a diversion still gathers; in order.
  std::deque<ParcelPtr> give_up();

 private:
  bool straight_before_and(State then) const;
  bool changes_by_state(State then) const;
  static std::size_t cost_of(const Parcel& message);

  Spread spread_;
  Limits limits_;
  State state_ = State::closed;
  std::vector<AssociationId> members_;  // in the order in which they joined
  SelectorTable table_;
  bool rerouting_ = false;
  std::deque<ParcelPtr> held_;
  std::deque<ParcelPtr> returned_;  // while rerouting: older than all that is held
  std::size_t bytes_ = 0;           // of both
  std::optional<Instant> drain_at_;
};

}  // namespace siglane
