#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/protocol.h"
#include "protocols/diameter/parcels.h"

namespace siglane::diameter {

// A peer that takes requests now.
struct OpenPeer {
  AssociationId id{};
  ShardId shard{};
  std::string name, origin_host, realm;
  bool relay = false;
  std::vector<ApplicationId> applications;
  std::vector<std::string> routed_realms;  // from its config

  bool supports(ApplicationId application) const;
};

struct LocalApplication {
  ShardId shard{};
  ApplicationId id{};
  AssociationId coordinator{};
};

// What route() reads: immutable, replaced whole.
struct RouteTable {
  std::vector<OpenPeer> peers;
  std::vector<LocalApplication> applications;
  std::vector<std::string> suspects;  // names of peers whose watchdog failed last time

  const OpenPeer* peer(AssociationId id) const;
};

// What routing looks at in a request (RFC 6733 §6.1).
struct RouteQuery {
  MessageView message;
  std::string_view destination_host, destination_realm;  // empty: absent
  AssociationId origin{};
  std::span<const AssociationId> tried;
};

// DiameterIdentity compares without regard to case (RFC 6733 §4.3.1: FQDNs, RFC 5890 rules).
bool same_identity(std::string_view a, std::string_view b);

// The best open peer for it; nullptr: none will do.
const OpenPeer* choose_peer(const RouteTable& routes, const RouteQuery& query);
// Is the realm one that some configured or open peer leads to?
bool leads_to(const DiameterConfig& config, const RouteTable& routes, std::string_view realm);

}  // namespace siglane::diameter
