#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/parcel.h"
#include "protocols/diameter/parcels.h"

// Where requests go (RFC 6733 §6.1): what is known of peers, and pure functions over it.

namespace siglane::diameter {

// A peer that takes requests now.
struct OpenPeer {
  AssociationId id{};
  ShardId shard{};
  std::string name, origin_host, realm;
  bool relay = false;
  std::vector<ApplicationId> applications;
  std::vector<std::string> routed_realms;  // from its config; "*": any
};

struct LocalApplication {
  ShardId shard{};
  ApplicationId id{};
  AssociationId coordinator{};
};

// We have sent a CER and wait: for elections.
struct ConnectingPeer {
  AssociationId id{};
  std::string origin_host;
};

// What route() reads: immutable, replaced whole.
struct RouteTable {
  std::vector<OpenPeer> peers;
  std::vector<LocalApplication> applications;
  std::vector<ConnectingPeer> connecting;
  std::vector<std::string> suspects;  // names of peers whose watchdog failed last time

  const OpenPeer* peer(AssociationId id) const;
  const OpenPeer* peer(std::string_view name) const;
  bool is_suspect(std::string_view name) const;
  // Does a session other than `but` wait for that host's CEA?
  bool is_connecting_to(std::string_view origin_host, AssociationId but) const;
};

// What routing looks at in a request. Views the message.
struct RouteQuery {
  MessageView message;
  std::string_view destination_host, destination_realm;  // empty: absent
  AssociationId origin{};                                // who sent it: not the way on
  const Parcel* parcel = nullptr;                        // where it has been

  static RouteQuery of(const MessageView& message, const RequestParcel& request);
};

// Did the request pass this node before?
bool was_at(const MessageView& request, std::string_view origin_host);

// The best open peer for it; nullptr: none will do. Among equals the request's end-to-end
// identifier decides, so that they share the load and a retransmission takes the same way.
const OpenPeer* choose_peer(const RouteTable& routes, const RouteQuery& query);
// Is the realm one that some configured or open peer leads to?
bool leads_to(const DiameterConfig& config, const RouteTable& routes, std::string_view realm);

}  // namespace siglane::diameter
