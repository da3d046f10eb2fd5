#include "transport/sctp/kernel/socket.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/sctp/kernel/options.h"

namespace siglane::transport {
namespace {

// Addresses back to back, each in its own size: what the *x calls take.
std::vector<std::byte> packed(std::span<const SocketAddress> addresses) {
  std::vector<std::byte> bytes;
  for (const SocketAddress& address : addresses) {
    const auto* raw = reinterpret_cast<const std::byte*>(address.raw());
    bytes.insert(bytes.end(), raw, raw + address.size());
  }
  return bytes;
}

std::vector<SocketAddress> unpacked(const sockaddr* list, int count) {
  std::vector<SocketAddress> addresses;
  const auto* at = reinterpret_cast<const std::byte*>(list);
  for (int i = 0; i < count; ++i) {
    sockaddr_storage storage{};
    std::memcpy(&storage.ss_family, at, sizeof storage.ss_family);
    const std::size_t size =
        storage.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    std::memcpy(&storage, at, size);
    addresses.push_back(SocketAddress::from(storage));
    at += size;
  }
  return addresses;
}

// Linux doubles what it is given, for its own overhead, and reports the double.
BufferOutcome set_buffer(int fd, int option, int force_option, std::size_t bytes,
                         std::string_view sysctl) {
  BufferOutcome outcome{0, bytes, {}};
  const int wanted = static_cast<int>(std::min<std::size_t>(bytes, std::size_t{1} << 30));
  if (set_option(fd, SOL_SOCKET, force_option, wanted) == 0) return outcome;
  int got = 0;
  outcome.error = set_option(fd, SOL_SOCKET, option, wanted);
  if (outcome.error == 0) outcome.error = get_option(fd, SOL_SOCKET, option, got);
  if (outcome.error == 0 && got / 2 < wanted) {
    outcome.bytes = static_cast<std::size_t>(got) / 2;
    outcome.clipped = {sysctl, bytes, outcome.bytes};
  }
  return outcome;
}

int subscribe(int fd, std::uint16_t type, SctpId id, bool on) {
  sctp_event event{};
  event.se_assoc_id = id;
  event.se_type = type;
  event.se_on = on ? 1 : 0;
  return set_option(fd, IPPROTO_SCTP, SCTP_EVENT, event);
}

// Before the association exists: afterwards a peeled socket would never show its end.
int subscribe_to_all_we_handle(int fd) {
  for (const auto type :
       {SCTP_ASSOC_CHANGE, SCTP_PEER_ADDR_CHANGE, SCTP_SEND_FAILED_EVENT, SCTP_SHUTDOWN_EVENT,
        SCTP_PARTIAL_DELIVERY_EVENT, SCTP_AUTHENTICATION_EVENT, SCTP_REMOTE_ERROR}) {
    if (const int error =
            subscribe(fd, static_cast<std::uint16_t>(type), SCTP_FUTURE_ASSOC, true)) {
      return error;
    }
  }
  return 0;
}

int set_protocol_options(int fd, const SctpOptions& options) {
  const int on = 1;
  // Otherwise nobody is told that traffic leaves a path (RFC 7829 §7.3). Linux before 5.5 cannot.
  sctp_assoc_value expose{};
  expose.assoc_value = 2;  // net/sctp/constants.h: SCTP_PF_EXPOSE_ENABLE
  (void)set_option(fd, IPPROTO_SCTP, SCTP_EXPOSE_POTENTIALLY_FAILED_STATE, expose);
  for (const int error : {set_option(fd, IPPROTO_SCTP, SCTP_RECVRCVINFO, on),
                          // Otherwise one association in partial delivery blocks all others.
                          set_option(fd, IPPROTO_SCTP, SCTP_FRAGMENT_INTERLEAVE, on),
                          set_endpoint_options(fd, options).error}) {
    if (error != 0) return error;
  }
  return subscribe_to_all_we_handle(fd);
}

int set_up(int fd, std::span<const SocketAddress> addresses, const SctpOptions& options,
           bool pooled, OpenedSocket& out) {
  const int on = 1;
  out.step = "set socket options";
  // Peeled sockets keep the port bound after the shared one is closed.
  if (const int error = set_option(fd, SOL_SOCKET, SO_REUSEADDR, on)) return error;
  if (pooled) {
    if (const int error = set_option(fd, SOL_SOCKET, SO_REUSEPORT, on)) return error;
  }
  if (addresses.front().family() == AF_INET6) {
    const int off = 0;
    if (const int error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, off)) return error;
  }
  const BufferOutcome receive = set_receive_buffer(fd, options.receive_buffer_bytes);
  const BufferOutcome send = set_send_buffer(fd, options.send_buffer_bytes);
  for (const BufferOutcome* one : {&receive, &send}) {
    if (one->error != 0) return one->error;
    if (one->clipped) out.clipped.push_back(*one->clipped);
  }
  out.receive_buffer_bytes = receive.bytes;
  out.send_buffer_bytes = send.bytes;
  out.step = "set SCTP options";
  if (const int error = set_protocol_options(fd, options)) return error;

