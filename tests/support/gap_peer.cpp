#include "tests/support/gap_peer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/support/crc32c.h"

namespace siglane::test {
namespace {

// RFC 9260 §3.2.
constexpr std::uint8_t kData = 0, kInit = 1, kInitAck = 2, kSack = 3, kAbort = 6, kCookieEcho = 10,
                       kCookieAck = 11;
constexpr std::uint8_t kWholeMessage = 0x03;  // the B and E bits of DATA
constexpr std::uint16_t kStateCookie = 7;
constexpr std::uint32_t kOwnTag = 0x51671a9e;
constexpr std::size_t kHeaderBytes = 12, kChunkHeaderBytes = 4;

void need(bool good, const char* what) {
  if (!good)
    throw std::runtime_error(std::string("gap peer: ") + what + ": " + std::strerror(errno));
}

std::uint16_t next_port() {
  static std::uint16_t port = 20000;
  return port++;
}

}  // namespace

GapPeer::GapPeer(std::uint16_t udp_port, std::uint16_t port)
    : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
      own_port_(next_port()),
      port_(port) {
  need(socket_.valid(), "socket");
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(udp_port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  need(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0, "connect");

  std::array<std::byte, 16> init{};
  store_u32(init.data(), kOwnTag);
  store_u32(init.data() + 4, 1 << 20);  // our window
  store_u16(init.data() + 8, 1);        // streams out, and in
  store_u16(init.data() + 10, 1);
  store_u32(init.data() + 12, first_tsn_);
  const auto answer = ask(chunk(kInit, 0, init), kInitAck);
  peer_tag_ = load_u32(answer.data());
  for (std::size_t at = 16; at + kChunkHeaderBytes <= answer.size();) {
    const std::size_t length = load_u16(answer.data() + at + 2);
    need(length >= kChunkHeaderBytes && at + length <= answer.size(), "INIT ACK");
    if (load_u16(answer.data() + at) == kStateCookie) {
      (void)ask(chunk(kCookieEcho, 0, Bytes(answer).subspan(at + 4, length - 4)), kCookieAck);
    }
    at += (length + 3) / 4 * 4;
  }
  acknowledged_ = first_tsn_ - 1;
}

GapPeer::~GapPeer() {
  send(chunk(kAbort, 0, {}));
}

GapPeer::Chunk GapPeer::chunk(std::uint8_t type, std::uint8_t flags, Bytes value) {
  Chunk chunk(kChunkHeaderBytes + (value.size() + 3) / 4 * 4);
  chunk[0] = std::byte{type};
  chunk[1] = std::byte{flags};
  store_u16(chunk.data() + 2, static_cast<std::uint16_t>(kChunkHeaderBytes + value.size()));
  std::ranges::copy(value, chunk.begin() + kChunkHeaderBytes);
  return chunk;
}

void GapPeer::send(const Chunk& chunk) {
  std::vector<std::byte> packet(kHeaderBytes);
  store_u16(packet.data(), own_port_);
  store_u16(packet.data() + 2, port_);
  store_u32(packet.data() + 4, peer_tag_);
  packet.insert(packet.end(), chunk.begin(), chunk.end());
  const std::uint32_t crc = crc32c(packet);
  for (unsigned i = 0; i < 4; ++i) packet[8 + i] = static_cast<std::byte>(crc >> (8 * i));
  (void)::send(socket_.get(), packet.data(), packet.size(), 0);
}

void GapPeer::send_data(std::size_t number) {
  constexpr std::size_t kDataHeaderBytes = 12;
  std::vector<std::byte> value(kDataHeaderBytes + bytes_);
  store_u32(value.data(), first_tsn_ + static_cast<std::uint32_t>(number));
  store_u16(value.data() + 6, static_cast<std::uint16_t>(number));  // on stream 0
  value[kDataHeaderBytes] = first_;
  send(chunk(kData, kWholeMessage, value));
}

void GapPeer::send_behind_a_gap(std::size_t count, std::size_t bytes, std::byte first) {
  count_ = count;
  bytes_ = bytes;
  first_ = first;
  for (std::size_t number = 1; number < count; ++number) send_data(number);
}

void GapPeer::fill_the_gap() {
  (void)all_acknowledged();
  for (std::size_t number = acknowledged_ + 1 - first_tsn_; number < count_; ++number) {
    send_data(number);
  }
}

bool GapPeer::all_acknowledged() {
  std::vector<std::byte> sack;
  for (bool found = false; read_packet(kSack, sack, found); found = false) {
    if (found) acknowledged_ = std::max(acknowledged_, load_u32(sack.data()));
  }
  return acknowledged_ + 1 == first_tsn_ + count_;
}

std::vector<std::byte> GapPeer::ask(const Chunk& question, std::uint8_t answer) {
  constexpr int kTries = 10, kPatienceMs = 500;
  std::vector<std::byte> value;
  bool found = false;
  for (int tries = 0; tries < kTries && !found; ++tries) {
    send(question);
    pollfd one{socket_.get(), POLLIN, 0};
    while (!found && ::poll(&one, 1, kPatienceMs) == 1) (void)read_packet(answer, value, found);
  }
  errno = ETIMEDOUT;
  need(found, "no answer");
  return value;
}

bool GapPeer::read_packet(std::uint8_t wanted, std::vector<std::byte>& value, bool& found) {
  std::array<std::byte, 4096> space;
  const ssize_t size = ::recv(socket_.get(), space.data(), space.size(), MSG_DONTWAIT);
  if (size < 0) return false;
  const Bytes packet(space.data(), static_cast<std::size_t>(size));
  for (std::size_t at = kHeaderBytes; at + kChunkHeaderBytes <= packet.size();) {
    const std::size_t length = load_u16(packet.data() + at + 2);
    if (length < kChunkHeaderBytes || at + length > packet.size()) break;
    if (packet[at] == std::byte{wanted}) {
      value.assign(packet.begin() + static_cast<std::ptrdiff_t>(at + kChunkHeaderBytes),
                   packet.begin() + static_cast<std::ptrdiff_t>(at + length));
      found = true;
    }
    at += (length + 3) / 4 * 4;
  }
  return true;
}

}  // namespace siglane::test
