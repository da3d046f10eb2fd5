#include <algorithm>
#include <cmath>

#include "core/shard_facts.h"
#include "core/shard_parts.h"

// Shard: what goes to and comes from the other shards, and who moves there. The rule that keeps
// order is told in core/diversion.h.
namespace siglane {
namespace {

// Of a diversion's flow, for the few loop turns that it takes. Long before that, senders wait: what
// is held must find room all at once between shards, when it is released.
constexpr DataBudget kHeldMax{.parcels_max = 65536, .bytes_max = std::size_t{8} << 20};
constexpr DropReason kNoRoomBetweenShards{"shard.no_room",
                                          "the queue to the destination's shard is full"};
constexpr DropReason kNoRoomWhileHeld{
    "shard.diversion_full",
    "too much waits for the destination to finish its move or change of path"};
constexpr DataBudget kHeldBack{.parcels_max = 4096, .bytes_max = std::size_t{1} << 20};

}  // namespace

// --- Parcels ------------------------------------------------------------------------------------

void Shard::forward(AssociationId from, AssociationId to, ParcelPtr parcel, ProtocolModule& module,
                    Fresh fresh) {
  Delivery delivery{from, to, std::move(parcel), &module};
  if (diversion_ && is_held(delivery, fresh)) return hold(std::move(delivery));
  if (find(to) != nullptr) {
    push(to, Submitted{from, std::move(delivery.parcel)}, &module);
  } else {
    send_home(std::move(delivery));
  }
}

std::optional<ShardId> Shard::home_of(AssociationId id) {
  if (diversion_ && diversion_->what.is_move() && diversion_->what.mover == id) {
    const Diversion& move = diversion_->what;
    if (!diversion_->holding || move.to == config_.id) return move.to;
  }
  return homes_.of(id);
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
                   [&](const Diverted& diverted) { begin(diverted.diversion); },
                   [&](const Mark& mark) {
                     once_all_is_out([this, mark] { tell(mark.sender, Passed{mark.diversion}); });
                   },
                   [&](const Passed& passed) { on_passed(passed.diversion); },
                   [&](const Gathered& gathered) { on_gathered(gathered.diversion, now); },
                   [&](const Settled& settled) { on_settled(settled.diversion, now); },
                   [&](RoomAgain) { send_waiting(); },
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

void Shard::send_waiting() {
  outbound_.send_waiting();
  while (!once_out_.empty() && outbound_.is_out(once_out_.front().waiting)) {
    const auto what = std::move(once_out_.front().what);
    once_out_.pop_front();
    what();
  }
  let_go();
}

// --- Diversions ---------------------------------------------------------------------------------

void Shard::reroute(ProtocolModule& module, AssociationId coordinator) {
  if (directory_.shards() == 1) {  // nothing is under way between shards
    push(coordinator, Rerouting{});
  } else if (auto diversion = directory_.begin_reroute(module, coordinator)) {
    tell_all(Diverted{*diversion});
  }
}

// The announcement has come: holds the flow, and marks what went by the old path.
void Shard::begin(const Diversion& diversion) {
  diversion_ = Following{diversion, false, 0, {}, {}};
  if (diversion.is_move()) {
    homes_.forget(diversion.mover);
    diversion_->holding = diversion.from != config_.id;
    if (!diversion_->holding) return;
    diversion_->awaited = 1;
    outbound_.post_control(diversion.from, Mark{diversion.number, config_.id});
    return;
  }
  diversion_->holding = true;
  for (const Diversion::Flow& flow : *diversion.rerouted) {
    flow.module->hold(config_.id, flow.coordinator);
  }
  diversion_->awaited = directory_.shards();
  for (std::size_t i = 0; i < directory_.shards(); ++i) {
    outbound_.post_control(static_cast<ShardId>(i), Mark{diversion.number, config_.id});
  }
}

// What was sent before, and comes back from where it could not be delivered (Undelivered, or by the
// session of an association that is lost), is older than what is held, and passes by.
bool Shard::is_held(const Delivery& delivery, Fresh fresh) const {
  if (!diversion_->holding || !diversion_->what.concerns(delivery.to)) return false;
  if (diversion_->what.is_move()) return true;
  return fresh == Fresh::yes && delivery.parcel->carriage() == Carriage::ordered &&
         delivery.parcel->tried().empty();
}

void Shard::hold(Delivery delivery) {
  const Carriage carriage = delivery.parcel->carriage();
  const std::size_t bytes = delivery.parcel->bytes_held();
  DataWaiting& data = diversion_->held_data;
  if (!data.has_room(kHeldBack, bytes)) hold_back(delivery.from, config_.id);
  if (data.has_room(kHeldMax, bytes) || carriage == Carriage::control) {
    data.add(bytes);
    diversion_->held.push_back(std::move(delivery));
  } else if (carriage == Carriage::ordered) {
    counters_.add(counter::parcels_lost);
    lose(std::move(delivery), kNoRoomWhileHeld);
  } else {
    fail(delivery.from, delivery.to, std::move(delivery.parcel), Why::congested, delivery.module);
  }
}

void Shard::tell(ShardId shard, Letter letter) {
  directory_.mailbox_of(shard)->post_control(std::move(letter));
}

// Behind all that waits for room now on its way to another shard; not behind what comes to wait
// later, which under overload has no end.
void Shard::once_all_is_out(std::function<void()> what) {
  if (outbound_.empty()) {
    what();
  } else {
    once_out_.push_back({outbound_.posted(), std::move(what)});
  }
}

void Shard::on_passed(std::uint64_t number) {
  if (!diversion_ || diversion_->what.number != number || --diversion_->awaited > 0) return;
  const Diversion diversion = diversion_->what;
  if (diversion.is_move()) {
    diversion_->holding = false;
    for (Delivery& delivery : std::exchange(diversion_->held, {})) {
      forward(delivery.from, delivery.to, std::move(delivery.parcel), *delivery.module, Fresh::yes);
    }
    let_go();
  }
  followed(diversion);
}

// Every mark of this shard was passed. The last shard of which that is true says what comes next.
void Shard::followed(const Diversion& diversion) {
  if (!directory_.followed(diversion)) return;
  if (!diversion.is_move()) return tell_all(Gathered{diversion});
  directory_.settle(diversion);
  tell_all(Settled{diversion.number});
  end(diversion);
}

void Shard::end(const Diversion& diversion) {
  if (auto next = directory_.end(diversion)) tell_all(Diverted{*next});
}

// All that is under way is with the coordinators. What they send on goes before what the shards
// release.
void Shard::on_gathered(const Diversion& diversion, Instant now) {
  for (const Diversion::Flow& flow : *diversion.rerouted) {
    if (find(flow.coordinator) != nullptr) step(flow.coordinator, Rerouting{}, now);
  }
  once_all_is_out([this, diversion] {
    if (!directory_.followed(diversion)) return;
    tell_all(Settled{diversion.number});
    end(diversion);
  });
}

void Shard::on_settled(std::uint64_t number, Instant now) {
  if (!diversion_ || diversion_->what.number != number) return;
  Following over = std::move(*diversion_);
  diversion_.reset();
  if (over.what.is_move()) return homes_.forget(over.what.mover);
  for (const Diversion::Flow& flow : *over.what.rerouted) {
    flow.module->follow(config_.id, flow.coordinator);
  }
  for (Delivery& delivery : over.held) {
    ProtocolModule& module = *delivery.module;
    OutboxLease routed(*this, counts_for(delivery.from));
    module.route(config_.id, delivery.from, std::move(delivery.parcel), now, *routed);
    carry_out(delivery.from, module, *routed, now, Fresh::yes);
  }
  let_go();
}

// --- Moves --------------------------------------------------------------------------------------

tl::expected<void, MoveRefusal> Shard::move(AssociationId id, ShardId to, Instant now,
                                            std::string why) {
  const auto refuse = [this, id](MoveRefusal reason) {
    count(find(id), counter::moves_refused);
    return tl::unexpected(reason);
  };
  if (const auto reason = reason_to_stay(id, to)) return refuse(*reason);
  const auto diversion = directory_.begin_move(id, config_.id, to);
  if (!diversion) return refuse(MoveRefusal::diverting);
  DetachOutcome outcome = transport_.detach(id);
  if (auto* peeled = std::get_if<Peeled>(&outcome)) {
    count(find(id), counter::moves);
    report(id,
           {kAssociationMoved,
            {{"from_shard", static_cast<unsigned>(config_.id)},
             {"to_shard", static_cast<unsigned>(to)},
             {"why", why}}},
           now);
    send_off(*diversion, std::move(peeled->cargo));
    followed(*diversion);
    return {};
  }
  end(*diversion);  // nobody has heard of it
  if (std::holds_alternative<Starved>(outcome)) return refuse(MoveRefusal::no_descriptor);
  return refuse(std::holds_alternative<Lost>(outcome) ? MoveRefusal::lost : MoveRefusal::closing);
}

std::optional<MoveRefusal> Shard::reason_to_stay(AssociationId id, ShardId to) const {
  const Entry* entry = find(id);
  if (entry == nullptr) return MoveRefusal::gone;
  if (entry->coordinator) return MoveRefusal::coordinator;
  if (entry->session == nullptr || entry->closing) return MoveRefusal::closing;
  if (!entry->identified()) return MoveRefusal::not_identified;
  if (!entry->claimants.empty()) return MoveRefusal::claimed;
  if (to == config_.id) return MoveRefusal::same_shard;
  const Mailbox* target = directory_.mailbox_of(to);
  if (target == nullptr) return MoveRefusal::no_such_shard;
  if (stopping_) return MoveRefusal::stopping;
  if (transport_.seat(id) == Seat::bound) return MoveRefusal::bound;
  if (diversion_) return MoveRefusal::diverting;  // this shard has not seen the end of it
  // What it has sent must be out of this shard before it can send from another.
  if (outbound_.anything_from(id)) return MoveRefusal::waits_for_room;
  if (target->full()) return MoveRefusal::target_full;
  return std::nullopt;
}

// From here on this shard follows, and passes on what still comes for it.
void Shard::send_off(const Diversion& move, std::unique_ptr<DetachedAssociation> cargo) {
  auto traveller = std::make_unique<Traveller>();
  traveller->cargo = std::move(cargo);
  auto at = entries_.find(move.mover);
  traveller->entry = std::move(at->second);
  traveller->entry->armed.reset();
  settle_traffic(*traveller->entry);
  traveller->entry->counts = nullptr;
  entries_.erase(at);
  --associations_;
  traveller->paused = backpressure_.is_paused(move.mover, PauseReason::session);
  backpressure_.forget(move.mover);
  traveller->link = dialer_.leave(move.mover);
  begin(move);
  for (std::size_t i = 0; i < directory_.shards(); ++i) {
    const auto shard = static_cast<ShardId>(i);
    if (shard != config_.id && shard != move.to) tell(shard, Diverted{move});
  }
  tell(move.to, Arrival{move, std::move(traveller)});
}

void Shard::arrive(Arrival& arrival, Instant now) {
  auto& traveller = static_cast<Traveller&>(*arrival.unit);
  begin(arrival.diversion);
  Entry& entry =
      *entries_.emplace(arrival.diversion.mover, std::move(traveller.entry)).first->second;
  entry.counts = &counts_of(entry.peer);
  entry.stay.begin(now);
  ++associations_;
  if (traveller.link) {
    const PeerKey peer = traveller.link->key();
    const bool was_disabled = !traveller.link->enabled;
    dialer_.arrive(entry.id, std::move(*traveller.link));
    // An order that was given while it was between two shards.
    const bool disconnected = directory_.orders_of(peer.first, peer.second).disconnected;
    if (disconnected) (void)dialer_.disable(peer);
    if (!disconnected && was_disabled) dialer_.enable(peer, now);
  }
  transport_.adopt(std::move(traveller.cargo));
  catch_up(entry, now);
  obey(entry, std::string(kByOrder));
  if (traveller.paused) {
    backpressure_.pause(entry.id, PauseReason::session);
    transport_.pause_input(entry.id);
  }
  arm(entry);
  if (stopping_) push(entry.id, Stopping{});
}

void Shard::balance(double busy, Instant now) {
  // Many come for a moment only, and the first second of those that stay tells nothing of the rest.
  constexpr Duration kAgeMin = 3s;
  std::uint64_t messages_all = 0;
  std::vector<MoveCandidate> candidates;
  for (auto& [id, entry] : entries_) {
    if (entry->coordinator) continue;
    const std::uint64_t so_far = entry->traffic.messages_received + entry->traffic.messages_sent;
    const std::uint64_t messages = so_far - std::exchange(entry->messages_balanced, so_far);
    messages_all += messages;
    if (busy < kBusyEnoughToMove || messages == 0) continue;
    if (now - entry->since < kAgeMin || !entry->stay.over(now)) continue;
    if (transport_.seat(id) == Seat::own) candidates.push_back({id, static_cast<double>(messages)});
  }
  directory_.report_load(config_.id, {busy, associations_});
  if (candidates.empty() || stopping_ || directory_.diverting()) return;
  for (MoveCandidate& one : candidates) one.busy *= busy / static_cast<double>(messages_all);
  const std::vector<ShardLoad> loads = directory_.loads();
  const auto choice = choose_move(config_.id, loads, candidates);
  if (!choice) return;
  const auto percent = [](double part) { return std::to_string(std::lround(part * 100)) + " %"; };
  const ShardLoad& there = loads[static_cast<std::size_t>(choice->to)];
  const auto it = std::ranges::find(candidates, choice->id, &MoveCandidate::id);
  move(choice->id, choice->to, now,
       "takes about " + percent(it->busy) + " of a shard that is " + percent(busy) + " busy with " +
           std::to_string(associations_) + " associations; the other is " + percent(there.busy) +
           " busy with " + std::to_string(there.associations));
}

}  // namespace siglane
