#include "core/shard_parts.h"

// Shard: what goes to and comes from the other shards, and who is not read meanwhile.
namespace siglane {
namespace {

constexpr DropReason kNoRoomBetweenShards{"shard.no_room",
                                          "the queue to the destination's shard is full"};

}  // namespace

// --- Parcels ------------------------------------------------------------------------------------

void Shard::forward(AssociationId from, AssociationId to, ParcelPtr parcel, ProtocolModule& module,
                    Fresh fresh) {
  Delivery delivery{from, to, std::move(parcel), &module};
  if (diverter_.holds(delivery, fresh == Fresh::yes)) return hold(std::move(delivery));
  if (find(to) != nullptr) {
    push(to, Submitted{from, std::move(delivery.parcel)}, &module);
  } else {
    send_home(std::move(delivery));
  }
}

std::optional<ShardId> Shard::home_of(AssociationId id) {
  const auto moved_to = diverter_.home_of(id);
  return moved_to ? moved_to : homes_.of(id);
}

// To the shard where it lives.
void Shard::send_home(Delivery delivery) {
  const auto home = home_of(delivery.to);
  if (!home || *home == config_.id) {
    return fail(delivery.from, delivery.to, std::move(delivery.parcel), Why::no_such_association,
                delivery.module);
  }
  const AssociationId from = delivery.from;
  const Outbound::Outcome outcome = outbound_.post(*home, delivery);
  if (outcome == Outbound::Outcome::sent) return;
  hold_back(from, *home);
  if (outcome == Outbound::Outcome::lost) {
    lose(std::move(delivery), kNoRoomBetweenShards);
  } else if (outcome == Outbound::Outcome::refused) {
    fail(from, delivery.to, std::move(delivery.parcel), Why::congested, delivery.module);
  }
}

// There is nobody whom its module could ask about it.
void Shard::lose(Delivery delivery, const DropReason& reason) {
  work_.push_back({delivery.from, nullptr, Work::Loss{std::move(delivery.parcel), &reason}});
}

// The sender of parcels that find no room on their way to `target` must not bring more, as far as
// it can be stopped alone, until there is room again.
void Shard::hold_back(AssociationId from, ShardId target) {
  const Entry* entry = find(from);
  if (entry == nullptr || entry->coordinator) return;
  if (backpressure_.wait_for_room(from, target)) count(entry, counter::inputs_paused);
  transport_.pause_input(from);  // each time: it may have got a socket of its own meanwhile
}

void Shard::let_go() {
  const auto has_room = [this](ShardId shard) { return outbound_.has_ample_room(shard); };
  for (const AssociationId id : backpressure_.let_go(has_room)) transport_.resume_input(id);
}

// Its session asks for it.
void Shard::pause_input(AssociationId id, bool paused) {
  const Entry* entry = find(id);
  if (entry == nullptr || entry->coordinator) return;
  if (paused) {
    if (backpressure_.pause(id, PauseReason::session)) count(entry, counter::inputs_paused);
    transport_.pause_input(id);  // each time: it may have got a socket of its own meanwhile
  } else if (backpressure_.resume(id, PauseReason::session)) {
    transport_.resume_input(id);
  }
}

void Shard::run_mailbox(Instant now, std::size_t letters_max) {
  const bool fetched = letters_read_ == letters_.size();
  if (fetched) {
    mailbox_.drain(letters_);
    letters_read_ = 0;
  }
  for (; letters_max > 0 && letters_read_ < letters_.size(); --letters_max) {
    Letter letter = std::move(letters_[letters_read_++]);
    std::visit(Overloaded{
                   [&](Delivery& delivery) { take(std::move(delivery)); },
                   [&](Completion& completion) { take(std::move(completion)); },
                   [](Call& call) { call.run(); },
                   [&](Arrival& arrival) { arrive(arrival, now); },
                   [&](const Diverted& diverted) { begin(diverted.diversion, now); },
                   [&](const Mark& mark) { once_all_is_out(mark, now); },
                   [&](const Passed& passed) { divert(diverter_.on(passed), now); },
                   [&](const Gathered& gathered) { divert(diverter_.on(gathered), now); },
                   [&](const Settled& settled) { divert(diverter_.on(settled), now); },
                   [&](RoomAgain) { send_waiting(now); },
                   [&](const Inquiry& inquiry) { on_inquiry(inquiry); },
                   [&](const Inquired& inquired) { settle_claim(inquired.claimant, now); },
                   [&](const PeerFree& it) {
                     wake_links({it.module, it.peer}, now);
                   },
                   [&](const GiveWay& it) { give_way(it.who, now); },
               },
               letter);
    drain_work(now);
  }
  mail_waits_ = !fetched || letters_read_ < letters_.size();
}

void Shard::release_unused_memory() {
  if (letters_read_ == letters_.size()) {
    letters_.clear();
    letters_read_ = 0;
    mailbox_.release_unused(letters_);
  }
  buffers_.release_unused();
}

void Shard::take(Delivery delivery) {
  // Sent before it was known that its destination moves.
  if (find(delivery.to) == nullptr && home_of(delivery.to).value_or(config_.id) != config_.id) {
    return send_home(std::move(delivery));
  }
  push(delivery.to, Submitted{delivery.from, std::move(delivery.parcel)}, delivery.module);
}

// Who asked may have moved meanwhile.
void Shard::take(Completion completion) {
  const ShardId home =
      find(completion.to) != nullptr ? config_.id : home_of(completion.to).value_or(config_.id);
  if (home != config_.id) return tell(home, std::move(completion));
  push(completion.to, Completed{std::move(completion.parcel), true});
}

void Shard::tell(ShardId shard, Letter letter) {
  directory_.mailbox_of(shard)->post_control(std::move(letter));
}

void Shard::send_waiting(Instant now) {
  outbound_.send_waiting();
  while (!once_out_.empty() && outbound_.is_out(once_out_.front().waiting)) {
    const Then then = once_out_.front().then;
    once_out_.pop_front();
    do_now(then, now);
  }
  let_go();
}

// Behind all that waits for room now on its way to another shard; not behind what comes to wait
// later, which under overload has no end.
void Shard::once_all_is_out(Then then, Instant now) {
  if (outbound_.empty()) {
    do_now(then, now);
  } else {
    once_out_.push_back({outbound_.posted(), then});
  }
}

void Shard::do_now(const Then& then, Instant now) {
  if (const auto* mark = std::get_if<Mark>(&then))
    return tell(mark->sender, Passed{mark->diversion});
  divert(diverter_.all_out(), now);
}

}  // namespace siglane