  out.step = "bind";
  if (bind(fd, addresses.front().raw(), addresses.front().size()) != 0) return errno;
  if (addresses.size() > 1) {
    std::vector<SocketAddress> others(addresses.begin() + 1, addresses.end());
    const std::uint16_t port = local_port(fd);
    for (SocketAddress& address : others) address = address.with_port(port);
    auto bytes = packed(others);
    if (sctp_bindx(fd, reinterpret_cast<sockaddr*>(bytes.data()), static_cast<int>(others.size()),
                   SCTP_BINDX_ADD_ADDR) != 0) {
      return errno;
    }
  }
  return 0;
}

// 0, or the errno of a send that carries SCTP_SNDINFO.
int send_with_info(int fd, const sctp_sndinfo& info, Bytes payload, int flags) {
  iovec part{const_cast<std::byte*>(payload.data()), payload.size()};
  alignas(cmsghdr) std::byte control[CMSG_SPACE(sizeof info)]{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = payload.empty() ? 0 : 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_SCTP;
  header->cmsg_type = SCTP_SNDINFO;
  header->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(header), &info, sizeof info);
  return sendmsg(fd, &message, flags | MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ? 0 : errno;
}

}  // namespace

bool kernel_has_sctp() {
  const int fd = socket(AF_INET, SOCK_SEQPACKET | SOCK_CLOEXEC, IPPROTO_SCTP);
  if (fd < 0) return false;
  close(fd);
  return true;
}

namespace {
constexpr const char* kSndbufPolicy = "/proc/sys/net/sctp/sndbuf_policy";

std::optional<int> read_number(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  char text[16];
  const auto got = read(fd, text, sizeof text);
  close(fd);
  int number = 0;
  if (got <= 0 || std::from_chars(text, text + got, number).ec != std::errc{}) return std::nullopt;
  return number;
}
}  // namespace

std::optional<int> sndbuf_policy() {
  return read_number(kSndbufPolicy);
}

std::optional<int> udp_encapsulation_port() {
  return read_number("/proc/sys/net/sctp/udp_port");
}

int set_sndbuf_policy(int policy) {
  const int fd = open(kSndbufPolicy, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const std::string text = std::to_string(policy);
  const int error = write(fd, text.data(), text.size()) < 0 ? errno : 0;
  close(fd);
  return error;
}

int sctp_peeloff(int fd, SctpId id) {
  return sctp_peeloff_flags(fd, id, 0);
}

int sctp_peeloff_flags(int fd, SctpId id, unsigned flags) {
  flags &= SOCK_NONBLOCK | SOCK_CLOEXEC;
  // libsctp 1.0.19 declares sctp_peeloff_flags() and does not export it.
  sctp_peeloff_flags_arg_t with_flags{};
  with_flags.p_arg.associd = id;
  with_flags.flags = flags;
  socklen_t size = sizeof with_flags;
  // What is returned is the new descriptor, too.
  if (getsockopt(fd, IPPROTO_SCTP, SCTP_SOCKOPT_PEELOFF_FLAGS, &with_flags, &size) >= 0) {
    return with_flags.p_arg.sd;
  }
  if (errno != ENOPROTOOPT) return -1;

  // Linux before 4.13: without flags, then.
  sctp_peeloff_arg_t plain{};
  plain.associd = id;
  size = sizeof plain;
  if (getsockopt(fd, IPPROTO_SCTP, SCTP_SOCKOPT_PEELOFF, &plain, &size) < 0) return -1;
  if ((flags & SOCK_NONBLOCK) != 0) {
    fcntl(plain.sd, F_SETFL, fcntl(plain.sd, F_GETFL) | O_NONBLOCK);
  }
  if ((flags & SOCK_CLOEXEC) != 0) fcntl(plain.sd, F_SETFD, FD_CLOEXEC);
  return plain.sd;
}

BufferOutcome set_receive_buffer(int fd, std::size_t bytes) {
  return set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, bytes, "net.core.rmem_max");
}

BufferOutcome set_send_buffer(int fd, std::size_t bytes) {
  return set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, bytes, "net.core.wmem_max");
}

