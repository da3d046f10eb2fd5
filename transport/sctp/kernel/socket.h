#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sys/uio.h>

#include "core/association.h"
#include "core/config.h"
#include "transport/address.h"
#include "transport/sctp/notification.h"
#include "transport/socket_option.h"

namespace siglane::transport {

// The kernel's SCTP calls, thin: values in, errno values out (0: done), no exception, no state.
// <netinet/sctp.h> stays in the .cpp, because usrsctp.h defines the same names.

// Whether this kernel has SCTP, loading its module if that is allowed.
bool kernel_has_sctp();

// net.sctp.sndbuf_policy of this network namespace, which a socket samples when it is made. With 0,
// the default, every message costs time in proportion to the associations on its socket.
std::optional<int> sndbuf_policy();
// An errno value. Needs CAP_NET_ADMIN.
[[nodiscard]] int set_sndbuf_policy(int policy);

// net.sctp.udp_port of this network namespace, sampled likewise: the UDP port of RFC 6951 of all
// its SCTP; 0: none, and then nothing is encapsulated, whatever its peer's port.
std::optional<int> udp_encapsulation_port();

// The library calls of sctp_peeloff(3), same contract: the association's own socket, or -1 and
//   EBADF     `fd` is not an open descriptor
//   ENOTSOCK  `fd` is not a socket (EOPNOTSUPP: a socket of another protocol)
//   EINVAL    `fd` is a one-to-one socket, or `id` is none of its associations
//   EMFILE, ENFILE, EFAULT  no descriptor could be made; THE ASSOCIATION IS LOST (see
//             DescriptorReserve)
// Of `flags` only SOCK_NONBLOCK and SOCK_CLOEXEC count; the kernel takes others without a word.
// Neither is inherited from `fd`.
int sctp_peeloff(int fd, SctpId id);
int sctp_peeloff_flags(int fd, SctpId id, unsigned flags);

// The buffer that an endpoint asked for and did not get in full.
struct ClippedBuffer {
  std::string_view sysctl;
  std::size_t wanted = 0, got = 0;
};

// SO_RCVBUF or SO_SNDBUF: beyond the sysctl's limit if we are allowed to, else as much as it gives.
struct BufferOutcome {
  int error = 0;
  std::size_t bytes = 0;                 // as much as was asked for, or got
  std::optional<ClippedBuffer> clipped;  // it was less
};
[[nodiscard]] BufferOutcome set_receive_buffer(int fd, std::size_t bytes);
[[nodiscard]] BufferOutcome set_send_buffer(int fd, std::size_t bytes);
// SCTP_NODELAY of the socket, and what associations to come begin with.
[[nodiscard]] OptionOutcome set_endpoint_options(int fd, const SctpOptions& options);

// A one-to-many socket with everything set that has to be set before an association exists.
struct OpenedSocket {
  int fd = -1;
  int error = 0;
  std::string step;  // what failed
  std::vector<ClippedBuffer> clipped;
  std::size_t receive_buffer_bytes = 0, send_buffer_bytes = 0;  // as much as was asked for, or got
};
// `addresses` all have one port; empty is not allowed. With `pooled`, others may bind the same.
OpenedSocket open_one_to_many(std::span<const SocketAddress> addresses, const SctpOptions& options,
                              bool pooled);
[[nodiscard]] int listen_on(int fd);

// What a peeled socket does not inherit and `shared` may have set: SO_PRIORITY, IP_TOS,
// IPV6_TCLASS. What SctpAssociationOptions say belongs to the association and goes along with it.
void copy_uninherited(int shared, int peeled);

struct ConnectResult {
  SctpId id = 0;
  int error = 0;  // 0 also while the handshake is under way
};
// `udp_port` (RFC 6951, needs net.sctp.udp_port): 0 for none.
ConnectResult connect_association(int fd, std::span<const SocketAddress> peer,
                                  std::uint16_t udp_port);

// Empty if the association is gone. On a peeled socket the id may be 0.
std::vector<SocketAddress> peer_addresses(int fd, SctpId id);
std::vector<SocketAddress> local_addresses(int fd, SctpId id);
std::uint16_t local_port(int fd);

struct ReceivedPiece {
  int error = 0;  // EAGAIN: nothing waits
  std::size_t size = 0;
  bool is_notification = false;
  bool ends = false;  // MSG_EOR
  SctpId id = 0;      // of data; a notification tells its own
  StreamId stream{};
  PayloadProtocol protocol{};
  bool unordered = false;
};
ReceivedPiece receive_piece(int fd, std::span<iovec> into);

// What comes with MSG_NOTIFICATION. Total: nullopt is "malformed".
std::optional<Notification> parse_notification(Bytes bytes);

// Before associations exist: their peers are to authenticate DATA chunks (RFC 4895), if they can.
// EACCES: this kernel does not (net.sctp.auth_enable), nor lets a socket decide.
[[nodiscard]] int enable_auth(int fd);
bool peer_has_auth(int fd, SctpId id);
// Of one association. No key: the empty one, which everybody knows.
[[nodiscard]] int set_auth_key(int fd, SctpId id, std::uint16_t number, Bytes key);
// What is sent from now on is authenticated by it.
[[nodiscard]] int use_auth_key(int fd, SctpId id, std::uint16_t number);
// Nothing is accepted any more that is authenticated by it.
[[nodiscard]] int delete_auth_key(int fd, SctpId id, std::uint16_t number);

struct SendFlags {
  bool more = false;              // MSG_MORE: another follows at once, bundle
  bool sack_immediately = false;  // RFC 7053
};
[[nodiscard]] int send_message(int fd, SctpId id, const Message& message, SendFlags flags);
[[nodiscard]] int send_bytes(int fd, SctpId id, const SendInfo& info, Bytes bytes, SendFlags flags);
// RFC 9260 §9.2, §9.1. The notification follows on `fd`.
[[nodiscard]] int shut_down_association(int fd, SctpId id);
[[nodiscard]] int abort_association(int fd, SctpId id);
// close(2) of a peeled socket, aborting what lives on it.
void close_aborting(int fd);

// For one association: SENDER_DRY on or off. Going on while dry tells it at once.
[[nodiscard]] int subscribe_dry(int fd, SctpId id, bool on);

struct SocketMemory {
  std::size_t receive_used = 0, receive_max = 0;
  std::size_t send_used = 0, send_max = 0;
};
std::optional<SocketMemory> socket_memory(int fd);
// SO_RCVBUFFORCE. Needs CAP_NET_ADMIN.
[[nodiscard]] int force_receive_buffer(int fd, std::size_t bytes);

// nullopt: no such association on `fd`.
struct StackStatus {
  bool established = false;
  std::uint32_t unacknowledged = 0;  // chunks
};
std::optional<StackStatus> stack_status(int fd, SctpId id);
// What is left of the window that the peer was last offered, in bytes.
std::optional<std::size_t> offered_window(int fd, SctpId id);

// Reads and clears SO_ERROR.
int take_socket_error(int fd);

}  // namespace siglane::transport
