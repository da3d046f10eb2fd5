#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/buffer.h"
#include "core/config.h"
#include "core/time.h"

namespace siglane {

// Ours: process-wide, never reused. The kernel's sctp_assoc_t stays inside transport/: it is
// host-unique and kept by peeloff in the kernel, per socket in usrsctp. Coordinators (sessions
// without an association) take their ids from the same space. 0 is nobody.
enum class AssociationId : std::uint64_t { none = 0 };
enum class StreamId : std::uint16_t {};
enum class ShardId : std::uint16_t {};
// A node has at most so many; their ids count from 0.
inline constexpr std::uint16_t kShardsMax = 256;

// The payload protocol identifier of an SCTP DATA chunk (IANA registry); each protocol has its own.
enum class PayloadProtocol : std::uint32_t { none = 0 };

// The next id of the process. Any thread.
AssociationId next_association_id();
EndpointId next_endpoint_id();

// One whole SCTP user message. Partial deliveries never leave transport/.
struct Message {
  StreamId stream{};
  PayloadProtocol protocol{};
  bool unordered = false;
  // When the loop read the message that this one answers or relays; zero: nobody waits. A
  // transport counts the time from here to the hand-over to the stack as residence time.
  Instant caused_at{};
  Buffer payload;
};

enum class DownCause {
  refused,
  unreachable,
  lost,
  peer_shutdown,
  peer_abort,
  local_close,
  restarted,
  already_connected,
  protocol_error,
  tls_failed  // no secure channel, or one that broke; the detail says why
};
// What has become of one of the peer's addresses. Traffic leaves one that has potentially failed
// (RFC 7829) at once if another works; one that is unreachable (RFC 9260 §8.2) has failed for good,
// until a heartbeat is answered.
enum class PathState { reachable, potentially_failed, unreachable };
enum class CloseMode { graceful, abort };
enum class SendOutcome { accepted, refused };  // refused: gone, or queue at its hard limit

std::string_view name_of(DownCause cause);
std::string_view name_of(PathState state);

// All an association can say, whichever socket carries it. Order: Up, then Received, Congestion,
// PathChange, Unsent in any number, then Down, once. What ends before it is up is a lone Down. An
// SCTP RESTART is Down{restarted}, then Up under a new id. Every message the stack returns is
// reported before Down. Ending comes at most once; no Received follows it.
struct AssociationUp {
  EndpointId local{};
  std::vector<std::string> local_addresses;  // canonical text
  // The first is the primary path. Where the peer connected: only those that are proven to be its.
  std::vector<std::string> remote_addresses;
  std::uint16_t remote_port = 0;
  std::uint16_t streams_in = 0, streams_out = 0;  // 0 and 0: TCP and TLS have none
  std::string peer;                               // the configured peer, where we connected
  bool initiator = false;                         // we connected
  // The names in the peer's certificate, which was verified. Nothing: no secure channel, or one
  // whose peer need not show a certificate and did not.
  std::optional<std::vector<std::string>> certificate_names = std::nullopt;
};
struct AssociationReceived {
  Message message;
};
// The peer sends nothing more. It has ended its half of a stream connection: then it may still
// read, and Down follows when we close our half. Or SHUTDOWN has come: an SCTP endpoint that has
// received it shall "stop accepting new data from its SCTP user" (RFC 9260 §9.2). Then what is sent
// from now on comes back Unsent, behind what was sent before, and Down follows by itself.
struct AssociationEnding {
  bool reads = false;
};
struct AssociationCongestion {
  bool congested;
};
struct AssociationPathChange {
  std::string address;
  PathState new_state{};
};
struct AssociationUnsent {
  Message message;
  bool sent_unacknowledged;
};
struct AssociationDown {
  DownCause cause{};
  std::string detail;
};
using AssociationEvent =
    std::variant<AssociationUp, AssociationReceived, AssociationEnding, AssociationCongestion,
                 AssociationPathChange, AssociationUnsent, AssociationDown>;

// The one thing a shard can do to the wire. Owned by its Transport; everyone else holds the id and
// asks again. Only on the loop's thread.
class Association {
 public:
  Association() = default;
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;
  virtual ~Association() = default;

  virtual AssociationId id() const = 0;
  // Refused: `message` is untouched and the shard tells the session Unsent.
  [[nodiscard]] virtual SendOutcome send(Message&& message) = 0;
  // Idempotent. AssociationDown follows, later, from the loop.
  virtual void close(CloseMode mode) = 0;
};

// An association between two transports: its socket, unsent queue, half-received messages and
// secure channel. Dropping the cargo aborts the association.
class DetachedAssociation {
 public:
  DetachedAssociation() = default;
  DetachedAssociation(const DetachedAssociation&) = delete;
  DetachedAssociation& operator=(const DetachedAssociation&) = delete;
  virtual ~DetachedAssociation() = default;
  virtual AssociationId id() const = 0;
};

}  // namespace siglane
