#include "apps/hss/sequence_number.h"

#include <openssl/crypto.h>

namespace siglane::hss {

std::optional<SequenceNumber> verified_sqn_ms(Milenage& milenage, const Rand& rand,
                                              const Auts& auts) {
  const AnonymityKey ak = milenage.f5_star(rand);
  Sqn sqn_ms;
  for (std::size_t i = 0; i < sqn_ms.size(); ++i) sqn_ms[i] = auts[i] ^ ak[i];

  const Mac expected = milenage.f1(rand, sqn_ms, Amf{}).mac_s;
  const bool proven = CRYPTO_memcmp(expected.data(), auts.data() + sqn_ms.size(), 8) == 0;
  if (!proven || !milenage.good()) return std::nullopt;
  return SequenceNumber::of(sqn_ms);
}

}  // namespace siglane::hss
