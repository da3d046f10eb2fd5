#include "core/shard_facts.h"
#include "core/shard_parts.h"

// Shard: the peers that it keeps connected. dialer.h decides when.
//
// A link rests while the directory has no free slot for its peer, whichever shards the associations
// are on. No wake-up is lost: the slot is released first, and then its shard wakes its own links
// and posts PeerFree to the others. Who looked before the release reads that letter later, and
// rests by then, since a look and the rest are one step of its shard. Who looks after it finds the
// slot free, or with a new holder, of whom the same is true. A wake-up too many only makes a link
// look again.
//
// A peer may ask us to stay away for some time (PeerClosed). The directory has that, so that it is
// true for all links to the peer, on whichever shard.
namespace siglane {

void Shard::keep_connected(EndpointId local, const PeerConfig& peer) {
  connect(dialer_.add(modules_.at(local), local, peer), Instant{});
}

void Shard::connect(LinkId id, Instant now) {
  const Dialer::Link& link = dialer_.at(id);
  if (!dialer_.begin(id, presence_of(link.key()), now)) return;
  dialer_.connecting(id, transport_.connect(link.local, link.peer));
}

std::size_t Shard::connections_max(const std::string& peer) const {
  const PeerConfig* config = peers_->find(peer);
  return config != nullptr ? config->connections_max : 1;
}

// As it is without one association.
PeerPresence Shard::presence_of(const PeerKey& peer, AssociationId without) const {
  std::vector<AssociationId> holders = directory_.associations_of(peer.first, peer.second);
  std::erase(holders, without);
  return {holders.size() >= connections_max(peer.second),
          directory_.past_of(peer.first, peer.second).held_off_until};
}

// It has a slot free.
void Shard::wake_links(const PeerKey& peer, Instant now) {
  dialer_.wake(peer, presence_of(peer), now);
}

void Shard::give_up(const std::vector<AssociationId>& associations) {
  for (const AssociationId id : associations) close_transport(id, CloseMode::abort);
}

// Only configured peers have a past: the number of other names has no bound.
void Shard::note_trouble(const PeerKey& peer, const std::string& why, Instant now) {
  if (peers_->find(peer.second) == nullptr) return;
  directory_.note_trouble(peer.first, peer.second, why, now);
}

void Shard::note_past(Entry& entry, const std::string& why, Instant now) {
  entry.end_noted = true;
  if (peers_->find(entry.peer) == nullptr) return;
  directory_.note_end(entry.module, entry.peer, why, now);
}

void Shard::link_down(AssociationId id, const AssociationDown& down, Instant now) {
  const Dialer::Link* link = dialer_.link_of(id);
  if (link == nullptr) return;
  if (const auto retry_in = dialer_.down(id, presence_of(link->key(), id), now)) {
    counters_.add(counter::connects_failed);
    counts_of(link->peer.name).add(counter::connects_failed.index(), 1);
    const std::string why = down.detail.empty() ? std::string(name_of(down.cause)) : down.detail;
    note_trouble(link->key(), "connect failed: " + why, now);
    report(id,
           {kConnectFailed,
            {{"peer", link->peer.name},
             {"cause", name_of(down.cause)},
             {"detail", down.detail},
             {"retry_in_ms", whole_milliseconds(*retry_in)}}},
           now);
  }
}

}  // namespace siglane
