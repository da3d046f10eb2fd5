#pragma once
#include <array>
#include <cstddef>
#include <memory>

#include "core/bytes.h"
#include "core/result.h"

struct evp_cipher_ctx_st;  // OpenSSL's EVP_CIPHER_CTX

namespace siglane::hss {

// The sizes of TS 33.102 and TS 35.205. All are strings of bits, most significant first.
using Block = std::array<std::byte, 16>;
using Key = Block;                              // K, OP, OPc
using Rand = Block;                             // RAND
using Ck = Block;                               // cipher key
using Ik = Block;                               // integrity key
using Mac = std::array<std::byte, 8>;           // MAC-A, MAC-S
using Res = std::array<std::byte, 8>;           // RES, XRES
using Sqn = std::array<std::byte, 6>;           // SQN as it goes on the wire
using AnonymityKey = std::array<std::byte, 6>;  // AK
using Amf = std::array<std::byte, 2>;

// One AES-128 encryption context, keyed for one subscriber after another. One thread.
class Aes128 {
 public:
  // Fails only where OpenSSL has no AES or no memory.
  static Result<Aes128> create();

  void set_key(const Key& key);
  // Encrypts `count` independent blocks in place.
  void encrypt(Block* blocks, std::size_t count = 1);
  Block encrypted(Block block) {
    encrypt(&block);
    return block;
  }

  // False once OpenSSL refused anything since the last set_key(): what came out is not to be used.
  bool good() const { return good_; }

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  explicit Aes128(evp_cipher_ctx_st* context) : context_(context) {}

  std::unique_ptr<evp_cipher_ctx_st, Free> context_;
  bool good_ = false;
};

// The MILENAGE algorithm set (TS 35.206) with its recommended constants c1..c5 and r1..r5 (§4.1).
class Milenage {
 public:
  // Keys `aes` with K. `aes` must outlive this and keep that key.
  Milenage(Aes128& aes, const Key& k, const Key& opc) : aes_(aes), opc_(opc) { aes_.set_key(k); }

  // OPc = OP xor E[OP]_K (TS 35.206 §4.1).
  static Key opc(Aes128& aes, const Key& k, const Key& op);

  struct F1 {
    Mac mac_a;  // f1: network authentication
    Mac mac_s;  // f1*: resynchronisation
  };
  F1 f1(const Rand& rand, const Sqn& sqn, const Amf& amf);

  struct F2345 {
    Res res;          // f2
    Ck ck;            // f3
    Ik ik;            // f4
    AnonymityKey ak;  // f5
  };
  F2345 f2345(const Rand& rand);

  // f5*: the anonymity key of AUTS.
  AnonymityKey f5_star(const Rand& rand);

  // See Aes128::good().
  bool good() const { return aes_.good(); }

 private:
  Block temp(const Rand& rand);  // E[RAND xor OPc]_K

  Aes128& aes_;
  Key opc_;
};

}  // namespace siglane::hss
