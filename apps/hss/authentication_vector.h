#pragma once
#include <array>
#include <memory>

#include "apps/hss/milenage.h"

struct evp_mac_ctx_st;  // OpenSSL's EVP_MAC_CTX

namespace siglane::hss {

// MCC and MNC as Visited-PLMN-Id carries them (TS 29.272 §7.3.9, TS 23.003): three octets.
using Plmn = std::array<std::byte, 3>;

// An E-UTRAN authentication vector (TS 33.401 §6.1.2, E-UTRAN-Vector of TS 29.272 §7.3.18).
struct AuthenticationVector {
  Rand rand;
  Res xres;
  std::array<std::byte, 16> autn;
  std::array<std::byte, 32> kasme;

  friend bool operator==(const AuthenticationVector&, const AuthenticationVector&) = default;
};

// Derives K_ASME (TS 33.401 Annex A.2) with HMAC-SHA-256 (TS 33.220 Annex B). One thread.
class KasmeDerivation {
 public:
  // Fails only where OpenSSL has no HMAC or no memory.
  static Result<KasmeDerivation> create();

  // `concealed_sqn` is SQN xor AK. false: OpenSSL refused, `out` is not to be used.
  [[nodiscard]] bool derive(const Ck& ck, const Ik& ik, const Plmn& serving_network,
                            const Sqn& concealed_sqn, std::array<std::byte, 32>& out);

 private:
  struct Free {
    void operator()(evp_mac_ctx_st* context) const;
  };
  explicit KasmeDerivation(evp_mac_ctx_st* context) : context_(context) {}

  std::unique_ptr<evp_mac_ctx_st, Free> context_;
};

// One vector. The AMF's separation bit (its first) is set whatever `amf` says: without it a UE
// refuses the vector for E-UTRAN access (TS 33.401 §6.1.1, TS 33.102 Annex H).
// false: OpenSSL refused, `out` is not to be used.
[[nodiscard]] bool make_vector(Milenage& milenage, KasmeDerivation& derivation, const Rand& rand,
                               const Sqn& sqn, const Amf& amf, const Plmn& serving_network,
                               AuthenticationVector& out);

}  // namespace siglane::hss
