#include "transport/datagram_batch.h"

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
// Enough for what one turn of a loop sends to one peer, and small enough for the cache.
constexpr std::size_t kBytesMax = std::size_t{128} << 10;
constexpr std::size_t kRunsMax = 64;
constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;

}  // namespace

void DatagramBatch::add(const SocketAddress& to, Bytes packet) {
  const bool extends = extend_last(to, packet.size());
  if (bytes_.size() + packet.size() > kBytesMax || (!extends && runs_.size() == kRunsMax)) {
    send();
    return add(to, packet);
  }
  if (extends) {
    runs_.back().bytes += packet.size();
    runs_.back().ended = packet.size() < runs_.back().segment;
  } else {
    runs_.push_back({to, bytes_.size(), packet.size(), packet.size(), packet.empty()});
  }
  bytes_.insert(bytes_.end(), packet.begin(), packet.end());
}

// Whether a datagram of that size can join those that wait last.
bool DatagramBatch::extend_last(const SocketAddress& to, std::size_t size) const {
  if (!segments_ || runs_.empty()) return false;
  const Run& last = runs_.back();
  return !last.ended && size != 0 && size <= last.segment && last.bytes + size <= kRunBytesMax &&
         last.bytes / last.segment < kSegmentsMax && last.to == to;
}

void DatagramBatch::send() {
  for (std::size_t done = 0; done < runs_.size();) done += send_from(done);
  runs_.clear();
  bytes_.clear();
}

// How many runs from `first` on need nothing more.
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
    header.msg_name = const_cast<sockaddr*>(run.to.raw());
    header.msg_namelen = run.to.size();
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
  const int sent = ::sendmmsg(fd_, messages.data(), static_cast<unsigned>(count), kFlags);
  if (sent > 0) return static_cast<std::size_t>(sent);
  if (errno == EINTR) return 0;
  // The interface does not split (EIO), or each of them is too large for its MTU (EINVAL).
  const Run& refused = runs_[first];
  if (refused.bytes != refused.segment && (errno == EIO || errno == EINVAL)) {
    send_singly();
    send_one_by_one(refused);
  }
  return 1;
}

void DatagramBatch::send_one_by_one(const Run& run) {
  for (std::size_t at = 0; at < run.bytes; at += run.segment) {
    const std::size_t size = std::min(run.segment, run.bytes - at);
    (void)::sendto(fd_, bytes_.data() + run.offset + at, size, kFlags, run.to.raw(), run.to.size());
  }
}

}  // namespace siglane::transport
