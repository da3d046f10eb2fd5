#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/diversion.h"
#include "core/mailbox.h"

namespace siglane {

// One shard's part in a diversion (diversion.h), as data: Diverter runs by this table. At most one
// diversion is under way in a node, and each shard has seen the end of one before it hears of the
// next, so a shard needs one state.

enum class DiverterState : std::uint8_t {
  idle,
  leaving,     // a move from here: what still comes for the association is passed on
  holding,     // a move: what is new for it is held until our mark was passed
  moved,       // a move: what is new goes to the new home
  gathering,   // a reroute: the flows are held until all our marks were passed; they stay held
  gathered,    // until every shard's were
  sending_on,  // until what our coordinators sent on is out of this shard
  sent_on,     // until that is true of every shard
};

enum class DiverterEvent : std::uint8_t {
  leave,         // the association moves from this shard
  move,          // we hear of a move, or the association arrives
  reroute,       // we hear of a reroute
  passed,        // one of our marks was passed, and others were not
  all_passed,    // it was the last one
  all_gathered,  // every shard's marks were passed
  all_out,       // what our coordinators sent on is out
  all_followed,  // every shard has reported this step, and we were the last
  settled,       // it is over
};

// What the shard does then, in the table's order.
enum class DiverterStep : std::uint8_t {
  announce,           // Diverted to the others, and the association to its new home
  ask_anew,           // where the association lives
  mark_old_home,      // behind all that we sent to it
  mark_all,           // behind all that we sent to each shard, this one too
  hold_flows,         // the modules forward them to their coordinators
  release,            // what was held goes to the new home
  report,             // to the directory: if all shards have, it is all_followed
  tell_gathered,      // to all
  step_coordinators,  // each decides on the new path, and sends on what it has
  await_out,          // then it is all_out
  settle_home,        // the directory leads to the new home
  tell_settled,       // to all
  end,                // the next diversion begins, if flows wait for one
  follow,             // the modules route by the new path
  route,              // what was held
};

struct DiverterRow {
  DiverterState state;
  DiverterEvent event;
  std::span<const DiverterStep> steps;
  DiverterState next;
};

namespace detail {
template <DiverterStep... steps>
inline constexpr std::array<DiverterStep, sizeof...(steps)> kSteps = {steps...};

inline constexpr auto diverter_rows() {
  using S = DiverterState;
  using E = DiverterEvent;
  using D = DiverterStep;
  return std::to_array<DiverterRow>({
      {S::idle, E::leave, kSteps<D::ask_anew, D::announce, D::report>, S::leaving},
      {S::leaving, E::settled, kSteps<D::ask_anew>, S::idle},

      {S::idle, E::move, kSteps<D::ask_anew, D::mark_old_home>, S::holding},
      {S::holding, E::all_passed, kSteps<D::release, D::report>, S::moved},
      {S::moved, E::all_followed, kSteps<D::settle_home, D::tell_settled, D::end>, S::moved},
      {S::moved, E::settled, kSteps<D::ask_anew>, S::idle},

      {S::idle, E::reroute, kSteps<D::hold_flows, D::mark_all>, S::gathering},
      {S::gathering, E::passed, {}, S::gathering},
      {S::gathering, E::all_passed, kSteps<D::report>, S::gathered},
      {S::gathered, E::all_followed, kSteps<D::tell_gathered>, S::gathered},
      {S::gathered, E::all_gathered, kSteps<D::step_coordinators, D::await_out>, S::sending_on},
      {S::sending_on, E::all_out, kSteps<D::report>, S::sent_on},
      {S::sent_on, E::all_followed, kSteps<D::tell_settled, D::end>, S::sent_on},
      {S::sent_on, E::settled, kSteps<D::follow, D::route>, S::idle},
  });
}
}  // namespace detail

inline constexpr auto kDiverterRows = detail::diverter_rows();

// Says what a shard has to do in a diversion, and keeps what is held meanwhile. Sends nothing and
// calls nobody. On the shard's thread.
class Diverter {
 public:
  explicit Diverter(ShardId own) : own_(own) {}

  // The steps that an event calls for, and what they need. The state has changed already.
  struct Todo {
    bool in_table = true;  // false: no shard sends that now. Nothing is to be done
    std::span<const DiverterStep> steps{};
    Diversion diversion{};
    std::unique_ptr<MovingUnit> unit = nullptr;  // announce
    std::vector<Delivery> held{};                // release, route: in order
  };
  // A move from here.
  [[nodiscard]] Todo leave(const Diversion& move, std::unique_ptr<MovingUnit> unit);
  // A node of so many shards has begun another.
  [[nodiscard]] Todo begin(const Diversion& diversion, std::size_t shards);
  [[nodiscard]] Todo on(const Passed& passed);
  [[nodiscard]] Todo on(const Gathered& gathered);
  [[nodiscard]] Todo on(const Settled& settled);
  [[nodiscard]] Todo all_out();
  [[nodiscard]] Todo all_followed();

  // --- Parcels on their way, while it is under way
  DiverterState state() const { return state_; }
  bool under_way() const { return state_ != DiverterState::idle; }
  // Is it to be held? `fresh`: accepted or made in this step. What was sent before, and comes back
  // from where it could not be delivered (Undelivered, or by the session of an association that is
  // lost), is older than what is held of a reroute, and passes by.
  bool holds(const Delivery& delivery, bool fresh) const {
    return under_way() && is_held(delivery, fresh);
  }
  enum class Held : std::uint8_t {
    held,
    lost,     // too much is held, and it keeps its order: untouched
    refused,  // too much is held, and it may go elsewhere: untouched
  };
  struct Holding {
    Held outcome{};
    bool much = false;  // is held: its sender should not be read until that is released
  };
  [[nodiscard]] Holding hold(Delivery& delivery);
  // Where what is sent to it goes; nothing: no move changes that now.
  std::optional<ShardId> home_of(AssociationId id) const {
    return under_way() ? new_home_of(id) : std::nullopt;
  }

 private:
  bool is_held(const Delivery& delivery, bool fresh) const;
  std::optional<ShardId> new_home_of(AssociationId id) const;
  bool is_this(std::uint64_t diversion) const;
  Todo take(DiverterEvent event);

  ShardId own_;
  DiverterState state_ = DiverterState::idle;
  Diversion what_;
  std::size_t awaited_ = 0;  // marks of ours that were not passed
  std::vector<Delivery> held_;
  DataWaiting held_data_;
};

}  // namespace siglane
