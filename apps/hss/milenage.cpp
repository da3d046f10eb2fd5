#include "apps/hss/milenage.h"

#include <algorithm>

#include <openssl/evp.h>

namespace siglane::hss {
namespace {

Block operator^(const Block& a, const Block& b) {
  Block sum;
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = a[i] ^ b[i];
  return sum;
}

// rot(x, r) of TS 35.206 §2.2: towards the most significant bit; every r is a whole number of
// bytes.
template <unsigned Bits>
Block rotated(const Block& x) {
  static_assert(Bits % 8 == 0 && Bits < 128);
  Block turned;
  std::rotate_copy(x.begin(), x.begin() + Bits / 8, x.end(), turned.begin());
  return turned;
}

// x xor c, for a constant c of TS 35.206 §4.1: all zero but for its last bits.
Block with_constant(Block x, unsigned char c) {
  x[15] ^= std::byte{c};
  return x;
}

template <class Field>
Field part(const Block& block, std::size_t offset) {
  Field field;
  std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(offset), field.size(), field.begin());
  return field;
}

}  // namespace

void Aes128::Free::operator()(evp_cipher_ctx_st* context) const {
  EVP_CIPHER_CTX_free(context);
}

Result<Aes128> Aes128::create() {
  Aes128 aes(EVP_CIPHER_CTX_new());
  // The cipher is looked up here, once; set_key() changes nothing but the key schedule.
  if (aes.context_ == nullptr ||
      EVP_EncryptInit_ex(aes.context_.get(), EVP_aes_128_ecb(), nullptr, nullptr, nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(aes.context_.get(), 0) != 1) {
    return failure("OpenSSL gives no AES-128");
  }
  return aes;
}

void Aes128::set_key(const Key& key) {
  good_ = EVP_EncryptInit_ex(context_.get(), nullptr, nullptr,
                             reinterpret_cast<const unsigned char*>(key.data()), nullptr) == 1;
}

void Aes128::encrypt(Block* blocks, std::size_t count) {
  auto* bytes = reinterpret_cast<unsigned char*>(blocks);
  const int size = static_cast<int>(count * sizeof(Block));
  int written = 0;
  good_ = good_ && EVP_EncryptUpdate(context_.get(), bytes, &written, bytes, size) == 1 &&
          written == size;
}

Key Milenage::opc(Aes128& aes, const Key& k, const Key& op) {
  aes.set_key(k);
  return op ^ aes.encrypted(op);
}

Block Milenage::temp(const Rand& rand) {
  return aes_.encrypted(rand ^ opc_);
}

Milenage::F1 Milenage::f1(const Rand& rand, const Sqn& sqn, const Amf& amf) {
  Block in1;  // SQN || AMF || SQN || AMF
  auto at = std::copy(sqn.begin(), sqn.end(), in1.begin());
  at = std::copy(amf.begin(), amf.end(), at);
  std::copy(in1.begin(), at, at);

  // OUT1 = E[TEMP xor rot(IN1 xor OPc, r1) xor c1]_K xor OPc
  const Block out1 = aes_.encrypted(temp(rand) ^ rotated<64>(in1 ^ opc_)) ^ opc_;
  return {part<Mac>(out1, 0), part<Mac>(out1, 8)};
}

Milenage::F2345 Milenage::f2345(const Rand& rand) {
  const Block base = temp(rand) ^ opc_;
  // OUTn = E[rot(TEMP xor OPc, rn) xor cn]_K xor OPc
  std::array<Block, 3> out = {with_constant(base, 1), with_constant(rotated<32>(base), 2),
                              with_constant(rotated<64>(base), 4)};
  aes_.encrypt(out.data(), out.size());
  const Block out2 = out[0] ^ opc_;
  return {part<Res>(out2, 8), out[1] ^ opc_, out[2] ^ opc_, part<AnonymityKey>(out2, 0)};
}

AnonymityKey Milenage::f5_star(const Rand& rand) {
  const Block out5 = aes_.encrypted(with_constant(rotated<96>(temp(rand) ^ opc_), 8)) ^ opc_;
  return part<AnonymityKey>(out5, 0);
}

}  // namespace siglane::hss
