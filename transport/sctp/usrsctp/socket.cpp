#include "transport/sctp/usrsctp/socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include <arpa/inet.h>
#include <usrsctp.h>

namespace siglane::transport {
namespace {

// SCTP bytes in a UDP datagram: with UDP and IPv6 around them they fit an Ethernet frame, with room
// for a tunnel. Nothing discovers it: the stack does not see the ICMP messages.
constexpr std::uint32_t kPathMtu = 1400;

template <class T>
int set(struct ::socket* so, int level, int option, const T& value) {
  return usrsctp_setsockopt(so, level, option, &value, sizeof value) == 0 ? 0 : errno;
}

std::uint32_t milliseconds(Duration d) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
}

sockaddr_conn conn_address(UsrsctpAddress address) {
  sockaddr_conn conn{};
  conn.sconn_family = AF_CONN;
  conn.sconn_port = htons(address.port);
  conn.sconn_addr = reinterpret_cast<void*>(static_cast<std::uintptr_t>(address.path));
  return conn;
}

UsrsctpAddress from_conn(const sockaddr_conn& conn) {
  return {static_cast<PathId>(reinterpret_cast<std::uintptr_t>(conn.sconn_addr)),
          ntohs(conn.sconn_port)};
}

// The first of them that fails.
using Setting = std::pair<std::string_view, int>;
OptionOutcome first_failure(std::initializer_list<Setting> settings) {
  for (const auto& [which, error] : settings) {
    if (error != 0) return {error, which};
  }
  return {};
}

// What all sockets need, whatever the config says.
OptionOutcome set_basics(struct ::socket* so) {
  const int on = 1;
  // A late fragment of one association must not hold back all others (RFC 6458 §8.1.20).
  const OptionOutcome failed = first_failure(
      {{"SCTP_FRAGMENT_INTERLEAVE", set(so, IPPROTO_SCTP, SCTP_FRAGMENT_INTERLEAVE, on)},
       {"SCTP_RECVRCVINFO", set(so, IPPROTO_SCTP, SCTP_RECVRCVINFO, on)}});
  if (failed.error != 0) return failed;
  for (const std::uint16_t type :
       {SCTP_ASSOC_CHANGE, SCTP_PEER_ADDR_CHANGE, SCTP_SEND_FAILED_EVENT, SCTP_SHUTDOWN_EVENT,
        SCTP_PARTIAL_DELIVERY_EVENT, SCTP_REMOTE_ERROR}) {
    sctp_event event{};
    event.se_assoc_id = SCTP_FUTURE_ASSOC;
    event.se_type = type;
    event.se_on = 1;
    if (const int error = set(so, IPPROTO_SCTP, SCTP_EVENT, event)) {
      return {error, "SCTP_EVENT"};
    }
  }
  return {};
}

int bind_to(struct ::socket* so, std::uint16_t port) {
  sockaddr_conn local = conn_address({0, port});
  return usrsctp_bind(so, reinterpret_cast<sockaddr*>(&local), sizeof local) == 0 ? 0 : errno;
}

// The stack would choose a port too, but not tell which: an endpoint that is bound to no address in
// particular has none that usrsctp_getladdrs() could show it by.
int bind_to_any(struct ::socket* so, std::uint16_t& port) {
  constexpr unsigned kFirst = 49152, kPorts = 16384;  // RFC 6335 §6
  static unsigned next = 0;
  int error = EADDRINUSE;
  for (unsigned tries = 0; tries < kPorts && error == EADDRINUSE; ++tries) {
    port = static_cast<std::uint16_t>(kFirst + next++ % kPorts);
    error = bind_to(so, port);
  }
  return error;
}

std::optional<sctp_status> status_of(struct ::socket* so, SctpId id) {
  sctp_status status{};
  status.sstat_assoc_id = static_cast<sctp_assoc_t>(id);
  socklen_t size = sizeof status;
  if (usrsctp_getsockopt(so, IPPROTO_SCTP, SCTP_STATUS, &status, &size) != 0) return std::nullopt;
  return status;
}

}  // namespace

