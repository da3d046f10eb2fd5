#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"

namespace siglane {

// `sctp`: kernel SCTP where the kernel has it, else usrsctp where the encapsulation keys allow it.
enum class TransportKind { sctp, kernel_sctp, usrsctp, tcp, tls, simulated };
constexpr bool is_sctp(TransportKind kind) {
  return kind == TransportKind::sctp || kind == TransportKind::kernel_sctp ||
         kind == TransportKind::usrsctp;
}
enum class Placement { automatic, always_peeled, never_peeled };

std::string_view name_of(TransportKind kind);
std::string_view name_of(Placement placement);

// What one association may hold in memory before it is refused, or closed.
struct AssociationLimits {
  std::size_t message_bytes_max = 65536;           // a larger received message closes it
  std::size_t send_queue_bytes_max = 1024 * 1024;  // beyond: send() refuses
  std::size_t send_queue_messages_max = 4096;
};

// SCTP protocol parameters (RFC 9260 §16) that each association has for itself. The defaults suit
// signaling on a managed network; docs/transport.md says why.
struct SctpAssociationOptions {
  std::uint16_t streams_out = 16;
  std::uint16_t streams_in_max = 64;
  std::uint16_t init_attempts_max = 4;
  Duration init_timeout_max = 3s;
  Duration rto_initial = 500ms;
  Duration rto_min = 250ms;  // more than the delay of a peer's SACKs, which is 200 ms by default
  Duration rto_max = 2s;
  Duration heartbeat_interval = 10s;  // 0: none
  std::uint16_t association_retransmissions_max = 8;
  std::uint16_t path_retransmissions_max = 4;
  std::uint16_t potentially_failed_retransmissions_max = 0;  // RFC 7829: PFMR
  Duration sack_delay = 100ms;                               // 0: acknowledge at once
  std::uint8_t dscp = 0;                                     // RFC 2474, of IPv4 and IPv6 packets
  bool path_mtu_discovery = true;
  std::uint16_t path_mtu_bytes = 0;  // without discovery; 0: as the route says

  bool operator==(const SctpAssociationOptions&) const = default;
};

// Of an endpoint. What stands here belongs to its sockets, which associations share.
struct SctpOptions : SctpAssociationOptions {
  bool nodelay = true;
  Duration handshake_timeout = 5s;  // DTLS, once SCTP is up
  std::size_t receive_buffer_bytes = 4 * 1024 * 1024;
  std::size_t send_buffer_bytes = 2 * 1024 * 1024;

  bool operator==(const SctpOptions&) const = default;
};

// What a peer has otherwise than the endpoint where it is met. The first four count only where we
// connect: who connects to us has agreed on them before we know who it is.
struct SctpPeerOptions {
  std::optional<std::uint16_t> streams_out, streams_in_max, init_attempts_max;
  std::optional<Duration> init_timeout_max;
  std::optional<Duration> rto_initial, rto_min, rto_max, heartbeat_interval;
  std::optional<std::uint16_t> association_retransmissions_max, path_retransmissions_max,
      potentially_failed_retransmissions_max;
  std::optional<Duration> sack_delay;
  std::optional<std::uint8_t> dscp;
  std::optional<bool> path_mtu_discovery;
  std::optional<std::uint16_t> path_mtu_bytes;

