#pragma once
#include <optional>

#include "apps/hss/authentication_vector.h"
#include "apps/hss/sequence_number.h"

namespace siglane::hss {

// The other end of AKA: a USIM that knows K and OPc, as far as the tests need one.
class Usim {
 public:
  Usim(const Key& k, const Key& opc) : k_(k), opc_(opc) {}

  // SQN, if the vector is genuine: MAC-A right and the separation bit set (TS 33.102 §6.3.3).
  std::optional<SequenceNumber> sqn_of(const AuthenticationVector& vector) {
    Milenage milenage(aes_, k_, opc_);
    const auto f2345 = milenage.f2345(vector.rand);
    Sqn sqn;
    for (std::size_t i = 0; i < sqn.size(); ++i) sqn[i] = vector.autn[i] ^ f2345.ak[i];
    const Amf amf = {vector.autn[6], vector.autn[7]};
    const Mac mac = milenage.f1(vector.rand, sqn, amf).mac_a;
    const bool genuine = std::equal(mac.begin(), mac.end(), vector.autn.begin() + 8) &&
                         f2345.res == vector.xres && (amf[0] & std::byte{0x80}) != std::byte{0};
    return genuine ? std::optional(SequenceNumber::of(sqn)) : std::nullopt;
  }
  Auts auts(const Rand& rand, SequenceNumber sqn_ms) {
    Milenage milenage(aes_, k_, opc_);
    const AnonymityKey ak = milenage.f5_star(rand);
    const Sqn sqn = sqn_ms.bytes();
    const Mac mac = milenage.f1(rand, sqn, Amf{}).mac_s;
    Auts auts;
    for (std::size_t i = 0; i < sqn.size(); ++i) auts[i] = sqn[i] ^ ak[i];
    std::copy(mac.begin(), mac.end(), auts.begin() + sqn.size());
    return auts;
  }

 private:
  Aes128 aes_ = Aes128::create().value();
  Key k_, opc_;
};

}  // namespace siglane::hss
