#include "core/shard_parts.h"

// Shard: what operators see of it.
namespace siglane {

void Shard::visit_sessions(const std::function<void(const SessionView&)>& visit) const {
  for (const auto& [id, entry] : entries_) {
    if (const auto view = view_of(*entry)) visit(*view);
  }
}

std::optional<SessionView> Shard::view_of(const Entry& entry) {
  if (entry.session == nullptr) return std::nullopt;
  const Traffic& traffic = entry.traffic;
  return SessionView{
      entry.id,          entry.coordinator,         entry.identified(),    entry.session.get(),
      entry.since,       traffic.messages_received, traffic.messages_sent, traffic.bytes_received,
      traffic.bytes_sent};
}

std::vector<AssociationId> Shard::sessions() const {
  std::vector<AssociationId> ids;
  ids.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) ids.push_back(id);
  return ids;
}

std::optional<SessionView> Shard::session(AssociationId id) const {
  const Entry* entry = find(id);
  return entry != nullptr ? view_of(*entry) : std::nullopt;
}

std::optional<LinkView> Shard::link(LinkId id) const {
  const Dialer::Link* link = dialer_.find(id);
  if (link == nullptr) return std::nullopt;
  LinkView view{id, link->key(), link->local, dialer_.state_of(id), link->association()};
  if (const auto* waiting = std::get_if<Dialer::Link::Waiting>(&link->state)) {
    view.next = waiting->until;
  }
  return view;
}

// Each message would have to find its counters in its peer's row: so the association counts its
// own, and the row gets them when it is looked at, or the association leaves.
void Shard::settle_traffic(Entry& entry) {
  if (entry.counts == nullptr) return;
  const Traffic before = std::exchange(entry.settled, entry.traffic);
  const auto add = [&](const Counter& counter, std::uint64_t Traffic::*which) {
    const std::uint64_t more = entry.traffic.*which - before.*which;
    if (more > 0) entry.counts->add(counter.index(), more);
  };
  add(counter::messages_received, &Traffic::messages_received);
  add(counter::messages_sent, &Traffic::messages_sent);
  add(counter::bytes_received, &Traffic::bytes_received);
  add(counter::bytes_sent, &Traffic::bytes_sent);
}

const PeerCounts& Shard::peer_counts() const {
  for (const auto& [id, entry] : entries_) settle_traffic(*entry);
  return peer_counts_;
}

}  // namespace siglane
