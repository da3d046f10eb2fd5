#include "transport/sctp/usrsctp/stack.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>

#include <netinet/udp.h>
#include <sys/socket.h>
#include <usrsctp.h>

#include "transport/port_holder.h"

namespace siglane::transport {
namespace {

constexpr std::size_t kPacketsPerRead = 32;
constexpr int kReadsPerWake = 4;
constexpr int kReadsPerTick = 32;
constexpr std::size_t kPacketBytesMax = 65536;
constexpr int kUdpBufferBytes = 4 * 1024 * 1024;
// What nobody holds (any more): until whoever the stack has let in is read of, and for what it says
// after an end.
constexpr Duration kUnheldMax = 5s;
constexpr std::size_t kUnheldPathsMax = 4096;
// While packets move, the stack's timers (delayed acknowledgement, retransmission) need their
// resolution; after that, heartbeats do not. A call costs time in proportion to all timers, and
// among a thousand idle associations there is always one whose heartbeat is on its way.
constexpr Duration kFastTick = 10ms;
constexpr Duration kSlowTick = 100ms;
constexpr Duration kHurryAfterPacket = 300ms;
// A tick that comes so much later finds packets that wait for the loop, not for the network.
constexpr Duration kLate = 5ms;
// Older than that, the stack's time is no time to start a timer at.
constexpr Duration kStale = kFastTick + kLate;

// RFC 9260 §3.1: the common header; then the first chunk's type.
constexpr std::size_t kFirstChunkOffset = 12;
constexpr std::byte kHeartbeat{4}, kHeartbeatAck{5}, kCookieAck{11};

// RFC 9260 §3.2: a chunk's type, flags, and length, which does not count its padding. In a packet
// of our own.
bool has_chunk(Bytes packet, std::byte type) {
  for (std::size_t at = kFirstChunkOffset; at + 4 <= packet.size();) {
    if (packet[at] == type) return true;
    const std::size_t length = load_u16(packet.data() + at + 2);
    at += std::max<std::size_t>(4, (length + 3) / 4 * 4);
  }
  return false;
}

bool has_timers(std::byte first_chunk) {
  return first_chunk != kHeartbeat && first_chunk != kHeartbeatAck;
}

static_assert(sizeof(void*) >= sizeof(PathId));
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

// May other sockets that allow it too be bound to its address and port?
void allow_others(int fd, bool on) {
  const int value = on ? 1 : 0;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value);
}

// The one stack of the process, and who has it. It is never finished: what was closed on it may
// linger, and its next owner goes on with it.
UsrsctpStack* owner = nullptr;
bool initialised = false;

// One for the process: cookies outlive an owner.
KeyedHash path_hash() {
  static const KeyedHash hash = [] {
    std::random_device device;
    const auto word = [&] { return std::uint64_t{device()} << 32 | device(); };
    return KeyedHash({word(), word()});
  }();
  return hash;
}

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
    // We never give a message up, and a peer that did (RFC 3758) would cut one in two here.
    usrsctp_sysctl_set_sctp_pr_enable(0);
    // RFC 6951 §5.4: the CRC32c is there on every interface.
    usrsctp_sysctl_set_sctp_no_csum_on_loopback(0);
  }
  std::unique_ptr<UsrsctpStack> stack(new UsrsctpStack(loop));
  owner = stack.get();
  return stack;
}

UsrsctpStack::UsrsctpStack(Loop& loop)
    : loop_(loop),
      path_hash_(path_hash()),
      space_(std::make_unique_for_overwrite<PacketSpace>()),
      ticked_(Loop::fresh_now()),
      last_packet_(ticked_),
      timer_(loop.timer([this] { tick(); })) {
  start_timer(kSlowTick);
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
  for (const auto& udp : udp_) {
    if (udp->local != local) continue;
    if (!offload) {
      set_offload(*udp, false);
      for (const auto& [path, own] : own_) {
        if (own->port == udp->port) set_offload(*own, false);
      }
    }
    return udp->port;
  }
  auto bound = bind_udp(local);
  if (!bound) return tl::unexpected(bound.error());
  Udp& udp = **bound;
  udp.port = udp_.size();
  set_offload(udp, offload);
  if (auto good = watch(udp); !good) return tl::unexpected(good.error());
  udp_.push_back(std::move(*bound));
  return udp.port;
}

