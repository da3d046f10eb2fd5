#include "core/shard_facts.h"
#include "core/shard_parts.h"

// Shard: who comes to us, until it is known who that is; and what is told of it.
namespace siglane {

Welcome Shard::on_newcomer(AssociationId id, const std::vector<std::string>& addresses,
                           Instant now) {
  const std::string& address = first_of(addresses);
  const auto turn_away = [&](Counter counter, std::string why, Instant next) {
    counters_.add(counter);
    note_stranger(address, std::move(why), false, now);
    return Welcome{false, next};
  };
  if (auto objection = admission_.to_newcomer(addresses)) {
    return turn_away(objection->counter, std::move(objection->why), now);
  }
  const auto entered = directory_.newcomers().enter({id, config_.id, address}, peers_->has(address),
                                                    peers_->places(), now);
  if (!entered.admitted) {
    return turn_away(counter::associations_refused_limit,
                     "too many refused associations are still closing", entered.next);
  }
  if (entered.loses && entered.loses->shard == config_.id) {
    give_way(*entered.loses, now);
  } else if (entered.loses) {
    tell(entered.loses->shard, GiveWay{*entered.loses});
  }
  return {true, entered.next};
}

// One of this shard's has lost its place.
void Shard::give_way(const Newcomers::Newcomer& who, Instant now) {
  Entry* entry = find(who.id);
  if (entry != nullptr && entry->identified()) return;  // just in time
  counters_.add(counter::associations_gave_way);
  std::string why = "not identified before another newcomer needed the place";
  if (entry != nullptr) {
    note_stranger(*entry, std::move(why), false, now);
  } else {
    note_stranger(who.address, std::move(why), false, now);
  }
  close_transport(who.id, CloseMode::abort);
}

void Shard::note_stranger(const std::string& address, std::string why, bool left, Instant now) {
  directory_.strangers().note(address, std::move(why), left);
  tell_of_strangers(now);
}

// The first thing that is said of an association counts.
void Shard::note_stranger(Entry& entry, std::string why, bool left, Instant now) {
  if (entry.newcomer == nullptr || std::exchange(entry.newcomer->noted, true)) return;
  note_stranger(first_of(entry.newcomer->remote_addresses), std::move(why), left, now);
}

// Whichever shard comes first tells what all have noted.
void Shard::tell_of_strangers(Instant now) {
  Strangers& strangers = directory_.strangers();
  if (auto seen = strangers.tell(now)) {
    report(AssociationId::none, *seen, now);
  }
  tell_strangers_at_ = strangers.next();
}

// It was up, and has ended.
void Shard::note_end(AssociationId id, const AssociationDown& down, Instant now) {
  Entry* entry = find(id);
  const bool left = down.cause == DownCause::peer_shutdown || down.cause == DownCause::peer_abort ||
                    down.cause == DownCause::lost;
  std::string why = down.detail.empty() ? std::string(name_of(down.cause)) : down.detail;
  if (entry == nullptr) {  // in its handshake, unless it lost its place
    if (const auto address = directory_.newcomers().leave(id)) {
      note_stranger(*address, std::move(why), left, now);
    }
    return;
  }
  count(entry, counter::associations_closed);
  if (entry->told_of) {
    report(id, {kAssociationClosed, {{"cause", name_of(down.cause)}, {"detail", down.detail}}},
           now);
  } else {
    note_stranger(*entry, "ended before identification: " + why, left, now);
  }
}

void Shard::tell_of(Entry& entry, const std::string& remote, Instant now) {
  entry.told_of = true;
  entry.remote = remote;
  std::string endpoint;
  TransportKind transport{};
  if (auto status = transport_.status(entry.id)) {
    endpoint = std::move(status->endpoint);
    entry.remote = std::move(status->remote);
    transport = status->transport;
  }
  report(entry.id,
         {kAssociationOpened,
          {{"endpoint", endpoint}, {"remote", entry.remote}, {"transport", name_of(transport)}}},
         now);
}

// --- What a session says of its peer -----------------------------------------------------------

void Shard::peer_opened(AssociationId id, Instant now) {
  Entry* entry = find(id);
  if (entry == nullptr) return;
  entry->end_noted = false;
  report(id, {kPeerOpened, {{"peer", entry->peer}}}, now);
}

void Shard::peer_closed(AssociationId id, const PeerClosed& closed, Instant now) {
  Entry* entry = find(id);
  if (entry == nullptr) return;
  note_past(*entry, closed.why, now);
  std::string hold_off_ms;
  if (closed.hold_off > Duration{}) {
    hold_off_ms = std::to_string(whole_milliseconds(closed.hold_off));
    if (peers_->find(entry->peer) != nullptr) {
      directory_.hold_off(entry->module, entry->peer, now + closed.hold_off);
    }
  }
  report(id,
         {kPeerClosed, {{"peer", entry->peer}, {"why", closed.why}, {"hold_off_ms", hold_off_ms}}},
         now);
}

// Strangers may say anything, so not each of them has a line. `who` is the name of one, as it says,
// or its address.
void Shard::peer_refused(AssociationId id, const PeerRefused& refused, Instant now) {
  Entry* entry = find(id);
  if (entry == nullptr) return;
  const auto& [who, why, peer] = refused;
  // Which peer that may concern: the one that we have connected to, or the one that it says it is.
  const Dialer::Link* link = dialer_.link_of(id);
  const PeerKey concerned{entry->module, peer.empty() ? who : peer};
  note_trouble(link != nullptr ? link->key() : concerned, "refused: " + why, now);
  if (entry->stranger()) {
    const bool named = who != first_of(entry->newcomer->remote_addresses);
    if (!named || !directory_.strangers().may_tell_alone(who, now)) {
      return note_stranger(*entry, named ? who + ": " + why : why, false, now);
    }
    entry->newcomer->noted = true;
  }
  report(id, {kPeerRefused, {{"who", who}, {"why", why}}}, now);
}

void Shard::violation(AssociationId id, const std::string& what, Instant now) {
  Entry* entry = find(id);
  if (entry == nullptr) return;
  if (entry->stranger()) return note_stranger(*entry, what, false, now);
  std::string_view peer = entry->shown();
  if (const Dialer::Link* link = dialer_.link_of(id)) peer = link->peer.name;
  report(id, {kProtocolViolation, {{"peer", peer}, {"what", what}}}, now);
}

}  // namespace siglane