UsrsctpSocket::Opened UsrsctpSocket::open_one_to_many(std::uint16_t port,
                                                      const SctpOptions& options) {
  Opened opened;
  struct ::socket* so =
      usrsctp_socket(AF_CONN, SOCK_SEQPACKET, IPPROTO_SCTP, nullptr, nullptr, 0, nullptr);
  if (so == nullptr) return {nullptr, errno, "socket"};
  opened.socket.reset(new UsrsctpSocket(so, port, options.nodelay));
  opened.socket->watch();
  OptionOutcome failed = set_basics(so);
  if (failed.error == 0) failed = opened.socket->set_options(options);
  if (failed.error != 0) return {nullptr, failed.error, std::string(failed.which)};
  opened.error = port != 0 ? bind_to(so, port) : bind_to_any(so, opened.socket->port_);
  if (opened.error != 0) return {nullptr, opened.error, "bind"};
  return opened;
}

OptionOutcome UsrsctpSocket::set_options(const SctpOptions& options) {
  nodelay_ = options.nodelay;
  const int nodelay = nodelay_ ? 1 : 0;
  const int receive_buffer = static_cast<int>(options.receive_buffer_bytes);
  const int send_buffer = static_cast<int>(options.send_buffer_bytes);
  sctp_initmsg init{};
  init.sinit_num_ostreams = options.streams_out;
  init.sinit_max_instreams = options.streams_in_max;
  init.sinit_max_attempts = options.init_attempts_max;
  init.sinit_max_init_timeo = static_cast<std::uint16_t>(milliseconds(options.init_timeout_max));
  sctp_rtoinfo rto{};
  rto.srto_assoc_id = SCTP_FUTURE_ASSOC;
  rto.srto_initial = milliseconds(options.rto_initial);
  rto.srto_min = milliseconds(options.rto_min);
  rto.srto_max = milliseconds(options.rto_max);
  sctp_assocparams association{};
  association.sasoc_assoc_id = SCTP_FUTURE_ASSOC;
  association.sasoc_asocmaxrxt = options.association_retransmissions_max;
  sctp_paddrparams path{};
  path.spp_assoc_id = SCTP_FUTURE_ASSOC;
  path.spp_address.ss_family = AF_CONN;
  path.spp_hbinterval = milliseconds(options.heartbeat_interval);
  path.spp_pathmaxrxt = options.path_retransmissions_max;
  path.spp_pathmtu = options.path_mtu_bytes != 0 ? options.path_mtu_bytes : kPathMtu;
  path.spp_flags = SPP_PMTUD_DISABLE;
  path.spp_flags |= options.heartbeat_interval > 0ms ? SPP_HB_ENABLE : SPP_HB_DISABLE;
  sctp_sack_info sack{};
  sack.sack_assoc_id = SCTP_FUTURE_ASSOC;
  sack.sack_delay = milliseconds(options.sack_delay);
  sack.sack_freq = options.sack_delay > 0ms ? 2 : 1;  // 1: no delay
  return first_failure(
      {{"SCTP_NODELAY", set(so_, IPPROTO_SCTP, SCTP_NODELAY, nodelay)},
       {"SO_RCVBUF", set(so_, SOL_SOCKET, SO_RCVBUF, receive_buffer)},
       {"SO_SNDBUF", set(so_, SOL_SOCKET, SO_SNDBUF, send_buffer)},
       {"SCTP_INITMSG", set(so_, IPPROTO_SCTP, SCTP_INITMSG, init)},
       {"SCTP_RTOINFO", set(so_, IPPROTO_SCTP, SCTP_RTOINFO, rto)},
       {"SCTP_ASSOCINFO", set(so_, IPPROTO_SCTP, SCTP_ASSOCINFO, association)},
       {"SCTP_PEER_ADDR_PARAMS", set(so_, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, path)},
       {"SCTP_DELAYED_SACK", set(so_, IPPROTO_SCTP, SCTP_DELAYED_SACK, sack)}});
}

UsrsctpSocket::~UsrsctpSocket() {
  usrsctp_set_upcall(so_, nullptr, nullptr);
  const linger abort{1, 0};
  (void)set(so_, SOL_SOCKET, SO_LINGER, abort);
  usrsctp_close(so_);
}

void UsrsctpSocket::watch() {
  usrsctp_set_non_blocking(so_, 1);
  usrsctp_set_upcall(
      so_,
      [](struct ::socket*, void* self, int) {
        const auto& readable = static_cast<UsrsctpSocket*>(self)->readable_;
        if (readable) readable();
      },
      this);
}

int UsrsctpSocket::listen() {
  return usrsctp_listen(so_, 1) == 0 ? 0 : errno;
}

bool UsrsctpSocket::readable() const {
  return (usrsctp_get_events(so_) & SCTP_EVENT_READ) != 0;
}