// `beside`: that one has the same address and port. Two may have one as long as both allow it,
// which the first does for this moment only, so that a port that is taken is an error for everybody
// else.
Result<std::unique_ptr<UsrsctpStack::Udp>> UsrsctpStack::bind_udp(const SocketAddress& local,
                                                                  const Udp* beside) {
  const auto fail = [&](int error) {
    return failure("UDP port " + local.text_with_port() + ": " + std::strerror(error) +
                   (error == EADDRINUSE ? in_use_by(PortProtocol::udp, local) : std::string()));
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
  if (beside != nullptr) {
    allow_others(fd, true);
    allow_others(beside->fd.get(), true);
  }
  const int error = ::bind(fd, local.raw(), local.size()) != 0 ? errno : 0;
  if (beside != nullptr) allow_others(beside->fd.get(), false);
  if (error != 0) return fail(error);
  udp->out.emplace(fd);
  return udp;
}

Result<void> UsrsctpStack::watch(Udp& udp) {
  auto poll = loop_.poll(udp.fd.get(), [this, &udp](PollEvents events) { on_udp(udp, events); });
  if (!poll) return tl::unexpected(poll.error());
  udp.poll = std::move(*poll);
  udp.poll->watch(true, false);
  return {};
}

void UsrsctpStack::set_offload(Udp& udp, bool on) {
  udp.offload = on;
  if (!on) udp.out->send_singly();
  const int glued = on ? 1 : 0;
  (void)setsockopt(udp.fd.get(), IPPROTO_UDP, UDP_GRO, &glued, sizeof glued);
}

void UsrsctpStack::give_own_socket(PathId id) {
  const auto it = paths_.find(id);
  if (it == paths_.end() || own_.contains(id) || reserve_.give_up_spare()) return;
  Path& path = it->second;
  Udp& shared = *path.udp;
  // What waits there is older than what the other one will get.
  (void)read_packets(shared, kReadsPerTick);
  auto bound = bind_udp(shared.local, &shared);
  reserve_.restore();
  if (!bound) return;
  Udp& own = **bound;
  if (::connect(own.fd.get(), path.remote.raw(), path.remote.size()) != 0) return;
  own.port = shared.port;
  own.path = id;
  own.remote = path.remote;
  own.out->socket_is_connected();
  set_offload(own, shared.offload);
  if (!watch(own)) return;
  path.udp = &own;
  own_.emplace(id, std::move(*bound));
}

void UsrsctpStack::close_own_socket(PathId id) {
  const auto it = own_.find(id);
  if (it == own_.end()) return;
  Udp& own = *it->second;
  send_from(own);
  if (own.unsent) std::erase(unsent_, &own);
  own.path = 0;
  own.remote = {};
  paths_.at(id).udp = udp_[own.port].get();
  closing_.push_back(std::move(it->second));
  own_.erase(it);
}

void UsrsctpStack::on_udp(Udp& udp, PollEvents events) {
  if (events.error != 0) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(udp.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);  // read, it is gone
  }
  if (events.error != 0 || events.writable) send_from(udp);
  // What each batch has brought is dealt with while it is still in the cache.
  for (int round = 0; round < kReadsPerWake; ++round) {
    const bool more = read_packets(udp, 1);
    if (after_input_) after_input_();
    if (!more) break;
  }
  send_packets();
}

