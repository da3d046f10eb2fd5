#include "transport/usrsctp_stack.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <netinet/udp.h>
#include <sys/socket.h>
#include <usrsctp.h>

namespace siglane::transport {
namespace {

constexpr std::size_t kPacketsPerRead = 32;
constexpr int kReadsPerWake = 4;
constexpr int kReadsPerTick = 32;
constexpr std::size_t kPacketBytesMax = 65536;
constexpr int kUdpBufferBytes = 4 * 1024 * 1024;
constexpr std::size_t kPathsMax = 16384;
constexpr Duration kPathIdleMax = 60s;
constexpr Duration kPathIdleWhenFull = 1s;
// While packets move, the stack's timers (delayed acknowledgement, retransmission) need their
// resolution; after that, heartbeats do not. A call costs time in proportion to all timers, and
// among a thousand idle associations there is always one whose heartbeat is on its way.
constexpr Duration kFastTick = 10ms;
constexpr Duration kSlowTick = 100ms;
constexpr Duration kHurryAfterPacket = 300ms;

// RFC 9260 §3.1: the common header; then the first chunk's type. A COOKIE ECHO is always first.
constexpr std::size_t kFirstChunkOffset = 12;
constexpr std::byte kCookieEcho{10}, kHeartbeat{4}, kHeartbeatAck{5};

bool has_timers(std::byte first_chunk) {
  return first_chunk != kHeartbeat && first_chunk != kHeartbeatAck;
}

void* as_address(PathId id) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(id));
}

// What recvmmsg says beside a datagram: the size of the packets that it was glued from.
union SegmentControl {
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
  cmsghdr aligned;
};

// 0: it is one packet.
std::size_t segment_of(msghdr& header) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != IPPROTO_UDP || part->cmsg_type != UDP_GRO) continue;
    int segment = 0;
    std::memcpy(&segment, CMSG_DATA(part), sizeof segment);
    return static_cast<std::size_t>(std::max(segment, 0));
  }
  return 0;
}

// The one stack of the process, and who has it. It is never finished: what was closed on it may
// linger, and its next owner goes on with it.
UsrsctpStack* owner = nullptr;
bool initialised = false;
PathId last_path = 0;  // over all owners: an old number must never mean a new peer

}  // namespace

// Not a power of two apart, or their beginnings would push each other out of the cache.
struct UsrsctpStack::PacketSpace {
  std::array<std::array<std::byte, kPacketBytesMax + 1536>, kPacketsPerRead> bytes;
};

// What the C library calls.
struct UsrsctpCallbacks {
  static int output(void* address, void* packet, std::size_t size, std::uint8_t, std::uint8_t) {
    if (owner == nullptr) return ENETDOWN;
    return owner->output(static_cast<PathId>(reinterpret_cast<std::uintptr_t>(address)), packet,
                         size);
  }
};

Result<std::unique_ptr<UsrsctpStack>> UsrsctpStack::claim(Loop& loop) {
  if (owner != nullptr) {
    return failure("usrsctp is in use by another loop of this process: it has one stack only");
  }
  if (!std::exchange(initialised, true)) {
    usrsctp_init_nothreads(0, UsrsctpCallbacks::output, nullptr);
    // ECN bits do not pass through our UDP sockets; addresses do not change; nobody asks for keys.
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    usrsctp_sysctl_set_sctp_asconf_enable(0);
    usrsctp_sysctl_set_sctp_auto_asconf(0);
    usrsctp_sysctl_set_sctp_auth_enable(0);
    usrsctp_sysctl_set_sctp_reconfig_enable(0);
    usrsctp_sysctl_set_sctp_nrsack_enable(0);
    usrsctp_sysctl_set_sctp_pktdrop_enable(0);
    // RFC 6951 §5.4: the CRC32c is there on every interface.
    usrsctp_sysctl_set_sctp_no_csum_on_loopback(0);
  }
  std::unique_ptr<UsrsctpStack> stack(new UsrsctpStack(loop));
  owner = stack.get();
  return stack;
}

UsrsctpStack::UsrsctpStack(Loop& loop)
    : loop_(loop),
      space_(std::make_unique<PacketSpace>()),
      ticked_(Loop::fresh_now()),
      last_packet_(ticked_),
      last_sweep_(ticked_),
      timer_(loop.timer([this] { tick(); })) {
  timer_.start_after(kSlowTick);
}

UsrsctpStack::~UsrsctpStack() {
  send_packets();
  owner = nullptr;
  for (const auto& [id, path] : paths_) {
    if (path.registered) usrsctp_deregister_address(as_address(id));
  }
}

// --- UDP ------------------------------------------------------------------------------------