UsrsctpSocket::Connected UsrsctpSocket::connect(UsrsctpAddress peer) {
  sockaddr_conn remote = conn_address(peer);
  auto* address = reinterpret_cast<sockaddr*>(&remote);
  if (usrsctp_connect(so_, address, sizeof remote) != 0 && errno != EINPROGRESS) {
    return {0, errno};
  }
  const sctp_assoc_t id = usrsctp_getassocid(so_, address);
  if (id == 0) return {0, ECONNREFUSED};
  return {static_cast<SctpId>(id), 0};
}

UsrsctpSocket::Piece UsrsctpSocket::receive(std::span<std::byte> into) {
  Piece piece;
  sockaddr_storage from{};
  socklen_t from_size = sizeof from;
  sctp_rcvinfo info{};
  socklen_t info_size = sizeof info;
  unsigned info_type = SCTP_RECVV_NOINFO;
  int flags = 0;
  const ssize_t got =
      usrsctp_recvv(so_, into.data(), into.size(), reinterpret_cast<sockaddr*>(&from), &from_size,
                    &info, &info_size, &info_type, &flags);
  if (got < 0) {
    piece.error = errno == EWOULDBLOCK ? EAGAIN : errno;
    return piece;
  }
  piece.size = static_cast<std::size_t>(got);
  piece.ends = (flags & MSG_EOR) != 0;
  piece.is_notification = (flags & MSG_NOTIFICATION) != 0;
  piece.end_of_file = got == 0 && !piece.is_notification;
  if (info_type == SCTP_RECVV_RCVINFO) {
    piece.id = static_cast<SctpId>(info.rcv_assoc_id);
    piece.stream = StreamId{info.rcv_sid};
    piece.protocol = PayloadProtocol{ntohl(info.rcv_ppid)};
    piece.unordered = (info.rcv_flags & SCTP_UNORDERED) != 0;
  }
  return piece;
}

int UsrsctpSocket::send(SctpId id, const SendInfo& how, Bytes bytes) {
  sctp_sndinfo info{};
  info.snd_sid = static_cast<std::uint16_t>(how.stream);
  info.snd_ppid = htonl(static_cast<std::uint32_t>(how.protocol));
  info.snd_flags = how.unordered ? SCTP_UNORDERED : 0;
  info.snd_assoc_id = static_cast<sctp_assoc_t>(id);
  const ssize_t sent = usrsctp_sendv(so_, bytes.data(), bytes.size(), nullptr, 0, &info,
                                     sizeof info, SCTP_SENDV_SNDINFO, 0);
  if (sent >= 0) return 0;
  return errno == EWOULDBLOCK ? EAGAIN : errno;
}

void UsrsctpSocket::hold_small(bool on) {
  const int no_delay = nodelay_ && !on ? 1 : 0;
  (void)set(so_, IPPROTO_SCTP, SCTP_NODELAY, no_delay);
}

namespace {

int send_flag(struct ::socket* so, SctpId id, std::uint16_t flag) {
  sctp_sndinfo info{};
  info.snd_flags = flag;
  info.snd_assoc_id = static_cast<sctp_assoc_t>(id);
  const std::byte nothing{};  // of which no byte is sent; but a null pointer is refused
  return usrsctp_sendv(so, &nothing, 0, nullptr, 0, &info, sizeof info, SCTP_SENDV_SNDINFO, 0) >= 0
             ? 0
             : errno;
}

}  // namespace

int UsrsctpSocket::shut_down(SctpId id) {
  const int error = send_flag(so_, id, SCTP_EOF);
  // With data under way, that has switched SCTP_NODELAY off, for all associations on this socket.
  hold_small(false);
  return error;
}

int UsrsctpSocket::abort(SctpId id) {
  return send_flag(so_, id, SCTP_ABORT);
}

// --- Authentication -------------------------------------------------------------------------

int UsrsctpSocket::enable_auth(bool require) {
  const sctp_assoc_value supported{SCTP_FUTURE_ASSOC, 1};
  if (const int error = set(so_, IPPROTO_SCTP, SCTP_AUTH_SUPPORTED, supported)) return error;
  const sctp_authchunk data{SCTP_DATA};
  return require ? set(so_, IPPROTO_SCTP, SCTP_AUTH_CHUNK, data) : 0;
}

bool UsrsctpSocket::peer_has_auth(SctpId id) const {
  sctp_assoc_value supported{static_cast<sctp_assoc_t>(id), 0};
  socklen_t size = sizeof supported;
  return usrsctp_getsockopt(so_, IPPROTO_SCTP, SCTP_AUTH_SUPPORTED, &supported, &size) == 0 &&
         supported.assoc_value != 0;
}