  SctpAssociationOptions over(SctpAssociationOptions endpoint) const;
  friend bool operator==(const SctpPeerOptions&, const SctpPeerOptions&) = default;
};

// How TCP connections are made and ended.
struct StreamOptions {
  Duration connect_timeout = 5s;          // for each of the peer's addresses
  Duration handshake_timeout = 5s;        // TLS, once TCP is connected
  Duration close_timeout = 2s;            // flush and the peer's end of stream; then abort
  Duration unacknowledged_timeout = 20s;  // nothing acknowledged, or no room, for so long: lost
};

enum class TlsVersion { tls_1_2, tls_1_3 };

// How connections of an endpoint are made secure. PEM files; read when the endpoint is opened and
// whenever it is reconfigured.
struct TlsConfig {
  std::string certificate;  // ours, then the rest of its chain
  std::string key;          // of `certificate`, not encrypted
  std::string ca;           // who may have issued the peers' certificates
  TlsVersion minimum_version = TlsVersion::tls_1_2;
  std::string ciphers;  // of TLS 1.2, as OpenSSL writes them; empty: ECDHE with an AEAD
  // Who connects to us must show a certificate. Where false, one that shows none is identified by
  // its protocol alone.
  bool require_peer_certificate = true;
  // DTLS over SCTP: who does not authenticate its chunks (RFC 4895) is refused.
  bool require_sctp_auth = true;
};

enum class EndpointId : std::uint32_t {};

// What the shards of a node have in common of one endpoint: a pool of sockets on one address and
// port (SO_REUSEPORT).
struct EndpointPool {
  bool several = false;  // shards open it: one after another, before any thread runs
  // Of the first one, which speaks for all.
  bool opened = false;
  EndpointId id{};
  std::uint16_t port = 0;
  std::atomic<std::size_t> associations = 0;  // on all of them, for associations_max
};

// A local address set and port: what shared sockets are bound to. SCTP allows one association per
// pair of endpoints, so a second connection to the same peer needs a second endpoint.
struct EndpointConfig {
  std::string name;
  TransportKind transport = TransportKind::sctp;
  std::vector<std::string> addresses;  // canonical text (inet_ntop); empty: any
  std::uint16_t port = 0;              // 0: any
  bool listening = false;
  std::uint16_t sockets = 0;  // shared one-to-many sockets by SO_REUSEPORT; 0: as many as needed
  std::uint16_t udp_encapsulation_port = 0;  // RFC 6951, ours; 0: none
  std::uint16_t peers_udp_port = 0;          // of peers that have none of their own
  bool udp_segmentation_offload = false;     // usrsctp's packets by UDP_SEGMENT and UDP_GRO
  std::size_t associations_max = 16384;      // beyond: new ones are refused
  AssociationLimits limits;
  SctpOptions sctp;
  StreamOptions stream;
  // TransportKind::tls, or one of SCTP's: DTLS over SCTP (RFC 6083).
  std::optional<TlsConfig> tls = std::nullopt;
  std::shared_ptr<EndpointPool> pool = nullptr;  // null: of one shard alone
};

// How many associations one peer may be configured to have.
inline constexpr std::size_t kConnectionsMax = 16;

// A peer as far as connections go. What its protocol needs to know of it (Origin-Host, ASP
// identifier, ...) stands in that module's own config, under the same name.
struct PeerConfig {
  std::string name;
  std::vector<std::string> addresses;  // canonical text; empty: any address may be this peer
  std::uint16_t port = 0;
  std::uint16_t remote_udp_port = 0;  // RFC 6951; 0: not encapsulated
  Placement placement = Placement::automatic;
  std::string tls_identity = {};     // what its certificate must name; empty: its name
  std::string primary_address = {};  // of `addresses`, where to send while it works; empty: any
  std::optional<SctpPeerOptions> sctp = std::nullopt;
  // Associations at a time, up to kConnectionsMax, where its protocol lets one peer have several.
  // Where this is lowered while there are more, those stay until they end.
  std::size_t connections_max = 1;

  const std::string& identity() const { return tls_identity.empty() ? name : tls_identity; }
  friend bool operator==(const PeerConfig&, const PeerConfig&) = default;
};

// Whom a node talks to, and how long it bears with strangers.
struct AdmissionConfig {
  bool accept_unknown_peers = false;
  Duration identification_timeout = 10s;  // from Up to Identify
  // At a time, or as many as peers, if those are more. Who comes from an address of a peer's does
  // not count: for those there are as many again.
  std::size_t unidentified_associations_max = 1024;
};

}  // namespace siglane