// true: there may be more.
bool UsrsctpStack::read_packets(Udp& udp, int rounds_max) {
  udp.more = false;
  std::array<mmsghdr, kPacketsPerRead> messages;
  std::array<iovec, kPacketsPerRead> parts;
  std::array<sockaddr_storage, kPacketsPerRead> from;
  std::array<SegmentControl, kPacketsPerRead> controls;
  for (int round = 0; round < rounds_max; ++round) {
    for (std::size_t i = 0; i < kPacketsPerRead; ++i) {
      parts[i] = {space_->bytes[i].data(), kPacketBytesMax};
      messages[i] = {};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_name = &from[i];
      messages[i].msg_hdr.msg_namelen = sizeof from[i];
      messages[i].msg_hdr.msg_control = controls[i].bytes.data();
      messages[i].msg_hdr.msg_controllen = controls[i].bytes.size();
    }
    const int got =
        ::recvmmsg(udp.fd.get(), messages.data(), kPacketsPerRead, MSG_DONTWAIT, nullptr);
    if (got < 0 && errno != EAGAIN) continue;  // what ICMP has told; there may be packets behind it
    if (got <= 0) return false;
    for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
      const SocketAddress sender = SocketAddress::from(from[i]);
      if (sender.port() == 0) continue;  // nobody can be answered there
      take(udp, sender, Bytes(space_->bytes[i]).first(messages[i].msg_len),
           segment_of(messages[i].msg_hdr));
    }
    if (static_cast<std::size_t>(got) < kPacketsPerRead) return false;
  }
  return udp.more = true;
}

void UsrsctpStack::take(Udp& udp, const SocketAddress& sender, Bytes packets, std::size_t segment) {
  // Before it was connected, a path's own socket may have got what others sent.
  const PathId path = udp.path != 0 && sender == udp.remote ? udp.path : id_of(udp.port, sender);
  if (path != udp.path && !paths_.contains(path)) {
    passing_ = path;
    passing_udp_ = udp_[udp.port].get();
    passing_remote_ = sender;
  }
  input(path, packets, segment);
  passing_ = 0;
}

// `segment`: the size of each of them but the last, which may be shorter; 0: there is one.
void UsrsctpStack::input(PathId path, Bytes packets, std::size_t segment) {
  while (packets.size() > kFirstChunkOffset) {
    const Bytes packet =
        packets.first(segment == 0 ? packets.size() : std::min(segment, packets.size()));
    packets = packets.subspan(packet.size());
    if (packet.size() <= kFirstChunkOffset) return;
    ++packets_in_;
    if (has_timers(packet[kFirstChunkOffset])) {
      catch_up();
      stir();
    }
    usrsctp_conninput(as_address(path), packet.data(), packet.size(), 0);
  }
}

int UsrsctpStack::output(PathId id, const void* packet, std::size_t size) {
  const Bytes bytes(static_cast<const std::byte*>(packet), size);
  Udp* udp = nullptr;
  SocketAddress remote;
  if (const auto it = paths_.find(id); it != paths_.end()) {
    udp = it->second.udp;
    remote = it->second.remote;
  } else if (id == passing_) {
    udp = passing_udp_;
    remote = passing_remote_;
    // Its cookie was good, so it is where it says it is.
    if (has_chunk(bytes, kCookieAck)) remember(id, *udp, remote);
  } else {
    return EHOSTUNREACH;
  }
  ++packets_out_;
  if (size <= kFirstChunkOffset || has_timers(bytes[kFirstChunkOffset])) stir();
  if (!std::exchange(udp->unsent, true)) unsent_.push_back(udp);
  return udp->out->add(remote, bytes) ? 0 : ENOBUFS;
}

void UsrsctpStack::send_packets() {
  for (Udp* udp : unsent_) {
    udp->unsent = false;
    send_from(*udp);
  }
  unsent_.clear();
}

void UsrsctpStack::send_from(Udp& udp) {
  udp.out->send();
  udp.poll->watch(true, !udp.out->empty());
}

// --- Paths ----------------------------------------------------------------------------------

PathId UsrsctpStack::path_to(UdpPort port, const SocketAddress& remote) {
  const PathId id = id_of(port, remote);
  const auto it = paths_.find(id);
  register_path(id, it != paths_.end() ? it->second : remember(id, *udp_[port], remote));
  return id;
}

PathId UsrsctpStack::id_of(UdpPort port, const SocketAddress& remote) const {
  std::array<std::byte, 24> text{};
  std::size_t used = 4;
  store_u16(text.data(), static_cast<std::uint16_t>(port));
  store_u16(text.data() + 2, remote.port());
  for (const std::byte byte : remote.bytes()) text[used++] = byte;
  store_u32(text.data() + used, remote.scope());
  used += 4;
  const PathId id = path_hash_(Bytes(text).first(used));
  return id != 0 ? id : 1;
}

