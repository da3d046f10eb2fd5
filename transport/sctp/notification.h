#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "core/association.h"
#include "core/bytes.h"

namespace siglane::transport {

// The stack's number of an association (sctp_assoc_t). It never leaves this room: host-unique and
// kept by peeloff in the kernel, per socket in usrsctp.
using SctpId = std::int32_t;

// How a message is sent.
struct SendInfo {
  StreamId stream{};
  PayloadProtocol protocol{};
  bool unordered = false;
};

// What an SCTP stack tells besides data (RFC 6458 §6.1), freed of the layout in which it says so.
namespace notification {

// §6.1.1 SCTP_ASSOC_CHANGE
enum class Change { comm_up, comm_lost, restart, shutdown_complete, cannot_start };
struct AssociationChanged {
  SctpId id = 0;
  Change change{};
  std::uint16_t error = 0;  // RFC 9260 §3.3.10 cause code, host order; 0: none
  std::uint16_t streams_out = 0, streams_in = 0;
  bool by_abort = false;  // the peer's ABORT chunk came with it
};
// §6.1.2 SCTP_PEER_ADDR_CHANGE
enum class PathState {
  available,
  unreachable,
  removed,
  added,
  made_primary,
  confirmed,
  potentially_failed,  // RFC 7829 §7.1
  other
};
struct PathChanged {
  SctpId id = 0;
  std::string address;  // canonical text; empty: neither IPv4 nor IPv6
  PathState state{};
};
// §6.1.11 SCTP_SEND_FAILED_EVENT: Linux tells it for each DATA chunk of the message.
struct SendFailed {
  SctpId id = 0;
  StreamId stream{};
  PayloadProtocol protocol{};
  bool unordered = false;
  bool sent = false;  // it was on the wire at least once
  bool begins = true, ends = true;
  Bytes payload;  // points into the notification
};
// §6.1.5 SCTP_SHUTDOWN_EVENT: the peer sends nothing more.
struct PeerShutdown {
  SctpId id = 0;
};
// §6.1.7 SCTP_PARTIAL_DELIVERY_EVENT: the message being delivered will never be whole.
struct PartialDeliveryAborted {
  SctpId id = 0;
  StreamId stream{};
  bool unordered = false;
};
// §6.1.9 SCTP_SENDER_DRY_EVENT: nothing is unsent or unacknowledged.
struct SenderDry {
  SctpId id = 0;
};
// §6.1.8 SCTP_AUTHENTICATION_EVENT
struct Authentication {
  SctpId id = 0;
  bool peer_has_none = false;
};
// §6.1.3 SCTP_REMOTE_ERROR
struct RemoteError {
  SctpId id = 0;
  std::uint16_t cause = 0;
};
// One that we did not subscribe to, or that is newer than this code.
struct Unknown {
  std::uint16_t type = 0;
};

}  // namespace notification

using Notification =
    std::variant<notification::AssociationChanged, notification::PathChanged,
                 notification::SendFailed, notification::PeerShutdown,
                 notification::PartialDeliveryAborted, notification::SenderDry,
                 notification::Authentication, notification::RemoteError, notification::Unknown>;

// Of which association it speaks; 0: of none.
inline SctpId subject_of(const Notification& said) {
  return std::visit(
      [](const auto& one) {
        if constexpr (requires { one.id; }) return one.id;
        return SctpId{0};
      },
      said);
}

}  // namespace siglane::transport
