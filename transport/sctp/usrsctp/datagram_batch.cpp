#include "transport/sctp/usrsctp/datagram_batch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include <netinet/udp.h>
#include <sys/socket.h>

namespace siglane::transport {
namespace {

// Linux takes no more than 64 segments (UDP_MAX_SEGMENTS), and no more bytes than one datagram may
// have.
constexpr std::size_t kSegmentsMax = 64;
constexpr std::size_t kRunBytesMax = 65'000;
// Two dozen packets: a system call costs little for each of them, and they and the sockets' copies
// are still in the cache when the other end reads them.
constexpr std::size_t kBurstBytes = std::size_t{32} << 10;
constexpr std::size_t kBytesMax = 4 * kBurstBytes;  // while the socket has no room
constexpr std::size_t kRunsMax = 64;
constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;

}  // namespace

bool DatagramBatch::add(const SocketAddress& to, Bytes packet) {
  const bool fills_burst =
      (bytes_.size() + packet.size()) / kBurstBytes != bytes_.size() / kBurstBytes;
  if (fills_burst || !has_room(to, packet.size())) {
    send();
    if (!has_room(to, packet.size())) return false;
  }
  if (extends_last(to, packet.size())) {
    runs_.back().bytes += packet.size();
    runs_.back().ended = packet.size() < runs_.back().segment;
  } else {
    runs_.push_back({to, bytes_.size(), packet.size(), packet.size(), packet.empty()});
  }
  bytes_.insert(bytes_.end(), packet.begin(), packet.end());
  return true;
}

// Whether a datagram of that size can join those that wait last.
bool DatagramBatch::extends_last(const SocketAddress& to, std::size_t size) const {
  if (!segments_ || runs_.empty()) return false;
  const Run& last = runs_.back();
  return !last.ended && size != 0 && size <= last.segment && last.bytes + size <= kRunBytesMax &&
         last.bytes / last.segment < kSegmentsMax && last.to == to;
}

bool DatagramBatch::has_room(const SocketAddress& to, std::size_t size) const {
  if (bytes_.size() + size > kBytesMax) return false;
  return runs_.size() < kRunsMax || extends_last(to, size);
}

void DatagramBatch::send() {
  std::size_t done = 0;
  while (done < runs_.size()) {
    const std::size_t sent = send_from(done);
    if (sent == 0) break;
    done += sent;
  }
  remove(done);
}

void DatagramBatch::remove(std::size_t runs) {
  const std::size_t bytes = runs == runs_.size() ? bytes_.size() : runs_[runs].offset;
  bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(bytes));
  runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(runs));
  for (Run& run : runs_) run.offset -= bytes;
}

// How many runs from `first` on need nothing more; 0: the socket has no room for the first.
std::size_t DatagramBatch::send_from(std::size_t first) {
  union Control {
    std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> bytes;
    cmsghdr aligned;
  };
  std::array<mmsghdr, kRunsMax> messages;
  std::array<iovec, kRunsMax> parts;
  std::array<Control, kRunsMax> controls;
  const std::size_t count = runs_.size() - first;
  for (std::size_t i = 0; i < count; ++i) {
    const Run& run = runs_[first + i];
    parts[i] = {bytes_.data() + run.offset, run.bytes};
    messages[i] = {};
    msghdr& header = messages[i].msg_hdr;
    if (!connected_) {
      header.msg_name = const_cast<sockaddr*>(run.to.raw());
      header.msg_namelen = run.to.size();
    }
    header.msg_iov = &parts[i];
    header.msg_iovlen = 1;
    if (run.bytes == run.segment) continue;
    header.msg_control = controls[i].bytes.data();
    header.msg_controllen = controls[i].bytes.size();
    cmsghdr* segment = CMSG_FIRSTHDR(&header);
    segment->cmsg_level = IPPROTO_UDP;
    segment->cmsg_type = UDP_SEGMENT;
    segment->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto size = static_cast<std::uint16_t>(run.segment);
    std::memcpy(CMSG_DATA(segment), &size, sizeof size);
  }
  // A connected socket says once what ICMP has told of an earlier datagram, and sends nothing then.
  int told = connected_ ? 1 : 0;
  const auto worth_another = [&] {
    return errno == EINTR || (errno != EAGAIN && errno != ENOBUFS && told-- > 0);
  };
  int sent = 0;
  do {
    sent = ::sendmmsg(fd_, messages.data(), static_cast<unsigned>(count), kFlags);
  } while (sent < 0 && worth_another());
  if (sent > 0) return static_cast<std::size_t>(sent);
  if (errno == EAGAIN || errno == ENOBUFS) return 0;
  const Run& refused = runs_[first];
  if (refused.bytes != refused.segment) {
    // The interface does not split; or each of them is longer than the way to this peer allows
    // (EINVAL, EMSGSIZE), and needs fragments.
    if (errno == EIO) send_singly();
    send_one_by_one(refused);
  }
  return 1;
}

void DatagramBatch::send_one_by_one(const Run& run) {
  for (std::size_t at = 0; at < run.bytes; at += run.segment) {
    const std::size_t size = std::min(run.segment, run.bytes - at);
    (void)::sendto(fd_, bytes_.data() + run.offset + at, size, kFlags,
                   connected_ ? nullptr : run.to.raw(), connected_ ? 0 : run.to.size());
  }
}

}  // namespace siglane::transport
