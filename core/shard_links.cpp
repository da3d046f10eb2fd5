#include "core/shard_parts.h"

// Shard: the peers that it keeps connected.
//
// A link rests while the directory has another association for its peer, on whichever shard. No
// wake-up is lost: the peer is released first, and then its shard wakes its own links and posts
// PeerFree to the others. Who looked before the release reads that letter later, and rests by then,
// since a look and the rest are one step of its shard. Who looks after it finds the peer free, or
// with a new holder, of whom the same is true. A wake-up too many only makes a link look again.
namespace siglane {

void Shard::keep_connected(EndpointId local, const PeerConfig& peer) {
  const auto it =
      links_.emplace(PeerKey{modules_.at(local), peer.name},
                     std::make_shared<Link>(Link{local, peer, Backoff(config_.reconnect)}));
  connect(it->second);
}

void Shard::connect(const std::shared_ptr<Link>& link) {
  link->retry_at.reset();
  if (directory_.association_of(modules_.at(link->local), link->peer.name)) return;  // it rests
  link->current = transport_.connect(link->local, link->peer);
  link_of_[link->current] = link;
}

void Shard::retry(const std::shared_ptr<Link>& link, Instant now) {
  if (stopping_) return;
  link->retry_at = now + link->backoff.next(random_);
  reconnects_.want(link, link->armed, link->retry_at);
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
    link->backoff.reset();
    retry(link, now);
  }
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
  if (holder && *holder != id) return;  // it rests
  retry(link, now);
  if (!was_up) {
    counters_.add(Counter::connects_failed);
    facts_.on_fact(
        config_.id, id,
        fact::ConnectFailed{link->peer.name, down.cause, down.detail, *link->retry_at - now}, now);
  }
}

}  // namespace siglane