OptionOutcome set_endpoint_options(int fd, const SctpOptions& options) {
  const int nodelay = options.nodelay ? 1 : 0;
  if (const int error = set_option(fd, IPPROTO_SCTP, SCTP_NODELAY, nodelay)) {
    return {error, "SCTP_NODELAY"};
  }
  if (const OptionOutcome set = set_init_options(fd, options); set.error != 0) return set;
  return set_association_options(fd, 0, options);
}

OpenedSocket open_one_to_many(std::span<const SocketAddress> addresses, const SctpOptions& options,
                              bool pooled) {
  OpenedSocket opened;
  const bool any_v6 = std::any_of(addresses.begin(), addresses.end(),
                                  [](const auto& a) { return a.family() == AF_INET6; });
  // An IPv6 socket binds IPv4 addresses too, as long as an IPv6 one comes first.
  std::vector<SocketAddress> ordered(addresses.begin(), addresses.end());
  std::stable_partition(ordered.begin(), ordered.end(),
                        [](const auto& a) { return a.family() == AF_INET6; });
  opened.step = "open an SCTP socket";
  opened.fd = socket(any_v6 ? AF_INET6 : AF_INET, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
                     IPPROTO_SCTP);
  if (opened.fd < 0) {
    opened.error = errno;
    return opened;
  }
  opened.error = set_up(opened.fd, ordered, options, pooled, opened);
  if (opened.error != 0) close(std::exchange(opened.fd, -1));
  return opened;
}

int listen_on(int fd) {
  return listen(fd, SOMAXCONN) == 0 ? 0 : errno;
}

void copy_uninherited(int shared, int peeled) {
  const auto copy = [&](int level, int option) {
    int value = 0;
    if (get_option(shared, level, option, value) == 0 && value != 0) {
      (void)set_option(peeled, level, option, value);
    }
  };
  copy(IPPROTO_IP, IP_TOS);
  copy(IPPROTO_IPV6, IPV6_TCLASS);
  copy(SOL_SOCKET, SO_PRIORITY);  // last: IP_TOS changes it
}

