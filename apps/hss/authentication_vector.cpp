#include "apps/hss/authentication_vector.h"

#include <algorithm>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

namespace siglane::hss {
namespace {

const unsigned char* raw(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}

}  // namespace

void KasmeDerivation::Free::operator()(evp_mac_ctx_st* context) const {
  EVP_MAC_CTX_free(context);
}

Result<KasmeDerivation> KasmeDerivation::create() {
  EVP_MAC* hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  KasmeDerivation derivation(hmac == nullptr ? nullptr : EVP_MAC_CTX_new(hmac));
  EVP_MAC_free(hmac);  // the context holds its own reference
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  if (derivation.context_ == nullptr ||
      EVP_MAC_CTX_set_params(derivation.context_.get(), parameters) != 1) {
    return failure("OpenSSL gives no HMAC-SHA-256");
  }
  return derivation;
}

bool KasmeDerivation::derive(const Ck& ck, const Ik& ik, const Plmn& serving_network,
                             const Sqn& concealed_sqn, std::array<std::byte, 32>& out) {
  std::array<std::byte, 32> key;  // CK || IK
  std::copy(ik.begin(), ik.end(), std::copy(ck.begin(), ck.end(), key.begin()));

  // S = FC || P0 || L0 || P1 || L1: FC = 0x10, P0 = SN id, P1 = SQN xor AK.
  std::array<std::byte, 14> s{};
  s[0] = std::byte{0x10};
  std::copy(serving_network.begin(), serving_network.end(), s.begin() + 1);
  store_u16(s.data() + 4, 3);
  std::copy(concealed_sqn.begin(), concealed_sqn.end(), s.begin() + 6);
  store_u16(s.data() + 12, 6);

  std::size_t written = 0;
  return EVP_MAC_init(context_.get(), raw(key.data()), key.size(), nullptr) == 1 &&
         EVP_MAC_update(context_.get(), raw(s.data()), s.size()) == 1 &&
         EVP_MAC_final(context_.get(), reinterpret_cast<unsigned char*>(out.data()), &written,
                       out.size()) == 1 &&
         written == out.size();
}

bool make_vector(Milenage& milenage, KasmeDerivation& derivation, const Rand& rand, const Sqn& sqn,
                 const Amf& amf, const Plmn& serving_network, AuthenticationVector& out) {
  const Amf separated = {amf[0] | std::byte{0x80}, amf[1]};
  const auto [mac_a, mac_s] = milenage.f1(rand, sqn, separated);
  const auto [res, ck, ik, ak] = milenage.f2345(rand);

  // AUTN = SQN xor AK || AMF || MAC (TS 33.102 §6.3.2)
  Sqn concealed;
  for (std::size_t i = 0; i < sqn.size(); ++i) concealed[i] = sqn[i] ^ ak[i];
  auto at = std::copy(concealed.begin(), concealed.end(), out.autn.begin());
  at = std::copy(separated.begin(), separated.end(), at);
  std::copy(mac_a.begin(), mac_a.end(), at);

  out.rand = rand;
  out.xres = res;
  return milenage.good() && derivation.derive(ck, ik, serving_network, concealed, out.kasme);
}

}  // namespace siglane::hss
