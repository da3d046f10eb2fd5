#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "core/parcel.h"
#include "protocols/diameter/parcels.h"

// Where requests go (RFC 6733 §6.1): what is known of peers, and pure functions over it.

namespace siglane::diameter {

// A connection of a peer that takes requests now. A peer may have several.
struct OpenPeer {
  AssociationId id{};
  ShardId shard{};
  std::string name, origin_host, realm;
  bool relay = false;
  std::vector<ApplicationId> applications;
  std::vector<std::string> routed_realms;  // from its config; "*": any
};

// A connection that is open and takes no requests now.
struct IdlePeer {
  enum class Reason : std::uint8_t {
    blocked,  // by the operator
    suspect,  // it has not answered its watchdog
  };
  OpenPeer peer;
  Reason reason{};
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
  std::vector<IdlePeer> idle;
  std::vector<LocalApplication> applications;
  std::vector<ConnectingPeer> connecting;
  // Names of configured peers whose watchdog failed on the last of their connections that was well.
  std::vector<std::string> suspects;

  bool is_suspect(std::string_view name) const;
  // How many sessions other than `but` wait for that host's CEA.
  std::size_t connecting_to(std::string_view origin_host, AssociationId but) const;
  // How many connections that peer has, idle ones too.
  std::size_t connections_of(std::string_view name) const;
  // Has that peer a connection whose watchdog is answered?
  bool is_well(std::string_view name) const;
};

// What routing looks at in a request. Views both.
struct RouteQuery {
  MessageView message;
  const RequestParcel* request = nullptr;                // who sent it, and where it has been
  std::string_view destination_host, destination_realm;  // empty: absent

  static RouteQuery of(const MessageView& message, const RequestParcel& request);
};

// Did the request pass this node before?
bool was_at(const MessageView& request, std::string_view origin_host);

// Why a connection is not the way for a request.
enum class Unfit : std::uint8_t {
  sender,       // its peer sent the request
  tried,        // the request was there already
  on_record,    // the request passed its peer before (Route-Record)
  application,  // its peer has not advertised the application
  realm,        // its peer is not of that realm, nor leads to it by its config
  host,         // its peer is of that realm, but another host, and leads to no other
};
// In words that follow "the peer": "has not advertised the application".
std::string_view text_of(Unfit unfit);

// How a peer leads to where a request is to go; the greater the better.
enum class Lead : int {
  behind = 50,  // its config says that it leads to that realm
  realm = 100,  // it is of that realm
  host = 1000,  // it is Destination-Host
};
std::string_view text_of(Lead lead);
// Whatever else speaks against it.
tl::expected<Lead, Unfit> leads_there(const OpenPeer& peer, const RouteQuery& query);
// How good a way it is for the request, more is better; or why it is none.
tl::expected<int, Unfit> fitness_of(const OpenPeer& peer, const RouteQuery& query);

// The best ones for a request are equals, of which its end-to-end identifier chooses one, so that
// they share the load and a retransmission takes the same way.
struct BestPeers {
  int fitness = 0;
  std::size_t count = 0;  // 0: none will do
};
BestPeers best_peers(const RouteTable& routes, const RouteQuery& query);
// nullptr: none will do.
const OpenPeer* choose_peer(const RouteTable& routes, const RouteQuery& query);
// An idle one that the request was tried on, or that would be a way for it; nullptr: none.
const IdlePeer* idle_peer(const RouteTable& routes, const RouteQuery& query);
// Is the realm one that some configured or open peer leads to?
bool leads_to(const DiameterConfig& config, const RouteTable& routes, std::string_view realm);

// Is the request for this node itself? By its Destination-Host, or else by its Destination-Realm.
enum class Ours : std::uint8_t { no, realm, host };
Ours is_ours(const DiameterConfig& config, const RouteQuery& query);
// May it go to another peer? Only agents pass on what others sent.
bool may_leave(const DiameterConfig& config, const RouteQuery& query);

// Where a request goes: to an application of this node, or to a peer, or nowhere.
struct Route {
  const LocalApplication* application = nullptr;
  const OpenPeer* peer = nullptr;
  ResultCode refusal{};  // where neither takes it: what it is answered
};
// `shard`: where the request is. Good as long as `routes` is.
Route find_route(const DiameterConfig& config, const RouteTable& routes, ShardId shard,
                 const RouteQuery& query);

}  // namespace siglane::diameter
