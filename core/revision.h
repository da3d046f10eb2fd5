#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "core/backoff.h"
#include "core/config.h"
#include "core/dialer.h"
#include "core/peer_table.h"

namespace siglane {

class ProtocolModule;

// What a node runs by, as far as its shards go: immutable, and replaced whole. A node begins with
// number 1.
struct Revision {
  std::uint64_t number = 1;
  PeerTable peers;
  BackoffConfig reconnect;
};

// A peer that one shard is to keep connected.
struct WantedLink {
  ShardId shard{};
  ProtocolModule* module = nullptr;
  EndpointId local{};
  PeerConfig peer;
};

// What a new revision makes of a peer that exists.
enum class PeerChange : std::uint8_t {
  removed,      // it is no peer any more: its associations say goodbye, its links go
  reconnected,  // its associations say goodbye, and are made anew; its links go
  rebound,      // another pin, or other socket options: at once
};

// What a new revision makes of what is there. What it does not name notices nothing.
struct RevisionChange {
  std::vector<ProtocolModule*> modules;  // their config has changed
  std::map<PeerKey, PeerChange> peers;
  std::vector<WantedLink> links;  // new ones, also to peers that are reconnected
};

// What a shard is told: use this from now on.
struct Revised {
  std::shared_ptr<const Revision> revision;
  std::shared_ptr<const RevisionChange> change;
};

// What the operator asks of a peer.
enum class PeerOrder : std::uint8_t {
  disconnect,  // end its associations with a goodbye; neither connect to it nor let it in
  connect,     // take that back, and connect to it now, if it is one that we connect to
  block,       // give it no traffic, until unblock; its association stays, and comes back blocked
  unblock,
  peel,  // give its associations a socket of their own
};
std::string_view name_of(PeerOrder order);

}  // namespace siglane
