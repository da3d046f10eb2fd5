#include "core/diverter.h"

#include <algorithm>
#include <utility>

namespace siglane {
namespace {

using State = DiverterState;
using Event = DiverterEvent;

// Of a diversion's flows, for the few loop turns that it takes. Long before that, senders wait:
// what is held must find room all at once between shards, when it is released.
constexpr DataBudget kHeldMax{.parcels_max = 65536, .bytes_max = std::size_t{8} << 20};
constexpr DataBudget kMuch{.parcels_max = 4096, .bytes_max = std::size_t{1} << 20};

bool uses_held(DiverterStep step) {
  return step == DiverterStep::release || step == DiverterStep::route;
}

}  // namespace

Diverter::Todo Diverter::leave(const Diversion& move, std::unique_ptr<MovingUnit> unit) {
  if (!under_way()) what_ = move;
  Todo todo = take(Event::leave);
  todo.unit = std::move(unit);
  return todo;
}

Diverter::Todo Diverter::begin(const Diversion& diversion, std::size_t shards) {
  const bool moves = diversion.move() != nullptr;
  if (!under_way()) {
    what_ = diversion;
    awaited_ = moves ? 1 : shards;
  }
  return take(moves ? Event::move : Event::reroute);
}

Diverter::Todo Diverter::on(const Passed& passed) {
  if (!is_this(passed.diversion) || awaited_ == 0) return {.in_table = false};
  return take(--awaited_ > 0 ? Event::passed : Event::all_passed);
}

Diverter::Todo Diverter::on(const Gathered& gathered) {
  return is_this(gathered.diversion) ? take(Event::all_gathered) : Todo{.in_table = false};
}

Diverter::Todo Diverter::on(const Settled& settled) {
  return is_this(settled.diversion) ? take(Event::settled) : Todo{.in_table = false};
}

Diverter::Todo Diverter::all_out() {
  return take(Event::all_out);
}

Diverter::Todo Diverter::all_followed() {
  return take(Event::all_followed);
}

bool Diverter::is_this(std::uint64_t diversion) const {
  return under_way() && what_.number == diversion;
}

Diverter::Todo Diverter::take(Event event) {
  const auto row = std::ranges::find_if(kDiverterRows, [&](const DiverterRow& one) {
    return one.state == state_ && one.event == event;
  });
  if (row == kDiverterRows.end()) return {.in_table = false};
  state_ = row->next;
  Todo todo{.steps = row->steps, .diversion = what_};
  if (std::ranges::any_of(row->steps, uses_held)) {
    todo.held = std::exchange(held_, {});
    held_data_ = {};
  }
  if (state_ == State::idle) what_ = {};
  return todo;
}

// --- Parcels -------------------------------------------------------------------------------------

bool Diverter::is_held(const Delivery& delivery, bool fresh) const {
  if (!what_.concerns(delivery.to)) return false;
  if (what_.move() != nullptr) return state_ == State::holding;
  return fresh && delivery.parcel->carriage() == Carriage::ordered &&
         delivery.parcel->tried().empty();
}

Diverter::Holding Diverter::hold(Delivery& delivery) {
  const Carriage carriage = delivery.parcel->carriage();
  const std::size_t bytes = delivery.parcel->bytes_held();
  const bool much = !held_data_.has_room(kMuch, bytes);
  if (held_data_.has_room(kHeldMax, bytes) || carriage == Carriage::control) {
    held_data_.add(bytes);
    held_.push_back(std::move(delivery));
    return {Held::held, much};
  }
  return {carriage == Carriage::ordered ? Held::lost : Held::refused, much};
}

std::optional<ShardId> Diverter::new_home_of(AssociationId id) const {
  const Diversion::Move* move = what_.move();
  if (move == nullptr || move->who != id) return std::nullopt;
  // While we hold, what was sent before still takes the old path.
  if (state_ == State::holding && move->to != own_) return std::nullopt;
  return move->to;
}

}  // namespace siglane
