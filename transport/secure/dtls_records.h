#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/bytes.h"

namespace siglane::transport {

// The clear part of a DTLS 1.2 record (RFC 6347 §4.1).
struct DtlsRecord {
  static constexpr std::size_t kHeaderBytes = 13;
  static constexpr std::uint8_t kChangeCipherSpec = 20, kAlert = 21, kHandshake = 22,
                                kApplicationData = 23;

  std::uint8_t type = 0;
  std::uint16_t epoch = 0;
  std::uint64_t sequence = 0;
  std::size_t bytes = 0;  // of the whole record
  std::uint64_t tag = 0;  // what its owner wants to know again
};
// The record that `bytes` begins with; nothing: there is no whole one.
std::optional<DtlsRecord> dtls_record_at(Bytes bytes);
// The random of a ClientHello in clear (RFC 6347 §4.2.1); nothing: it is none.
std::optional<Bytes> client_random_of(Bytes record);

// Lets DTLS live on SCTP, which loses nothing but reorders across streams. RFC 6083 wants replay
// detection off for that reason, and OpenSSL cannot switch it off: what comes more than a window of
// 64 late is dropped in silence. So a record that would push the window past a missing one waits
// here until the missing one has come. Within a window, order is free. Application data also waits
// for the end of the handshake, and an alert for everything that was sent before it, so that a
// close_notify does not overtake data.
class DtlsOrder {
 public:
  // Bytes that may wait: for the end of the handshake, while nobody has shown who he is; later.
  DtlsOrder(std::size_t early_bytes_max, std::size_t held_bytes_max)
      : early_bytes_max_(early_bytes_max), held_bytes_max_(held_bytes_max) {}

  // One record came. false: too many bytes wait.
  [[nodiscard]] bool add(const DtlsRecord& record, Bytes bytes);
  // Appends what may be read now: whole records, and the tag of each.
  void take_ready(std::vector<std::byte>& into, std::vector<std::uint64_t>& tags);
  void handshake_done() { open_ = true; }

  std::size_t held_bytes() const { return held_bytes_; }

 private:
  static constexpr std::uint64_t kWindow = 64;
  struct Held {
    DtlsRecord record;
    std::vector<std::byte> bytes;
  };

  bool may_pass(const DtlsRecord& record) const;
  void note(const DtlsRecord& record);

  std::size_t early_bytes_max_, held_bytes_max_;
  std::size_t held_bytes_ = 0;
  std::multimap<std::pair<std::uint16_t, std::uint64_t>, Held> held_;
  std::vector<std::byte> ready_;
  std::vector<std::uint64_t> ready_tags_;
  bool open_ = false;
  // Of epoch 1, the only one with keys: there is no renegotiation.
  std::uint64_t first_missing_ = 0;
  std::uint64_t seen_ = 0;  // bit n: first_missing_ + n has come
};

}  // namespace siglane::transport