ConnectResult connect_association(int fd, std::span<const SocketAddress> peer,
                                  std::uint16_t udp_port) {
  ConnectResult result;
  // The encapsulation port can be set for an association or for all to come, so it is set for all
  // to come, and put back.
  sctp_udpencaps encapsulation{};
  encapsulation.sue_address.ss_family = peer.front().family();
  if (udp_port != 0) {
    encapsulation.sue_port = htons(udp_port);
    result.error = set_option(fd, IPPROTO_SCTP, SCTP_REMOTE_UDP_ENCAPS_PORT, encapsulation);
    if (result.error != 0) return result;
  }
  auto bytes = packed(peer);
  sctp_assoc_t id = 0;
  if (sctp_connectx(fd, reinterpret_cast<sockaddr*>(bytes.data()), static_cast<int>(peer.size()),
                    &id) < 0 &&
      errno != EINPROGRESS) {
    result.error = errno;
  }
  result.id = id;
  if (udp_port != 0) {
    encapsulation.sue_port = 0;
    (void)set_option(fd, IPPROTO_SCTP, SCTP_REMOTE_UDP_ENCAPS_PORT, encapsulation);
  }
  return result;
}

std::vector<SocketAddress> peer_addresses(int fd, SctpId id) {
  sockaddr* list = nullptr;
  const int count = sctp_getpaddrs(fd, id, &list);
  if (count <= 0) return {};
  auto addresses = unpacked(list, count);
  sctp_freepaddrs(list);
  return addresses;
}

std::vector<SocketAddress> local_addresses(int fd, SctpId id) {
  sockaddr* list = nullptr;
  const int count = sctp_getladdrs(fd, id, &list);
  if (count <= 0) return {};
  auto addresses = unpacked(list, count);
  sctp_freeladdrs(list);
  return addresses;
}

std::uint16_t local_port(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
  return SocketAddress::from(storage).port();
}

int enable_auth(int fd) {
  // Linux before 5.4 does not know this, and goes by its sysctl.
  const sctp_assoc_value supported{SCTP_FUTURE_ASSOC, 1};
  (void)set_option(fd, IPPROTO_SCTP, SCTP_AUTH_SUPPORTED, supported);
  const sctp_authchunk data{0};  // RFC 9260 §3.2
  return set_option(fd, IPPROTO_SCTP, SCTP_AUTH_CHUNK, data);
}

bool peer_has_auth(int fd, SctpId id) {
  alignas(sctp_authchunks) std::byte space[sizeof(sctp_authchunks) + 256]{};
  std::memcpy(space, &id, sizeof id);
  socklen_t size = sizeof space;
  // EACCES: it has not.
  return getsockopt(fd, IPPROTO_SCTP, SCTP_PEER_AUTH_CHUNKS, space, &size) == 0;
}

int set_auth_key(int fd, SctpId id, std::uint16_t number, Bytes key) {
  // One byte more than an empty key has: Linux wants to see some.
  std::vector<std::byte> space(sizeof(sctp_authkey) + std::max<std::size_t>(key.size(), 1));
  sctp_authkey head{};
  head.sca_assoc_id = id;
  head.sca_keynumber = number;
  head.sca_keylength = static_cast<__u16>(key.size());
  std::memcpy(space.data(), &head, sizeof head);
  if (!key.empty()) std::memcpy(space.data() + sizeof head, key.data(), key.size());
  const int result = setsockopt(fd, IPPROTO_SCTP, SCTP_AUTH_KEY, space.data(),
                                static_cast<socklen_t>(space.size()));
  const int error = result == 0 ? 0 : errno;
  explicit_bzero(space.data(), space.size());
  return error;
}

int use_auth_key(int fd, SctpId id, std::uint16_t number) {
  return set_option(fd, IPPROTO_SCTP, SCTP_AUTH_ACTIVE_KEY, sctp_authkeyid{id, number});
}

int delete_auth_key(int fd, SctpId id, std::uint16_t number) {
  return set_option(fd, IPPROTO_SCTP, SCTP_AUTH_DELETE_KEY, sctp_authkeyid{id, number});
}

