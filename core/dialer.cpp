#include "core/dialer.h"

#include <algorithm>
#include <atomic>

namespace siglane {
namespace {

using Link = Dialer::Link;

LinkId next_link_id() {
  static std::atomic<std::uint64_t> last = 0;
  return LinkId{++last};
}

}  // namespace

AssociationId Link::association() const {
  if (const auto* connecting = std::get_if<Connecting>(&state)) return connecting->association;
  const auto* connected = std::get_if<Connected>(&state);
  return connected != nullptr ? connected->association : AssociationId::none;
}

std::string_view name_of(LinkState state) {
  switch (state) {
    case LinkState::resting:
      return "resting";
    case LinkState::waiting:
      return "waiting";
    case LinkState::connecting:
      return "connecting";
    case LinkState::connected:
      return "connected";
    case LinkState::disabled:
      return "disabled";
  }
  return "unknown";
}

LinkState Dialer::state_of(LinkId id) const {
  struct {
    LinkState operator()(const Link::Resting&) const { return LinkState::resting; }
    LinkState operator()(const Link::Waiting&) const { return LinkState::waiting; }
    LinkState operator()(const Link::Connecting&) const { return LinkState::connecting; }
    LinkState operator()(const Link::Connected&) const { return LinkState::connected; }
    LinkState operator()(const Link::Disabled&) const { return LinkState::disabled; }
  } constexpr kName{};
  return std::visit(kName, at(id).state);
}

LinkId Dialer::add(const ProtocolModule* module, EndpointId local, const PeerConfig& peer,
                   std::uint64_t revision) {
  const LinkId id = next_link_id();
  Link& link = links_.emplace(id, Link{id, module, local, peer, Backoff(config_)}).first->second;
  link.revision = revision;
  by_peer_.emplace(link.key(), id);
  return id;
}

const Link* Dialer::link_of(AssociationId association) const {
  auto it = by_association_.find(association);
  return it == by_association_.end() ? nullptr : &links_.at(it->second);
}

// --- To connect ---------------------------------------------------------------------------------

std::optional<LinkId> Dialer::pop_due(Instant now) {
  while (const auto due = due_.pop_due(now)) {
    auto it = links_.find(due->key);
    if (it == links_.end() || it->second.armed != due->at) continue;  // it moved, or waits on
    Link& link = it->second;
    link.armed.reset();
    const auto* waiting = std::get_if<Link::Waiting>(&link.state);
    if (waiting == nullptr) continue;
    if (waiting->until <= now) return due->key;
    due_.want(due->key, link.armed, waiting->until);
  }
  return std::nullopt;
}

bool Dialer::begin(LinkId id, const PeerPresence& peer, Instant now) {
  Link& link = links_.at(id);
  if (stopped_ || !link.enabled) return false;
  if (peer.full) {
    rest(link, now);
    return false;
  }
  if (peer.held_off_until && *peer.held_off_until > now) {
    wait(id, link, *peer.held_off_until);
    return false;
  }
  return true;
}

void Dialer::connecting(LinkId id, AssociationId association) {
  links_.at(id).state = Link::Connecting{association};
  by_association_[association] = id;
}

void Dialer::wait(LinkId id, Link& link, Instant until) {
  link.state = Link::Waiting{until};
  due_.want(id, link.armed, until);
}

void Dialer::back_off(LinkId id, Link& link, const PeerPresence& peer, Instant now) {
  const Instant by_back_off = now + link.backoff.next(random_);
  wait(id, link, std::max(by_back_off, peer.held_off_until.value_or(by_back_off)));
}

void Dialer::rest(Link& link, Instant now) {
  link.state = Link::Resting{};
  link.peer_here_since = now;
}

void Dialer::peer_gone(Link& link, Instant now) const {
  if (link.peer_here_since && now - *link.peer_here_since >= config_.lasting) link.backoff.reset();
  link.peer_here_since.reset();
}

// --- What came of it ----------------------------------------------------------------------------

void Dialer::up(AssociationId association, const PeerKey& peer, EndpointId local) {
  if (auto it = by_association_.find(association); it != by_association_.end()) {
    links_.at(it->second).state = Link::Connected{association};
    return;
  }
  bool taken = false;
  each_to(peer, [&](LinkId id, Link& link) {
    if (taken || link.local != local || link.association() != AssociationId::none) return;
    taken = true;
    link.state = Link::Connected{association};
    by_association_[association] = id;
  });
}

std::optional<Duration> Dialer::down(AssociationId association, const PeerPresence& peer,
                                     Instant now) {
  auto it = by_association_.find(association);
  if (it == by_association_.end()) return std::nullopt;
  const LinkId id = it->second;
  by_association_.erase(it);
  Link& link = links_.at(id);
  const bool failed = std::holds_alternative<Link::Connecting>(link.state);
  link.state = Link::Resting{};
  if (stopped_) return std::nullopt;
  if (!link.enabled) {
    link.state = Link::Disabled{};
    return std::nullopt;
  }
  if (peer.full) {
    rest(link, now);
    return std::nullopt;
  }
  peer_gone(link, now);
  back_off(id, link, peer, now);
  if (!failed) return std::nullopt;
  return std::get<Link::Waiting>(link.state).until - now;
}

std::vector<AssociationId> Dialer::identified(const PeerKey& key, AssociationId association,
                                              const PeerPresence& peer, Instant now) {
  std::vector<AssociationId> in_vain;
  each_to(key, [&](LinkId, Link& link) {
    const AssociationId its = link.association();
    auto* connected = std::get_if<Link::Connected>(&link.state);
    if (its == association) {
      if (connected != nullptr) connected->is_peer = true;
      link.peer_here_since = now;
    } else if (its != AssociationId::none && peer.full &&
               (connected == nullptr || !connected->is_peer)) {
      in_vain.push_back(its);
    }
  });
  return in_vain;
}

void Dialer::wake(const PeerKey& key, const PeerPresence& peer, Instant now) {
  if (stopped_) return;
  each_to(key, [&](LinkId id, Link& link) {
    if (!std::holds_alternative<Link::Resting>(link.state)) return;
    peer_gone(link, now);
    back_off(id, link, peer, now);
  });
}

// --- Where links go -----------------------------------------------------------------------------

std::optional<Link> Dialer::leave(AssociationId association) {
  auto it = by_association_.find(association);
  if (it == by_association_.end()) return std::nullopt;
  const LinkId id = it->second;
  by_association_.erase(it);
  Link link = std::move(links_.extract(id).mapped());
  link.armed.reset();
  std::erase_if(by_peer_, [id](const auto& one) { return one.second == id; });
  return link;
}

void Dialer::arrive(AssociationId association, Link link) {
  link.backoff.use(config_);
  const LinkId id = link.id;
  by_peer_.emplace(link.key(), id);
  by_association_[association] = id;
  links_.emplace(id, std::move(link));
}

// --- What an operator wants ---------------------------------------------------------------------

std::vector<AssociationId> Dialer::disable(const PeerKey& peer) {
  std::vector<AssociationId> not_peer_yet;
  each_to(peer, [&](LinkId, Link& link) {
    link.enabled = false;
    if (const auto* connecting = std::get_if<Link::Connecting>(&link.state)) {
      not_peer_yet.push_back(connecting->association);
    } else if (const auto* connected = std::get_if<Link::Connected>(&link.state)) {
      if (!connected->is_peer) not_peer_yet.push_back(connected->association);
    } else {
      link.state = Link::Disabled{};
      link.peer_here_since.reset();
    }
  });
  return not_peer_yet;
}

void Dialer::enable(const PeerKey& peer, Instant now) {
  each_to(peer, [&](LinkId id, Link& link) {
    link.enabled = true;
    const bool idle = std::holds_alternative<Link::Disabled>(link.state) ||
                      std::holds_alternative<Link::Waiting>(link.state);
    if (!idle || stopped_) return;
    link.backoff.reset();
    wait(id, link, now);
  });
}

std::vector<AssociationId> Dialer::remove(const PeerKey& peer, std::uint64_t before) {
  std::vector<AssociationId> not_peer_yet;
  const auto [first, end] = by_peer_.equal_range(peer);
  for (auto it = first; it != end;) {
    const Link& link = links_.at(it->second);
    if (link.revision >= before) {
      ++it;
      continue;
    }
    const auto* connected = std::get_if<Link::Connected>(&link.state);
    const AssociationId association = link.association();
    if (association != AssociationId::none && (connected == nullptr || !connected->is_peer)) {
      not_peer_yet.push_back(association);
    }
    by_association_.erase(association);
    links_.erase(it->second);
    it = by_peer_.erase(it);
  }
  return not_peer_yet;
}

void Dialer::use(const PeerKey& key, const PeerConfig& peer) {
  each_to(key, [&](LinkId, Link& link) { link.peer = peer; });
}

void Dialer::use(const BackoffConfig& config) {
  config_ = config;
  for (auto& [id, link] : links_) link.backoff.use(config);
}

std::vector<AssociationId> Dialer::stop() {
  stopped_ = true;
  due_ = {};
  std::vector<AssociationId> not_up;
  for (auto& [id, link] : links_) {
    if (const auto* connecting = std::get_if<Link::Connecting>(&link.state)) {
      not_up.push_back(connecting->association);
    } else if (std::holds_alternative<Link::Waiting>(link.state)) {
      link.state = Link::Resting{};
    }
  }
  return not_up;
}

}  // namespace siglane
