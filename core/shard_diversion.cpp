#include <cassert>

#include "core/shard_parts.h"

// Shard: its part in a change of a path between shards. The rule that keeps order is told in
// core/diversion.h; core/diverter.h says what is to be done, and when.
namespace siglane {
namespace {

constexpr DropReason kNoRoomWhileHeld{
    "shard.diversion_full",
    "too much waits for the destination to finish its move or change of path"};

}  // namespace

void Shard::reroute(ProtocolModule& module, AssociationId coordinator) {
  if (directory_.shards() == 1) {  // nothing is under way between shards
    push(coordinator, Rerouting{});
  } else if (auto diversion = directory_.begin_reroute(module, coordinator)) {
    tell_all(Diverted{std::move(*diversion)});
  }
}

void Shard::begin(const Diversion& diversion, Instant now) {
  divert(diverter_.begin(diversion, directory_.shards()), now);
}

void Shard::divert(Diverter::Todo todo, Instant now) {
  assert(todo.in_table);
  for (const DiverterStep step : todo.steps) take(step, todo, now);
}

// The letters of a diversion other than Mark reach everybody in the order in which they were
// posted: see Outbound.
void Shard::take(DiverterStep step, Diverter::Todo& todo, Instant now) {
  const Diversion& diversion = todo.diversion;
  const Diversion::Move* move = diversion.move();
  switch (step) {
    case DiverterStep::announce:
      for (std::size_t i = 0; i < directory_.shards(); ++i) {
        const auto shard = static_cast<ShardId>(i);
        if (shard != config_.id && shard != move->to) tell(shard, Diverted{diversion});
      }
      return tell(move->to, Arrival{diversion, std::move(todo.unit)});
    case DiverterStep::ask_anew:
      return homes_.forget(move->who);
    case DiverterStep::mark_old_home:
      return outbound_.post_control(move->from, Mark{diversion.number, config_.id});
    case DiverterStep::mark_all:
      for (std::size_t i = 0; i < directory_.shards(); ++i) {
        outbound_.post_control(static_cast<ShardId>(i), Mark{diversion.number, config_.id});
      }
      return;
    case DiverterStep::hold_flows:
      for (const auto& [coordinator, module] : diversion.flows()) {
        module->hold(config_.id, coordinator);
      }
      return;
    case DiverterStep::release:
      return release(std::move(todo.held));
    case DiverterStep::report:
      if (directory_.followed(diversion)) divert(diverter_.all_followed(), now);
      return;
    case DiverterStep::tell_gathered:
      return tell_all(Gathered{diversion.number});
    case DiverterStep::step_coordinators:
      for (const Diversion::Flow& flow : diversion.flows()) {
        if (find(flow.coordinator) != nullptr) this->step(flow.coordinator, Rerouting{}, now);
      }
      return;
    case DiverterStep::await_out:
      return once_all_is_out(AllOut{}, now);
    case DiverterStep::settle_home:
      return directory_.settle(move->who, move->to);
    case DiverterStep::tell_settled:
      return tell_all(Settled{diversion.number});
    case DiverterStep::end:
      if (auto next = directory_.end(diversion)) tell_all(Diverted{std::move(*next)});
      return;
    case DiverterStep::follow:
      for (const auto& [coordinator, module] : diversion.flows()) {
        module->follow(config_.id, coordinator);
      }
      return;
    case DiverterStep::route:
      return route(std::move(todo.held), now);
  }
}

void Shard::hold(Delivery delivery) {
  const AssociationId from = delivery.from;
  const auto [outcome, much] = diverter_.hold(delivery);
  if (much) hold_back(from, config_.id);
  switch (outcome) {
    case Diverter::Held::held:
      return;
    case Diverter::Held::lost:
      counters_.add(counter::parcels_lost);
      return lose(std::move(delivery), kNoRoomWhileHeld);
    case Diverter::Held::refused:
      return fail(from, delivery.to, std::move(delivery.parcel), Why::congested, delivery.module);
  }
}

void Shard::release(std::vector<Delivery> held) {
  for (Delivery& delivery : held) {
    forward(delivery.from, delivery.to, std::move(delivery.parcel), *delivery.module, Fresh::yes);
  }
  let_go();
}

void Shard::route(std::vector<Delivery> held, Instant now) {
  for (Delivery& delivery : held) {
    ProtocolModule& module = *delivery.module;
    OutboxLease routed(*this, counts_for(delivery.from));
    module.route(config_.id, delivery.from, std::move(delivery.parcel), now, *routed);
    carry_out(delivery.from, module, *routed, now, Fresh::yes);
  }
  let_go();
}

}  // namespace siglane