UsrsctpStack::Path& UsrsctpStack::remember(PathId id, Udp& udp, const SocketAddress& remote) {
  const Instant now = loop_.now();
  unheld_.push_back({id, now});
  return paths_[id] = {&udp, remote, 0, false, now};
}

// The stack looks through all its addresses again and again, so that only who is known to be where
// it says it is becomes one of them.
void UsrsctpStack::register_path(PathId id, Path& path) {
  if (!std::exchange(path.registered, true)) usrsctp_register_address(as_address(id));
}

SocketAddress UsrsctpStack::remote_of(PathId path) const {
  const auto it = paths_.find(path);
  return it == paths_.end() ? SocketAddress{} : it->second.remote;
}

SocketAddress UsrsctpStack::local_of(PathId path) const {
  const auto it = paths_.find(path);
  return it == paths_.end() ? SocketAddress{} : it->second.udp->local;
}

void UsrsctpStack::hold(PathId path) {
  const auto it = paths_.find(path);
  if (it == paths_.end()) return;
  ++it->second.holders;
  register_path(path, it->second);
}

void UsrsctpStack::drop(PathId path) {
  const auto it = paths_.find(path);
  if (it == paths_.end() || it->second.holders == 0 || --it->second.holders > 0) return;
  close_own_socket(path);
  it->second.last_held = loop_.now();
  unheld_.push_back({path, it->second.last_held});
}

void UsrsctpStack::forget_unheld_paths(Instant now) {
  while (!unheld_.empty()) {
    const Unheld& first = unheld_.front();
    if (now - first.since < kUnheldMax && unheld_.size() <= kUnheldPathsMax) return;
    const auto it = paths_.find(first.id);
    if (it != paths_.end() && it->second.holders == 0 && it->second.last_held == first.since) {
      if (it->second.registered) usrsctp_deregister_address(as_address(first.id));
      paths_.erase(it);
    }
    unheld_.pop_front();
  }
}

// --- Time -----------------------------------------------------------------------------------

void UsrsctpStack::start_timer(Duration after) {
  due_ = loop_.now() + after;
  timer_.start_after(after);
}

void UsrsctpStack::stir() {
  last_packet_ = loop_.now();
  if (!std::exchange(hurried_, true)) start_timer(kFastTick);
}

// How many milliseconds the stack is to be told of. Not those by which the loop is late: nothing
// could be read in them, so they are no silence of a peer's. And what the stack started meanwhile,
// at the time that it knew, would end at once: it sends again what nobody could have acknowledged,
// and has then been seen (0.9.5) to forget what else it was to send again.
std::uint32_t UsrsctpStack::take_time(Instant now) {
  const Duration passed = std::max(std::min(now, due_ + kLate) - ticked_, Duration{});
  const auto whole = std::chrono::floor<std::chrono::milliseconds>(passed);
  ticked_ = now - (passed - whole);  // the fraction counts next time
  return static_cast<std::uint32_t>(whole.count());
}

void UsrsctpStack::catch_up() {
  const Instant now = loop_.now();
  if (now - ticked_ <= kStale) return;
  if (const std::uint32_t passed = take_time(now)) usrsctp_handle_timers(passed);
}

void UsrsctpStack::tick() {
  const Instant now = loop_.now();
  const bool late = now - due_ > kLate;
  const std::uint32_t passed = take_time(now);
  // An acknowledgement that waits here must be seen before the timer that waits for it: a loop that
  // is late is no reason to send again, let alone to give the peer up.
  for (const auto& udp : closing_) (void)read_packets(*udp, kReadsPerTick);
  closing_.clear();
  for (const auto& udp : udp_) (void)read_packets(*udp, kReadsPerTick);
  // A heavy link's own socket holds its data too, which would only get cold in the stack: as much
  // as in any turn is enough, because in so many turns as a timer lasts all of it is read.
  for (const auto& [path, udp] : own_) {
    if (late || udp->more) (void)read_packets(*udp, kReadsPerWake);
  }
  if (passed > 0) usrsctp_handle_timers(passed);
  hurried_ = now - last_packet_ < kHurryAfterPacket;
  start_timer(hurried_ ? kFastTick : kSlowTick);
  if (after_time_) after_time_();
  forget_unheld_paths(now);
  send_packets();
}

}  // namespace siglane::transport
