#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/bytes.h"
#include "transport/file_descriptor.h"

namespace siglane::test {

// A peer that speaks SCTP by hand, in UDP (RFC 6951) so that no kernel answers for it: it connects
// on loopback, and sends a row of messages whose first one is missing. All that has come behind the
// gap is kept by the receiving stack, and nobody can read it (RFC 9260 §6.2). Throws what goes
// wrong.
class GapPeer {
 public:
  // Where the kernel under test takes UDP (net.sctp.udp_port), and its SCTP port there.
  GapPeer(std::uint16_t udp_port, std::uint16_t port);
  ~GapPeer();
  GapPeer(const GapPeer&) = delete;
  GapPeer& operator=(const GapPeer&) = delete;

  // `count` messages of `bytes`, ordered, on stream 0, without the first; each begins with `first`.
  void send_behind_a_gap(std::size_t count, std::size_t bytes, std::byte first);
  // What was missing, and all that is not acknowledged, once more.
  void fill_the_gap();
  // Everything was acknowledged without a gap, as far as the SACKs say that have come.
  bool all_acknowledged();

 private:
  // What stands behind a common header: the chunk's first four bytes and its value, padded.
  using Chunk = std::vector<std::byte>;
  static Chunk chunk(std::uint8_t type, std::uint8_t flags, Bytes value);
  void send(const Chunk& chunk);
  void send_data(std::size_t number);
  // The value of the next chunk of type `answer`, within five seconds. What is asked may be lost:
  // it is repeated.
  std::vector<std::byte> ask(const Chunk& question, std::uint8_t answer);
  // Reads one packet, if one is there. false: none is.
  bool read_packet(std::uint8_t wanted, std::vector<std::byte>& value, bool& found);

  transport::FileDescriptor socket_;
  std::uint16_t own_port_, port_;
  std::uint32_t peer_tag_ = 0, first_tsn_ = 1, acknowledged_ = 0;  // cumulatively
  std::size_t count_ = 0, bytes_ = 0;
  std::byte first_{};
};

}  // namespace siglane::test
