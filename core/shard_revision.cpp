#include "core/shard_parts.h"

// Shard: a new revision, and what an operator asks of a peer.
//
// Shards follow a revision each in its turn, so for a moment some have followed it and others have
// not. An association that moves meanwhile may so leave a shard before that follows, and arrive at
// one that has: that one gives it what it has missed. The other way round it is given nothing
// twice.
namespace siglane {
namespace {

// Peeled, or a stream that has never had another: there is nothing to peel.
bool has_own_socket(const Transport& transport, AssociationId id) {
  const auto status = transport.status(id);
  return transport.seat(id) == Seat::own || (status && status->peeled);
}

}  // namespace

void Shard::follow(Revised revised, Instant now) {
  revised_ = std::move(revised);
  peers_ = &revised_.revision->peers;
  admission_.use(*peers_);
  dialer_.use(revised_.revision->reconnect);
  const RevisionChange& change = *revised_.change;
  const std::uint64_t number = revised_.revision->number;
  for (ProtocolModule* module : change.modules) module->adopt(config_.id);
  for (const auto& [peer, what] : change.peers) {
    if (what == PeerChange::rebound) {
      if (const PeerConfig* config = peers_->find(peer.second)) dialer_.use(peer, *config);
      wake_links(peer, now);  // it may have more connections now
      continue;
    }
    give_up(dialer_.remove(peer, number));
    if (what == PeerChange::removed) directory_.forget_peer(peer.first, peer.second);
  }
  for (const auto& [id, entry] : entries_) {
    if (entry->session != nullptr && entry->revision < number) follow(*entry, change, now);
  }
  for (const WantedLink& link : change.links) {
    if (link.shard != config_.id || stopping_) continue;
    const LinkId added = dialer_.add(link.module, link.local, link.peer, number);
    if (directory_.orders_of(link.module, link.peer.name).disconnected) {
      (void)dialer_.disable({link.module, link.peer.name});
    } else {
      connect(added, now);
    }
  }
  drain_work(now);
}

// Let in although it was not configured; no change names it.
bool Shard::is_stranger(const Entry& entry) const {
  return !entry.coordinator && entry.identified() && peers_->find(entry.peer) == nullptr;
}

// A goodbye is said by the old config, so it comes first.
void Shard::follow(Entry& entry, const RevisionChange& change, Instant) {
  entry.revision = revised_.revision->number;
  const auto changed =
      entry.peer.empty() ? change.peers.end() : change.peers.find({entry.module, entry.peer});
  if (changed != change.peers.end()) {
    switch (changed->second) {
      case PeerChange::removed:
        push(entry.id, Operate{Operate::Verb::disconnect, "it is no peer any more"});
        break;
      case PeerChange::reconnected:
        push(entry.id, Operate{Operate::Verb::disconnect, "its config has changed", true});
        break;
      case PeerChange::rebound:
        if (const PeerConfig* config = peers_->find(entry.peer)) transport_.bind(entry.id, *config);
        break;
    }
  } else if (!peers_->admission().accept_unknown_peers && is_stranger(entry)) {
    push(entry.id, Operate{Operate::Verb::disconnect, "unknown peers are not accepted any more"});
  }
  if (std::ranges::find(change.modules, entry.module) != change.modules.end()) {
    push(entry.id, Reconfigured{});
  }
}

// It has arrived from a shard that had not followed the present revision.
void Shard::catch_up(Entry& entry, Instant now) {
  if (revised_.revision == nullptr || entry.revision >= revised_.revision->number) return;
  const auto changed = revised_.change->peers.find({entry.module, entry.peer});
  if (changed != revised_.change->peers.end()) {
    if (changed->second != PeerChange::rebound) {
      (void)dialer_.leave(entry.id);
    } else if (const PeerConfig* config = peers_->find(entry.peer)) {
      dialer_.use(changed->first, *config);
    }
  }
  follow(entry, *revised_.change, now);
}

// --- What an operator asks of a peer ------------------------------------------------------------

std::size_t Shard::order(const PeerKey& peer, PeerOrder order, const std::string& why,
                         Instant now) {
  std::size_t concerned = 0;
  if (order == PeerOrder::disconnect) give_up(dialer_.disable(peer));
  if (order == PeerOrder::connect) dialer_.enable(peer, now);
  for (const auto& [id, entry] : entries_) {
    if (entry->module != peer.first || entry->peer != peer.second) continue;
    if (entry->session == nullptr || entry->coordinator) continue;
    if (order == PeerOrder::peel && has_own_socket(transport_, id)) continue;
    ++concerned;
    if (order == PeerOrder::peel) {
      const PeerConfig* config = peers_->find(entry->peer);
      PeerConfig pinned = config != nullptr ? *config : PeerConfig();
      pinned.placement = Placement::always_peeled;
      transport_.bind(id, pinned);
    } else {
      obey(*entry, why);
    }
  }
  drain_work(now);
  return concerned;
}

// It is identified, and has been told of no order yet.
void Shard::begin_to_obey(Entry& entry) {
  entry.obeyed = {};
  const StandingOrders orders = directory_.orders_of(entry.module, entry.peer);
  // The order was given after it was admitted.
  entry.obeyed.disconnects = orders.disconnects - (orders.disconnected ? 1 : 0);
  obey(entry, std::string(kByOrder));
}

// Whatever stands, also where it was ordered while the association was between two shards.
void Shard::obey(Entry& entry, const std::string& why) {
  const StandingOrders orders = directory_.orders_of(entry.module, entry.peer);
  const StandingOrders before = std::exchange(entry.obeyed, orders);
  if (orders.disconnects != before.disconnects) {
    push(entry.id, Operate{Operate::Verb::disconnect, why});
  }
  if (orders.blocked != before.blocked) {
    push(entry.id, Operate{orders.blocked ? Operate::Verb::block : Operate::Verb::unblock, why});
  }
}

}  // namespace siglane