int UsrsctpSocket::set_auth_key(SctpId id, std::uint16_t number, Bytes key) {
  std::vector<std::byte> space(sizeof(sctp_authkey) + key.size());
  sctp_authkey head{};
  head.sca_assoc_id = static_cast<sctp_assoc_t>(id);
  head.sca_keynumber = number;
  head.sca_keylength = static_cast<std::uint16_t>(key.size());
  std::memcpy(space.data(), &head, sizeof head);
  if (!key.empty()) std::memcpy(space.data() + sizeof head, key.data(), key.size());
  const int result = usrsctp_setsockopt(so_, IPPROTO_SCTP, SCTP_AUTH_KEY, space.data(),
                                        static_cast<socklen_t>(space.size()));
  const int error = result == 0 ? 0 : errno;
  explicit_bzero(space.data(), space.size());
  return error;
}

int UsrsctpSocket::use_auth_key(SctpId id, std::uint16_t number) {
  return set(so_, IPPROTO_SCTP, SCTP_AUTH_ACTIVE_KEY,
             sctp_authkeyid{static_cast<sctp_assoc_t>(id), number});
}

int UsrsctpSocket::delete_auth_key(SctpId id, std::uint16_t number) {
  return set(so_, IPPROTO_SCTP, SCTP_AUTH_DELETE_KEY,
             sctp_authkeyid{static_cast<sctp_assoc_t>(id), number});
}

int UsrsctpSocket::subscribe_dry(SctpId id, bool on) {
  sctp_event event{};
  event.se_assoc_id = static_cast<sctp_assoc_t>(id);
  event.se_type = SCTP_SENDER_DRY_EVENT;
  event.se_on = on ? 1 : 0;
  return set(so_, IPPROTO_SCTP, SCTP_EVENT, event);
}

bool UsrsctpSocket::is_dry(SctpId id) const {
  const auto status = status_of(so_, id);
  return status && status->sstat_unackdata == 0;
}

bool UsrsctpSocket::is_established(SctpId id) const {
  const auto status = status_of(so_, id);
  return status && status->sstat_state == SCTP_ESTABLISHED;
}

std::unique_ptr<UsrsctpSocket> UsrsctpSocket::peel_off(SctpId id, int& error) {
  struct ::socket* own = usrsctp_peeloff(so_, static_cast<sctp_assoc_t>(id));
  if (own == nullptr) {
    error = errno;
    return nullptr;
  }
  std::unique_ptr<UsrsctpSocket> peeled(new UsrsctpSocket(own, port_, nodelay_));
  peeled->watch();
  return peeled;
}

std::vector<UsrsctpAddress> UsrsctpSocket::peers(SctpId id) const {
  std::vector<UsrsctpAddress> all;
  sockaddr* addresses = nullptr;
  const int count = usrsctp_getpaddrs(so_, static_cast<sctp_assoc_t>(id), &addresses);
  if (count <= 0) return all;
  const auto* at = reinterpret_cast<const std::byte*>(addresses);
  for (int i = 0; i < count; ++i) {
    sockaddr_conn conn;
    std::memcpy(&conn, at, sizeof conn);
    if (conn.sconn_family != AF_CONN) break;
    all.push_back(from_conn(conn));
    at += sizeof conn;
  }
  usrsctp_freepaddrs(addresses);
  return all;
}

// --- Notifications --------------------------------------------------------------------------

