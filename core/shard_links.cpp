#include <algorithm>

#include "core/shard_parts.h"

// Shard: the peers that it keeps connected.
//
// A link rests while the directory has another association for its peer, on whichever shard. No
// wake-up is lost: the peer is released first, and then its shard wakes its own links and posts
// PeerFree to the others. Who looked before the release reads that letter later, and rests by then,
// since a look and the rest are one step of its shard. Who looks after it finds the peer free, or
// with a new holder, of whom the same is true. A wake-up too many only makes a link look again.
//
// The back-off grows with every connect, until a peer has been here for a while: on an association
// that this link made, or on one for which it rests (BackoffConfig::lasting).
//
// A peer may ask us to stay away for some time (HoldOff). The directory has that, so that it is
// true for all links to the peer, on whichever shard.
namespace siglane {

void Shard::keep_connected(EndpointId local, const PeerConfig& peer) {
  const auto it =
      links_.emplace(PeerKey{modules_.at(local), peer.name},
                     std::make_shared<Link>(Link{local, peer, Backoff(config_.reconnect)}));
  connect(it->second, Instant{});
}

void Shard::connect(const std::shared_ptr<Link>& link, Instant now) {
  link->retry_at.reset();
  const ProtocolModule* module = modules_.at(link->local);
  if (directory_.association_of(module, link->peer.name)) {  // it rests
    link->peer_here_since = now;
    return;
  }
  const auto held_off_until = directory_.past_of(module, link->peer.name).held_off_until;
  if (held_off_until && *held_off_until > now) return retry_at(link, *held_off_until);
  link->current = transport_.connect(link->local, link->peer);
  link_of_[link->current] = link;
}

void Shard::retry(const std::shared_ptr<Link>& link, Instant now) {
  const Instant by_back_off = now + link->backoff.next(random_);
  const auto held_off_until =
      directory_.past_of(modules_.at(link->local), link->peer.name).held_off_until;
  retry_at(link, std::max(by_back_off, held_off_until.value_or(by_back_off)));
}

void Shard::retry_at(const std::shared_ptr<Link>& link, Instant at) {
  if (stopping_) return;
  link->retry_at = at;
  reconnects_.want(link, link->armed, link->retry_at);
}

void Shard::hold_off(AssociationId from, Instant until) {
  const Entry* entry = find(from);
  if (entry == nullptr || peers_.find(entry->peer) == nullptr) return;
  directory_.hold_off(entry->module, entry->peer, until);
}

// `holder` is the peer: what else leads there is closed.
void Shard::rest_links(const PeerKey& peer, AssociationId holder) {
  const auto [first, end] = links_.equal_range(peer);
  for (auto it = first; it != end; ++it) {
    const Link& link = *it->second;
    if (link.current == AssociationId::none || link.current == holder) continue;
    close_transport(link.current, CloseMode::abort);
  }
}

// Nobody is the peer any more.
void Shard::wake_links(const PeerKey& peer, Instant now) {
  const auto [first, end] = links_.equal_range(peer);
  for (auto it = first; it != end; ++it) {
    const std::shared_ptr<Link>& link = it->second;
    if (link->current != AssociationId::none || link->retry_at) continue;
    link->peer_gone(now, config_.reconnect.lasting);
    retry(link, now);
  }
}

// Only configured peers have a past: the number of other names has no bound.
void Shard::note_past(Entry& entry, const std::string& why, Instant now) {
  entry.end_noted = true;
  if (peers_.find(entry.peer) == nullptr) return;
  directory_.note_end(entry.module, entry.peer, why, now);
}

// An SCTP RESTART brings a link up under another id than it was connected with.
void Shard::link_up(AssociationId id, const AssociationUp& up) {
  if (!up.initiator || link_of_.contains(id)) return;
  const auto [first, end] = links_.equal_range({modules_.at(up.local), up.peer});
  for (auto it = first; it != end; ++it) {
    const std::shared_ptr<Link>& link = it->second;
    if (link->local != up.local || link->current != AssociationId::none) continue;
    link->retry_at.reset();
    link->current = id;
    link_of_[id] = link;
    return;
  }
}

void Shard::link_down(AssociationId id, const AssociationDown& down, bool was_up, Instant now) {
  auto it = link_of_.find(id);
  if (it == link_of_.end()) return;
  const std::shared_ptr<Link> link = it->second;
  link_of_.erase(it);
  link->current = AssociationId::none;
  if (stopping_) return;
  const auto holder = directory_.association_of(modules_.at(link->local), link->peer.name);
  if (holder && *holder != id) {  // it rests
    link->peer_here_since = now;
    return;
  }
  link->peer_gone(now, config_.reconnect.lasting);
  retry(link, now);
  if (!was_up) {
    counters_.add(counter::connects_failed);
    counts_of(link->peer.name).add(counter::connects_failed.index(), 1);
    facts_.on_fact(
        config_.id, id,
        fact::ConnectFailed{link->peer.name, down.cause, down.detail, *link->retry_at - now}, now);
  }
}

}  // namespace siglane
