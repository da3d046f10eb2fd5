#pragma once
#include <cstdint>
#include <optional>

#include "apps/hss/milenage.h"

namespace siglane::hss {

// Sequence numbers after TS 33.102 Annex C, profile of C.3.2 (not time-based): SQN = SEQ || IND,
// 48 bits, of which IND is the last 5. SEQ counts per subscriber; IND walks through the USIM's
// array of 32, so that vectors used out of order by different serving nodes are accepted.
struct SequenceNumber {
  static constexpr unsigned kIndBits = 5;
  static constexpr std::uint64_t kIndices = std::uint64_t{1} << kIndBits;  // a
  static constexpr std::uint64_t kMax = (std::uint64_t{1} << 48) - 1;
  // C.3.2: the USIM refuses a jump of SEQ beyond this.
  static constexpr std::uint64_t kDelta = std::uint64_t{1} << 28;

  std::uint64_t value = 0;  // at most kMax

  constexpr std::uint64_t seq() const { return value >> kIndBits; }
  constexpr std::uint64_t ind() const { return value % kIndices; }
  static constexpr SequenceNumber of(std::uint64_t seq, std::uint64_t ind) {
    return {seq << kIndBits | ind};
  }

  Sqn bytes() const {
    Sqn out;
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<std::byte>(value >> (8 * (out.size() - 1 - i)));
    }
    return out;
  }
  static SequenceNumber of(const Sqn& bytes) {
    SequenceNumber number;
    for (std::byte b : bytes) number.value = number.value << 8 | std::to_integer<unsigned>(b);
    return number;
  }

  friend constexpr auto operator<=>(const SequenceNumber&, const SequenceNumber&) = default;
};

// The numbers of one batch of vectors: consecutive SEQ, and one IND, the one after that of the
// batch before (C.3.4: indices are allocated cyclically, vectors of one batch share theirs).
struct SequenceNumberBatch {
  SequenceNumber first;
  unsigned count = 1;

  constexpr SequenceNumber at(unsigned i) const {
    return SequenceNumber::of(first.seq() + i, first.ind());
  }
  constexpr SequenceNumber last() const { return at(count - 1); }
};

// The next `count` numbers after SQN_HE; nothing if they would wrap around. `count` is at least 1.
constexpr std::optional<SequenceNumberBatch> next_batch(SequenceNumber he, unsigned count) {
  if (SequenceNumber::kMax / SequenceNumber::kIndices - he.seq() < count) return std::nullopt;
  return SequenceNumberBatch{
      SequenceNumber::of(he.seq() + 1, (he.ind() + 1) % SequenceNumber::kIndices), count};
}

// SQN_HE after an AUTS that proved SQN_MS (TS 33.102 §6.3.5): kept if what follows it "would be
// accepted by the USIM", else SQN_MS. So it goes forwards, except where it had run so far ahead
// that the USIM would refuse it for ever: there the USIM's word is the cure.
constexpr SequenceNumber resynchronised(SequenceNumber he, SequenceNumber ms) {
  const bool behind = he.seq() < ms.seq();
  const bool out_of_reach = !behind && he.seq() - ms.seq() >= SequenceNumber::kDelta;
  return behind || out_of_reach ? ms : he;
}

// AUTS = Conc(SQN_MS) || MAC-S, Conc(SQN_MS) = SQN_MS xor f5*(RAND) (TS 33.102 §6.3.3).
using Auts = std::array<std::byte, 14>;

// SQN_MS, if MAC-S proves that the USIM of this K made `auts` for `rand`. TS 33.102 §6.3.3: the AMF
// "assumes a dummy value of all zeros so that it does not need to be transmitted in the clear".
std::optional<SequenceNumber> verified_sqn_ms(Milenage& milenage, const Rand& rand,
                                              const Auts& auts);

}  // namespace siglane::hss
