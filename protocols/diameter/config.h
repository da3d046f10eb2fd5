#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "protocols/diameter/avp.h"

namespace siglane::diameter {

// An application that we advertise in CER and CEA (RFC 6733 §5.3).
struct SupportedApplication {
  ApplicationId id{};
  // 3GPP's applications are advertised within Vendor-Specific-Application-Id; 0: by
  // Auth-Application-Id alone.
  VendorId vendor = 0;
  bool accounting = false;  // Acct-Application-Id instead of Auth-Application-Id

  friend bool operator==(const SupportedApplication&, const SupportedApplication&) = default;
};

// What Diameter needs to know of a peer; `name` is that of its PeerConfig.
struct DiameterPeerConfig {
  std::string name;
  std::string origin_host;
  std::string realm;  // its Origin-Realm; empty: whatever its CER or CEA says
  // The realms for which this peer speaks besides itself, if it is an agent: requests for them are
  // routed to it, and it may relay what nodes of them send (origin.h). "*": any.
  std::vector<std::string> routed_realms;
  // As in its PeerConfig. RFC 6733 §2.1: several instances of a peer on one host may each have a
  // connection, to one Origin-Host.
  std::size_t connections_max = 1;

  friend bool operator==(const DiameterPeerConfig&, const DiameterPeerConfig&) = default;
};

// Is the realm one of these, or may it be any?
bool contains_realm(const std::vector<std::string>& routed_realms, std::string_view realm);

struct DiameterLimits {
  // Requests waiting for their answer, for each connection, and the bytes of their messages. Of
  // what is relayed, one peer's requests take no more than they leave to others.
  std::size_t pending_max = 65536;
  std::size_t pending_bytes_max = std::size_t{64} << 20;
  std::size_t message_bytes_max = 65536;
  std::size_t avp_depth_max = 8;  // groups within groups

  friend bool operator==(const DiameterLimits&, const DiameterLimits&) = default;
};

// One Diameter node. Values out of range are named by check().
struct DiameterConfig {
  std::string origin_host;
  std::string origin_realm;
  std::string product_name = "Siglane";
  VendorId vendor_id = 0;
  std::uint32_t firmware_revision = 1;
  // Host-IP-Address of CER and CEA, canonical text; empty: the association's own addresses.
  std::vector<std::string> host_ip_addresses;
  // RFC 6733 §8.16: grows with every loss of state, e.g. seconds since 1970 at start; 0: not sent.
  std::uint32_t origin_state_id = 0;
  std::vector<SupportedApplication> applications;
  bool relay = false;  // advertises the relay application, and relays what is for other realms
  Duration watchdog_interval = 30s;     // Tw of RFC 3539 §3.4.1, which asks for at least 6 s
  Duration capabilities_timeout = 10s;  // from Up to the peer's CER or CEA
  // For a goodbye. Ours: at most half of it for answers that are still to come, the rest for the
  // DPA. The peer's: for the answers that it is owed before its DPA, and then as much for its
  // disconnect.
  Duration disconnect_timeout = 5s;
  // We do not connect to a peer for so long after its DPR said BUSY or DO_NOT_WANT_TO_TALK_TO_YOU;
  // 0: as after any other.
  Duration disconnect_holdoff = 5min;
  Duration request_timeout = 10s;  // from our first sending a request to its answer
  DiameterLimits limits;
  std::vector<DiameterPeerConfig> peers;

  // The peer that is configured with this Origin-Host; nullptr: none is.
  const DiameterPeerConfig* peer_at(std::string_view host) const;
  const DiameterPeerConfig* peer_named(std::string_view peer_name) const;

  // Both of them are fast once the peers are indexed; until then they look at one after another.
  // After the last change of `peers`.
  void index_peers();
  friend bool operator==(const DiameterConfig&, const DiameterConfig&) = default;

  std::unordered_map<std::string, std::size_t> by_host = {}, by_name = {};  // index_peers()
};

// What is wrong with it, in words of the JSON config; nothing if it will do.
Result<void> check(const DiameterConfig& config);

}  // namespace siglane::diameter