ReceivedPiece receive_piece(int fd, std::span<iovec> into) {
  ReceivedPiece piece;
  alignas(cmsghdr) std::byte control[CMSG_SPACE(sizeof(sctp_rcvinfo)) + 64];
  msghdr message{};
  message.msg_iov = into.data();
  message.msg_iovlen = into.size();
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got;
  do {
    got = recvmsg(fd, &message, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    piece.error = errno;
    return piece;
  }
  piece.size = static_cast<std::size_t>(got);
  piece.is_notification = (message.msg_flags & MSG_NOTIFICATION) != 0;
  piece.ends = (message.msg_flags & MSG_EOR) != 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != IPPROTO_SCTP || header->cmsg_type != SCTP_RCVINFO) continue;
    sctp_rcvinfo info;
    std::memcpy(&info, CMSG_DATA(header), sizeof info);
    piece.id = info.rcv_assoc_id;
    piece.stream = StreamId{info.rcv_sid};
    piece.protocol = PayloadProtocol{ntohl(info.rcv_ppid)};
    piece.unordered = (info.rcv_flags & SCTP_UNORDERED) != 0;
  }
  return piece;
}

int send_message(int fd, SctpId id, const Message& message, SendFlags flags) {
  return send_bytes(fd, id, {message.stream, message.protocol, message.unordered},
                    message.payload.bytes(), flags);
}

int send_bytes(int fd, SctpId id, const SendInfo& how, Bytes bytes, SendFlags flags) {
  sctp_sndinfo info{};
  info.snd_sid = static_cast<__u16>(how.stream);
  info.snd_ppid = htonl(static_cast<std::uint32_t>(how.protocol));
  info.snd_assoc_id = id;
  info.snd_flags = static_cast<__u16>((how.unordered ? SCTP_UNORDERED : 0) |
                                      (flags.sack_immediately ? SCTP_SACK_IMMEDIATELY : 0));
  return send_with_info(fd, info, bytes, flags.more ? MSG_MORE : 0);
}

int shut_down_association(int fd, SctpId id) {
  sctp_sndinfo info{};
  info.snd_assoc_id = id;
  info.snd_flags = SCTP_EOF;
  return send_with_info(fd, info, {}, 0);
}

int abort_association(int fd, SctpId id) {
  sctp_sndinfo info{};
  info.snd_assoc_id = id;
  info.snd_flags = SCTP_ABORT;
  return send_with_info(fd, info, {}, 0);
}

void close_aborting(int fd) {
  const linger at_once{1, 0};
  (void)set_option(fd, SOL_SOCKET, SO_LINGER, at_once);
  close(fd);
}

int subscribe_dry(int fd, SctpId id, bool on) {
  return subscribe(fd, SCTP_SENDER_DRY_EVENT, id, on);
}

std::optional<SocketMemory> socket_memory(int fd) {
  std::uint32_t values[SK_MEMINFO_VARS] = {};
  if (get_option(fd, SOL_SOCKET, SO_MEMINFO, values) != 0) return std::nullopt;
  return SocketMemory{values[SK_MEMINFO_RMEM_ALLOC], values[SK_MEMINFO_RCVBUF],
                      values[SK_MEMINFO_WMEM_QUEUED], values[SK_MEMINFO_SNDBUF]};
}

int force_receive_buffer(int fd, std::size_t bytes) {
  return set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, static_cast<int>(bytes));
}

std::optional<StackStatus> stack_status(int fd, SctpId id) {
  sctp_status status{};
  status.sstat_assoc_id = id;
  if (get_option(fd, IPPROTO_SCTP, SCTP_STATUS, status) != 0) return std::nullopt;
  return StackStatus{status.sstat_state == SCTP_ESTABLISHED, status.sstat_unackdata};
}

std::optional<std::size_t> offered_window(int fd, SctpId id) {
  sctp_assocparams params{};
  params.sasoc_assoc_id = id;
  if (get_option(fd, IPPROTO_SCTP, SCTP_ASSOCINFO, params) != 0) return std::nullopt;
  return params.sasoc_local_rwnd;
}

int take_socket_error(int fd) {
  int error = 0;
  return get_option(fd, SOL_SOCKET, SO_ERROR, error) == 0 ? error : errno;
}

}  // namespace siglane::transport