Result<UsrsctpStack::UdpPort> UsrsctpStack::open_udp(const SocketAddress& local, bool offload) {
  for (UdpPort port = 0; port < udp_.size(); ++port) {
    if (udp_[port]->local != local) continue;
    if (!offload) set_offload(*udp_[port], false);
    return port;
  }
  const auto fail = [&](int error) {
    return failure("UDP port " + local.text_with_port() + ": " + std::strerror(error) +
                   (error == EADDRINUSE ? " (does another node run here, or the kernel's own SCTP "
                                          "encapsulation, net.sctp.udp_port?)"
                                        : ""));
  };
  auto udp = std::make_unique<Udp>();
  udp->local = local;
  udp->fd = FileDescriptor(
      ::socket(local.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
  const int fd = udp->fd.get();
  if (fd < 0) return fail(errno);
  if (local.family() == AF_INET6) {
    const int on = 1;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  const int wanted = kUdpBufferBytes;
  for (const auto& [force, plain] :
       {std::pair(SO_RCVBUFFORCE, SO_RCVBUF), std::pair(SO_SNDBUFFORCE, SO_SNDBUF)}) {
    if (setsockopt(fd, SOL_SOCKET, force, &wanted, sizeof wanted) != 0) {
      setsockopt(fd, SOL_SOCKET, plain, &wanted, sizeof wanted);
    }
  }
  int got = 0;
  socklen_t size = sizeof got;
  getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &size);
  // Linux doubles what it grants.
  if (got / 2 < wanted) udp->clipped = static_cast<std::size_t>(got / 2);
  if (::bind(fd, local.raw(), local.size()) != 0) return fail(errno);
  udp->out.emplace(fd);
  set_offload(*udp, offload);
  const UdpPort port = udp_.size();
  auto poll = loop_.poll(fd, [this, port](PollEvents events) { on_udp(port, events); });
  if (!poll) return tl::unexpected(poll.error());
  poll->watch(true, false);
  udp->poll = std::move(*poll);
  udp_.push_back(std::move(udp));
  return port;
}

void UsrsctpStack::set_offload(Udp& udp, bool on) {
  if (!on) udp.out->send_singly();
  const int glued = on ? 1 : 0;
  (void)setsockopt(udp.fd.get(), IPPROTO_UDP, UDP_GRO, &glued, sizeof glued);
}

void UsrsctpStack::on_udp(UdpPort port, PollEvents events) {
  Udp& udp = *udp_[port];
  if (events.error != 0) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(udp.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);  // read, it is gone
    udp.poll->watch(true, !udp.out->empty());
  }
  // What each batch has brought is dealt with while it is still in the cache.
  for (int round = 0; round < kReadsPerWake; ++round) {
    const bool more = read_packets(port, 1);
    if (after_input_) after_input_();
    if (!more) break;
  }
  send_packets();
}

// true: there may be more.
bool UsrsctpStack::read_packets(UdpPort port, int rounds_max) {
  const int fd = udp_[port]->fd.get();
  std::array<mmsghdr, kPacketsPerRead> messages;
  std::array<iovec, kPacketsPerRead> parts;
  std::array<sockaddr_storage, kPacketsPerRead> from;
  std::array<SegmentControl, kPacketsPerRead> controls;
  for (int round = 0; round < rounds_max; ++round) {
    for (std::size_t i = 0; i < kPacketsPerRead; ++i) {
      parts[i] = {space_->bytes[i].data(), kPacketBytesMax};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &from[i];
      messages[i].msg_hdr.msg_namelen = sizeof from[i];
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = controls[i].bytes.data();
      messages[i].msg_hdr.msg_controllen = controls[i].bytes.size();
    }
    const int got = ::recvmmsg(fd, messages.data(), kPacketsPerRead, MSG_DONTWAIT, nullptr);
    if (got <= 0) return false;
    for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
      input(port, SocketAddress::from(from[i]), Bytes(space_->bytes[i]).first(messages[i].msg_len),
            segment_of(messages[i].msg_hdr));
    }
    if (static_cast<std::size_t>(got) < kPacketsPerRead) return false;
  }
  return true;
}

// `segment`: the size of each of them but the last, which may be shorter; 0: there is one.
void UsrsctpStack::input(UdpPort port, const SocketAddress& from, Bytes packets,
                         std::size_t segment) {
  if (from.port() == 0) return;  // nobody can be answered there
  const auto path = find_path(port, from);
  while (path && packets.size() > kFirstChunkOffset) {
    const Bytes packet =
        packets.first(segment == 0 ? packets.size() : std::min(segment, packets.size()));
    packets = packets.subspan(packet.size());
    if (packet.size() <= kFirstChunkOffset) return;
    ++packets_in_;
    // The stack looks through all its addresses again and again, so that only who has answered from
    // where it says it is becomes one of them.
    const std::byte first_chunk = packet[kFirstChunkOffset];
    if (first_chunk == kCookieEcho) register_path(*path);
    if (has_timers(first_chunk)) stir();
    usrsctp_conninput(as_address(*path), packet.data(), packet.size(), 0);
  }
}

