#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "core/association.h"
#include "core/backoff.h"
#include "core/config.h"
#include "core/deadlines.h"
#include "core/random.h"
#include "core/time.h"

namespace siglane {

class ProtocolModule;

// A peer of a module.
using PeerKey = std::pair<const ProtocolModule*, std::string>;

// What the node knows of a peer now, on all its shards.
struct PeerPresence {
  bool full = false;  // it has all the associations that it may have (PeerConfig::connections_max)
  std::optional<Instant> held_off_until = std::nullopt;  // the peer wants no connect before
};

enum class LinkId : std::uint64_t {};
enum class LinkState {
  resting,     // the peer has all the associations that it may have
  waiting,     // for the time of its next connect
  connecting,  // its association is not up yet
  connected,   // its association is up
  disabled,    // it does not connect until it is enabled
};
std::string_view name_of(LinkState state);

// The links of one shard. A link is our will to be connected to a peer: it connects, and again
// after its association has ended, with back-off. It rests while others have taken all the slots of
// the peer (directory.h), so that one more association would be refused. A peer may have as many
// links as slots; each is one association's, and may be from another local endpoint.
//
// The back-off grows with every connect, until the peer has been here for BackoffConfig::lasting:
// on an association that this link made, or on those for which it rests.
//
// Pure: it says what to connect or to give up, and is told what came of that and the time. On the
// shard's thread.
class Dialer {
 public:
  struct Link {
    struct Resting {};
    struct Waiting {
      Instant until{};
    };
    struct Connecting {
      AssociationId association{};
    };
    struct Connected {
      AssociationId association{};
      bool is_peer = false;  // it has a slot
    };
    struct Disabled {};

    PeerKey key() const { return {module, peer.name}; }
    // Its association, whether up or not.
    AssociationId association() const;

    LinkId id{};  // of no other link of the process; it keeps it when it moves
    const ProtocolModule* module = nullptr;
    EndpointId local{};
    PeerConfig peer;
    Backoff backoff;
    std::variant<Resting, Waiting, Connecting, Connected, Disabled> state = {};
    bool enabled = true;  // else it is, or will be after its association, Disabled
    std::optional<Instant> peer_here_since = std::nullopt;  // on whichever association
    Deadlines<LinkId>::Slot armed = std::nullopt;
    std::uint64_t revision = 0;  // that it was made for
  };

  // `seed`: of the back-off's jitter.
  Dialer(BackoffConfig config, std::uint64_t seed) : config_(config), random_(seed) {}

  // It rests until begin(). `revision`: that it was made for.
  LinkId add(const ProtocolModule* module, EndpointId local, const PeerConfig& peer,
             std::uint64_t revision = 0);
  const Link& at(LinkId id) const { return links_.at(id); }
  LinkState state_of(LinkId id) const;
  const std::unordered_map<LinkId, Link>& links() const { return links_; }
  // The link whose association that is; nullptr: none, so the peer has connected to us. Valid until
  // the association leaves this shard.
  const Link* link_of(AssociationId association) const;

  // When the next link is due, and which ones are: begin() each.
  std::optional<Instant> deadline() const { return due_.earliest(); }
  std::optional<LinkId> pop_due(Instant now);
  // true: connect now, and say connecting(). Otherwise the link rests, waits or is disabled.
  [[nodiscard]] bool begin(LinkId id, const PeerPresence& peer, Instant now);
  void connecting(LinkId id, AssociationId association);

  // An association that we made is up. An SCTP RESTART brings a link up under another id than it
  // was connected with: then a link to `peer` from `local` that has none takes it.
  void up(AssociationId association, const PeerKey& peer, EndpointId local);
  // An association is down. If it was a connect that failed: how long until the next one. `peer`:
  // as it is without that association.
  std::optional<Duration> down(AssociationId association, const PeerPresence& peer, Instant now);
  // `association` has a slot of the peer from now on. Returns the associations of other links that
  // would find none: give them up.
  [[nodiscard]] std::vector<AssociationId> identified(const PeerKey& key, AssociationId association,
                                                      const PeerPresence& peer, Instant now);
  // A slot is free again: the links that rested for it connect, after a back-off.
  void wake(const PeerKey& key, const PeerPresence& peer, Instant now);

  // An association leaves for another shard, and its link with it; or arrives from one.
  std::optional<Link> leave(AssociationId association);
  void arrive(AssociationId association, Link link);

  // An operator's word on all links to a peer. A disabled link keeps an association that is the
  // peer, and does not connect after it; returns the associations that are not the peer yet: give
  // them up. An enabled link without an association is due at once, with a fresh back-off; it rests
  // on if the peer has all its associations.
  [[nodiscard]] std::vector<AssociationId> disable(const PeerKey& peer);
  void enable(const PeerKey& peer, Instant now);
  // Its links that were made for a revision before `before` are no more. Returns the associations
  // that are not the peer yet: give them up.
  [[nodiscard]] std::vector<AssociationId> remove(const PeerKey& peer, std::uint64_t before = 1);
  // Its links connect by this config from now on.
  void use(const PeerKey& key, const PeerConfig& peer);
  // The back-off of links from their next one on, and of those to come.
  void use(const BackoffConfig& config);
  // No link connects any more. Returns the associations that are not up yet: give them up.
  [[nodiscard]] std::vector<AssociationId> stop();

 private:
  template <class F>
  void each_to(const PeerKey& peer, F&& what) {
    const auto [first, end] = by_peer_.equal_range(peer);
    for (auto it = first; it != end; ++it) what(it->second, links_.at(it->second));
  }
  void wait(LinkId id, Link& link, Instant until);
  void back_off(LinkId id, Link& link, const PeerPresence& peer, Instant now);
  void peer_gone(Link& link, Instant now) const;
  static void rest(Link& link, Instant now);

  BackoffConfig config_;
  Random random_;
  std::unordered_map<LinkId, Link> links_;
  std::multimap<PeerKey, LinkId> by_peer_;
  std::unordered_map<AssociationId, LinkId> by_association_;
  Deadlines<LinkId> due_;
  bool stopped_ = false;
};

}  // namespace siglane
