#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/sctp.h>

#include "transport/address.h"
#include "transport/sctp/kernel/socket.h"

namespace siglane::transport {
namespace {

// Copies the fixed part of a notification out: nothing promises that the bytes are aligned.
template <class T>
bool copy_head(Bytes bytes, T& head) {
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(&head, bytes.data(), sizeof(T));
  return true;
}

std::optional<Notification> parse_association_change(Bytes bytes) {
  sctp_assoc_change head;
  if (!copy_head(bytes, head)) return std::nullopt;
  notification::AssociationChanged changed;
  switch (head.sac_state) {
    case SCTP_COMM_UP:
      changed.change = notification::Change::comm_up;
      break;
    case SCTP_COMM_LOST:
      changed.change = notification::Change::comm_lost;
      break;
    case SCTP_RESTART:
      changed.change = notification::Change::restart;
      break;
    case SCTP_SHUTDOWN_COMP:
      changed.change = notification::Change::shutdown_complete;
      break;
    case SCTP_CANT_STR_ASSOC:
      changed.change = notification::Change::cannot_start;
      break;
    default:
      return std::nullopt;
  }
  changed.id = head.sac_assoc_id;
  changed.error = ntohs(head.sac_error);  // Linux leaves it in network order
  changed.streams_out = head.sac_outbound_streams;
  changed.streams_in = head.sac_inbound_streams;
  changed.by_abort =
      changed.change == notification::Change::comm_lost && bytes.size() > sizeof(sctp_assoc_change);
  return changed;
}

notification::PathState path_state(int state) {
  switch (state) {
    case SCTP_ADDR_AVAILABLE:
      return notification::PathState::available;
    case SCTP_ADDR_UNREACHABLE:
      return notification::PathState::unreachable;
    case SCTP_ADDR_REMOVED:
      return notification::PathState::removed;
    case SCTP_ADDR_ADDED:
      return notification::PathState::added;
    case SCTP_ADDR_MADE_PRIM:
      return notification::PathState::made_primary;
    case SCTP_ADDR_CONFIRMED:
      return notification::PathState::confirmed;
    case SCTP_ADDR_POTENTIALLY_FAILED:
      return notification::PathState::potentially_failed;
    default:
      return notification::PathState::other;
  }
}

std::optional<Notification> parse_path_change(Bytes bytes) {
  sctp_paddr_change head;
  if (!copy_head(bytes, head)) return std::nullopt;
  sockaddr_storage storage;
  std::memcpy(&storage, &head.spc_aaddr, sizeof storage);
  const SocketAddress address = SocketAddress::from(storage);
  return notification::PathChanged{head.spc_assoc_id,
                                   address.valid() ? address.text() : std::string{},
                                   path_state(head.spc_state)};
}

std::optional<Notification> parse_send_failed(Bytes bytes) {
  // The flags of the DATA chunk (RFC 9260 §3.3.1): "U", "B" and "E".
  constexpr unsigned kEnds = 1, kBegins = 2, kUnordered = 4;
  sctp_send_failed_event head;
  if (!copy_head(bytes, head)) return std::nullopt;
  notification::SendFailed failed;
  failed.id = head.ssf_assoc_id;
  failed.stream = StreamId{head.ssfe_info.snd_sid};
  failed.protocol = PayloadProtocol{ntohl(head.ssfe_info.snd_ppid)};
  failed.unordered = (head.ssfe_info.snd_flags & kUnordered) != 0;
  failed.sent = head.ssf_flags == SCTP_DATA_SENT;
  failed.begins = (head.ssfe_info.snd_flags & kBegins) != 0;
  failed.ends = (head.ssfe_info.snd_flags & kEnds) != 0;
  failed.payload = bytes.subspan(sizeof(sctp_send_failed_event));
  return failed;
}

std::optional<Notification> parse_partial_delivery(Bytes bytes) {
  sctp_pdapi_event head;
  if (!copy_head(bytes, head) || head.pdapi_indication != SCTP_PARTIAL_DELIVERY_ABORTED)
    return std::nullopt;
  return notification::PartialDeliveryAborted{
      head.pdapi_assoc_id, StreamId{static_cast<std::uint16_t>(head.pdapi_stream)},
      (head.pdapi_flags & SCTP_UNORDERED) != 0};
}

template <class Head, class Make>
std::optional<Notification> parse_as(Bytes bytes, Make make) {
  Head head;
  if (!copy_head(bytes, head)) return std::nullopt;
  return make(head);
}

}  // namespace

std::optional<Notification> parse_notification(Bytes bytes) {
  struct Header {
    std::uint16_t type, flags;
    std::uint32_t length;
  };
  Header header;
  if (!copy_head(bytes, header) || header.length < sizeof(Header) || header.length > bytes.size()) {
    return std::nullopt;
  }
  bytes = bytes.first(header.length);

  switch (header.type) {
    case SCTP_ASSOC_CHANGE:
      return parse_association_change(bytes);
    case SCTP_PEER_ADDR_CHANGE:
      return parse_path_change(bytes);
    case SCTP_SEND_FAILED_EVENT:
      return parse_send_failed(bytes);
    case SCTP_PARTIAL_DELIVERY_EVENT:
      return parse_partial_delivery(bytes);
    case SCTP_SHUTDOWN_EVENT:
      return parse_as<sctp_shutdown_event>(
          bytes, [](const auto& head) { return notification::PeerShutdown{head.sse_assoc_id}; });
    case SCTP_SENDER_DRY_EVENT:
      return parse_as<sctp_sender_dry_event>(bytes, [](const auto& head) {
        return notification::SenderDry{head.sender_dry_assoc_id};
      });
    case SCTP_AUTHENTICATION_EVENT:
      return parse_as<sctp_authkey_event>(bytes, [](const auto& head) {
        return notification::Authentication{head.auth_assoc_id,
                                            head.auth_indication == SCTP_AUTH_NO_AUTH};
      });
    case SCTP_REMOTE_ERROR:
      return parse_as<sctp_remote_error>(bytes, [](const auto& head) {
        return notification::RemoteError{head.sre_assoc_id, ntohs(head.sre_error)};
      });
    default:
      return notification::Unknown{header.type};
  }
}

}  // namespace siglane::transport