int UsrsctpStack::output(PathId id, const void* packet, std::size_t size) {
  const auto it = paths_.find(id);
  if (it == paths_.end()) return EHOSTUNREACH;
  ++packets_out_;
  it->second.last_used = loop_.now();
  const auto* bytes = static_cast<const std::byte*>(packet);
  if (size <= kFirstChunkOffset || has_timers(bytes[kFirstChunkOffset])) stir();
  return udp_[it->second.port]->out->add(it->second.remote, Bytes(bytes, size)) ? 0 : ENOBUFS;
}

void UsrsctpStack::send_packets() {
  for (const auto& udp : udp_) {
    udp->out->send();
    udp->poll->watch(true, !udp->out->empty());
  }
}

// --- Paths ----------------------------------------------------------------------------------

std::optional<PathId> UsrsctpStack::path_to(UdpPort port, const SocketAddress& remote) {
  const auto id = find_path(port, remote);
  if (id) register_path(*id);
  return id;
}

std::optional<PathId> UsrsctpStack::find_path(UdpPort port, const SocketAddress& remote) {
  const Instant now = loop_.now();
  if (auto it = path_ids_.find({port, remote}); it != path_ids_.end()) {
    paths_.at(it->second).last_used = now;
    return it->second;
  }
  if (paths_.size() >= kPathsMax) {
    if (now - last_sweep_ >= kPathIdleWhenFull) forget_idle_paths(now, kPathIdleWhenFull);
    if (paths_.size() >= kPathsMax) return std::nullopt;
  }
  const PathId id = ++last_path;
  paths_[id] = {port, remote, 0, false, now};
  path_ids_[{port, remote}] = id;
  return id;
}

void UsrsctpStack::register_path(PathId id) {
  Path& path = paths_.at(id);
  if (!std::exchange(path.registered, true)) usrsctp_register_address(as_address(id));
}

SocketAddress UsrsctpStack::remote_of(PathId path) const {
  const auto it = paths_.find(path);
  return it == paths_.end() ? SocketAddress{} : it->second.remote;
}

SocketAddress UsrsctpStack::local_of(PathId path) const {
  const auto it = paths_.find(path);
  return it == paths_.end() ? SocketAddress{} : udp_[it->second.port]->local;
}

void UsrsctpStack::hold(PathId path) {
  if (auto it = paths_.find(path); it != paths_.end()) ++it->second.holders;
}

void UsrsctpStack::drop(PathId path) {
  if (auto it = paths_.find(path); it != paths_.end() && it->second.holders > 0) {
    --it->second.holders;
  }
}

void UsrsctpStack::forget_idle_paths(Instant now, Duration idle_max) {
  last_sweep_ = now;
  for (auto it = paths_.begin(); it != paths_.end();) {
    const Path& path = it->second;
    if (path.holders > 0 || now - path.last_used < idle_max) {
      ++it;
      continue;
    }
    if (path.registered) usrsctp_deregister_address(as_address(it->first));
    path_ids_.erase({path.port, path.remote});
    it = paths_.erase(it);
  }
}

// --- Time -----------------------------------------------------------------------------------

void UsrsctpStack::stir() {
  last_packet_ = loop_.now();
  if (!std::exchange(hurried_, true)) timer_.start_after(kFastTick);
}

void UsrsctpStack::tick() {
  const Instant now = loop_.now();
  const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - ticked_);
  ticked_ += elapsed;  // the fraction counts next time
  // An acknowledgement that waits here must be seen before the timer that waits for it: a loop that
  // is late is no reason to send again, let alone to give the peer up.
  for (UdpPort port = 0; port < udp_.size(); ++port) (void)read_packets(port, kReadsPerTick);
  if (elapsed.count() > 0) usrsctp_handle_timers(static_cast<std::uint32_t>(elapsed.count()));
  if (now - last_sweep_ >= kPathIdleMax) forget_idle_paths(now, kPathIdleMax);
  hurried_ = now - last_packet_ < kHurryAfterPacket;
  timer_.start_after(hurried_ ? kFastTick : kSlowTick);
  if (after_time_) after_time_();
  send_packets();
}

}  // namespace siglane::transport