namespace {

// The fixed part of a notification, if all of it is there.
template <class T>
bool read_fixed(Bytes bytes, T& value) {
  if (bytes.size() < sizeof value) return false;
  std::memcpy(&value, bytes.data(), sizeof value);
  return true;
}

std::optional<Notification> association_changed(Bytes bytes) {
  sctp_assoc_change change{};
  if (!read_fixed(bytes, change)) return std::nullopt;
  notification::AssociationChanged changed;
  changed.id = static_cast<SctpId>(change.sac_assoc_id);
  changed.error = change.sac_error;
  changed.streams_out = change.sac_outbound_streams;
  changed.streams_in = change.sac_inbound_streams;
  using notification::Change;
  switch (change.sac_state) {
    case SCTP_COMM_UP:
      changed.change = Change::comm_up;
      return changed;
    case SCTP_RESTART:
      changed.change = Change::restart;
      return changed;
    case SCTP_COMM_LOST:
      changed.change = Change::comm_lost;
      break;
    case SCTP_SHUTDOWN_COMP:
      changed.change = Change::shutdown_complete;
      return changed;
    case SCTP_CANT_STR_ASSOC:
      changed.change = Change::cannot_start;
      break;
    default:
      return std::nullopt;
  }
  // The ABORT chunk follows only if it came from the peer.
  changed.by_abort = bytes.size() > sizeof(sctp_assoc_change);
  return changed;
}

notification::PathState path_state(std::uint32_t state) {
  using notification::PathState;
  switch (state) {
    case SCTP_ADDR_AVAILABLE:
      return PathState::available;
    case SCTP_ADDR_UNREACHABLE:
      return PathState::unreachable;
    case SCTP_ADDR_REMOVED:
      return PathState::removed;
    case SCTP_ADDR_ADDED:
      return PathState::added;
    case SCTP_ADDR_MADE_PRIM:
      return PathState::made_primary;
    case SCTP_ADDR_CONFIRMED:
      return PathState::confirmed;
    default:
      return PathState::other;
  }
}

std::optional<Notification> send_failed(Bytes bytes) {
  sctp_send_failed_event failed{};
  if (!read_fixed(bytes, failed)) return std::nullopt;
  // A DATA chunk's own flag bits: B is 2, E is 1, U is 4 (RFC 9260 §3.3.1); a message that was not
  // cut yet has RFC 6458's, where the first two mean the same.
  const std::uint16_t flags = failed.ssfe_info.snd_flags;
  notification::SendFailed result;
  result.id = static_cast<SctpId>(failed.ssfe_assoc_id);
  result.stream = StreamId{failed.ssfe_info.snd_sid};
  result.protocol = PayloadProtocol{ntohl(failed.ssfe_info.snd_ppid)};
  result.unordered = (flags & (SCTP_UNORDERED | 0x04)) != 0;
  result.sent = (failed.ssfe_flags & SCTP_DATA_SENT) != 0;
  result.begins = (flags & 0x02) != 0;
  result.ends = (flags & 0x01) != 0;
  result.payload = bytes.subspan(sizeof(sctp_send_failed_event));
  return result;
}

}  // namespace

std::optional<Notification> parse_usrsctp_notification(
    Bytes bytes, const std::function<std::string(PathId)>& name) {
  sctp_notification::sctp_tlv header{};
  if (!read_fixed(bytes, header) || header.sn_length != bytes.size()) return std::nullopt;
  switch (header.sn_type) {
    case SCTP_ASSOC_CHANGE:
      return association_changed(bytes);
    case SCTP_PEER_ADDR_CHANGE: {
      sctp_paddr_change change{};
      if (!read_fixed(bytes, change)) return std::nullopt;
      sockaddr_conn conn;
      std::memcpy(&conn, &change.spc_aaddr, sizeof conn);
      return notification::PathChanged{
          static_cast<SctpId>(change.spc_assoc_id),
          conn.sconn_family == AF_CONN ? name(from_conn(conn).path) : std::string(),
          path_state(change.spc_state)};
    }
    case SCTP_SEND_FAILED_EVENT:
      return send_failed(bytes);
    case SCTP_SHUTDOWN_EVENT: {
      sctp_shutdown_event shutdown{};
      if (!read_fixed(bytes, shutdown)) return std::nullopt;
      return notification::PeerShutdown{static_cast<SctpId>(shutdown.sse_assoc_id)};
    }
    case SCTP_PARTIAL_DELIVERY_EVENT: {
      sctp_pdapi_event partial{};
      if (!read_fixed(bytes, partial)) return std::nullopt;
      return notification::PartialDeliveryAborted{
          static_cast<SctpId>(partial.pdapi_assoc_id),
          StreamId{static_cast<std::uint16_t>(partial.pdapi_stream)}, false};
    }
    case SCTP_SENDER_DRY_EVENT: {
      sctp_sender_dry_event dry{};
      if (!read_fixed(bytes, dry)) return std::nullopt;
      return notification::SenderDry{static_cast<SctpId>(dry.sender_dry_assoc_id)};
    }
    case SCTP_REMOTE_ERROR: {
      sctp_remote_error remote{};
      if (!read_fixed(bytes, remote)) return std::nullopt;
      return notification::RemoteError{static_cast<SctpId>(remote.sre_assoc_id), remote.sre_error};
    }
    default:
      return notification::Unknown{header.sn_type};
  }
}

}  // namespace siglane::transport
