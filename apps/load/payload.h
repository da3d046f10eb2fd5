#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/buffer.h"
#include "core/bytes.h"
#include "core/time.h"

namespace siglane::load {

// What a test message carries as its user data, so that the receiver can judge loss, duplication,
// order and content exactly. Big endian:
//
//   short form, 8 .. 31 bytes          long form, 32 bytes and more
//   0  0xA5                            0  0xA6
//   1  flow (24 bits)                  1  flow (24 bits)
//   4  sequence (low 32 bits)          4  sequence (low 32 bits)
//                                      8  run: tells this run's messages from another's
//                                     12  length of the whole in bytes
//                                     16  when it was due to be sent, ns on the sender's clock
//                                     24  sequence (high 32 bits), sender (32 bits)
//   8  filling                        32  filling
//
// The filling is a fixed pattern that begins at a place which flow, sequence and length decide:
// a byte changed, shifted or taken from another message does not match.
inline constexpr std::size_t kPayloadBytesMin = 8;
inline constexpr std::size_t kLongPayloadBytesMin = 32;
inline constexpr std::size_t kPayloadBytesMax = 65000;
inline constexpr std::uint32_t kFlowMax = 0xFFFFFF;

struct Stamp {
  std::uint32_t flow = 0;  // at most kFlowMax
  std::uint64_t sequence = 0;
  std::uint32_t run = 0;
  std::uint32_t sender = 0;
  Instant due{};
};

// Appends `size` bytes. Precondition: kPayloadBytesMin <= size <= kPayloadBytesMax.
void write_payload(BufferBuilder& out, const Stamp& stamp, std::size_t size);

// What a message said, once every byte of it was checked. The short form has neither run, sender
// nor time, and the low half of its sequence number only.
struct ReadStamp {
  Stamp stamp;
  bool is_long = false;
};
// nullopt: not ours, or damaged.
std::optional<ReadStamp> read_payload(Bytes payload);

// The full number whose low half is `low` and which lies nearest to `expected`.
std::uint64_t widen_sequence(std::uint32_t low, std::uint64_t expected);

}  // namespace siglane::load
