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

std::optional<SessionView> Shard::session(AssociationId id) const {
  const Entry* entry = find(id);
  return entry != nullptr ? view_of(*entry) : std::nullopt;
}

bool Shard::visit_sessions(TableWalk& walk,
                           const std::function<void(const SessionView&)>& visit) const {
  return walk.step(entries_, [&visit](const auto& item) {
    if (const auto view = view_of(*item.second)) visit(*view);
  });
}

LinkView Shard::view_of(const Dialer::Link& link) const {
  LinkView view{link.id, link.key(), link.local, dialer_.state_of(link.id), link.association()};
  if (const auto* waiting = std::get_if<Dialer::Link::Waiting>(&link.state)) {
    view.next = waiting->until;
  }
  return view;
}

bool Shard::visit_links(TableWalk& walk, const std::function<void(const LinkView&)>& visit) const {
  return walk.step(dialer_.links(), [&](const auto& item) { visit(view_of(item.second)); });
}

// Each message would have to find its counters in its peer's row: so the association counts its
// own, and the row gets them when it is looked at, or the association leaves.
void Shard::add_up_traffic(Entry& entry) {
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

bool Shard::add_up_traffic(TableWalk& walk) const {
  return walk.step(entries_, [](const auto& item) { add_up_traffic(*item.second); });
}

}  // namespace siglane
