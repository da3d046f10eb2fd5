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
  if (stopping_) {
    return turn_away(counter::associations_refused_limit, "this node is stopping", now);
  }
  if (!peers_.admits_any(addresses)) {
    return turn_away(counter::associations_refused_address, "no configured peer has this address",
                     now);
  }
  const auto entered = directory_.newcomers().enter({id, config_.id, address}, peers_.has(address),
                                                    peers_.places(), now);
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
    facts_.on_fact(config_.id, AssociationId::none, std::move(*seen), now);
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
    facts_.on_fact(config_.id, id, fact::AssociationClosed{down.cause, down.detail}, now);
  } else {
    note_stranger(*entry, "ended before identification: " + why, left, now);
  }
}

void Shard::tell_of(Entry& entry, const std::string& remote, Instant now) {
  entry.told_of = true;
  fact::AssociationOpened opened{{}, remote, {}};
  if (auto status = transport_.status(entry.id)) {
    opened = {status->endpoint, status->remote, status->transport};
  }
  facts_.on_fact(config_.id, entry.id, std::move(opened), now);
}

// What a session has to tell. Of strangers, who may say anything, not each has a line.
void Shard::announce(AssociationId id, const Fact& fact, Instant now) {
  Entry* entry = find(id);
  if (entry != nullptr) {
    if (const auto* closed = std::get_if<fact::PeerClosed>(&fact)) {
      note_past(*entry, closed->why, now);
    } else if (std::holds_alternative<fact::PeerOpened>(fact)) {
      entry->end_noted = false;
    }
  }
  if (entry != nullptr && !entry->coordinator && !entry->told_of) {
    if (const auto* refused = std::get_if<fact::PeerRefused>(&fact)) {
      return tell_refusal(*entry, refused->who, refused->why, fact, now);
    }
    if (const auto* violation = std::get_if<fact::ProtocolViolation>(&fact)) {
      return tell_refusal(*entry, violation->peer, violation->what, fact, now);
    }
  }
  facts_.on_fact(config_.id, id, fact, now);
}

// `who` is its name, as it says, or its address.
void Shard::tell_refusal(Entry& entry, const std::string& who, const std::string& why,
                         const Fact& fact, Instant now) {
  if (!entry.told_of) {
    const bool named = who != first_of(entry.newcomer->remote_addresses);
    if (!named || !directory_.strangers().may_tell_alone(who, now)) {
      return note_stranger(entry, named ? who + ": " + why : why, false, now);
    }
    entry.newcomer->noted = true;
  }
  facts_.on_fact(config_.id, entry.id, fact, now);
}

}  // namespace siglane
