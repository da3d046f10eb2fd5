#include <algorithm>
#include <cmath>

#include "core/shard_facts.h"
#include "core/shard_parts.h"

// Shard: associations that move to other shards, and come from there. shard_diversion.cpp does the
// steps of a move; balance.h decides who moves.
namespace siglane {

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
    divert(diverter_.leave(*diversion, pack(id, std::move(peeled->cargo))), now);
    return {};
  }
  // Nobody has heard of it.
  if (auto next = directory_.end(*diversion)) tell_all(Diverted{std::move(*next)});
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
  if (diverter_.under_way()) return MoveRefusal::diverting;  // this shard has not seen its end
  // What it has sent must be out of this shard before it can send from another.
  if (outbound_.anything_from(id)) return MoveRefusal::waits_for_room;
  if (target->full()) return MoveRefusal::target_full;
  return std::nullopt;
}

std::unique_ptr<MovingUnit> Shard::pack(AssociationId id,
                                        std::unique_ptr<DetachedAssociation> cargo) {
  auto traveller = std::make_unique<Traveller>();
  traveller->cargo = std::move(cargo);
  auto at = entries_.find(id);
  traveller->entry = std::move(at->second);
  traveller->entry->armed.reset();
  add_up_traffic(*traveller->entry);
  traveller->entry->counts = nullptr;
  entries_.erase(at);
  --associations_;
  traveller->paused = backpressure_.is_paused(id, PauseReason::session);
  backpressure_.forget(id);
  traveller->link = dialer_.leave(id);
  return traveller;
}

void Shard::arrive(Arrival& arrival, Instant now) {
  auto& traveller = static_cast<Traveller&>(*arrival.unit);
  begin(arrival.diversion, now);
  const AssociationId id = traveller.entry->id;
  Entry& entry = *entries_.emplace(id, std::move(traveller.entry)).first->second;
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
