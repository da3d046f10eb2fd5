#pragma once
#include <cstdint>
#include <string>
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
  std::string realm;
  // Realms served behind this peer, if it is an agent; "*": any.
  std::vector<std::string> routed_realms;
};

struct DiameterLimits {
  // Requests waiting for their answer, for each connection, and the bytes of their messages. Of
  // what is relayed, one peer's requests take no more than they leave to others.
  std::size_t pending_max = 65536;
  std::size_t pending_bytes_max = std::size_t{64} << 20;
  std::size_t message_bytes_max = 65536;
  std::size_t avp_depth_max = 8;  // groups within groups
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
  // For a goodbye: at most half of it for answers that are still to come, the rest for the DPA.
  Duration disconnect_timeout = 5s;
  Duration request_timeout = 10s;  // from our sending a request to its answer
  DiameterLimits limits;
  std::vector<DiameterPeerConfig> peers;
};

// What is wrong with it, in words of the JSON config; nothing if it will do.
Result<void> check(const DiameterConfig& config);

}  // namespace siglane::diameter
