#ifndef SIGLANE_TESTS_BENCH_MESSAGE_DIGEST_H
#define SIGLANE_TESTS_BENCH_MESSAGE_DIGEST_H
#include <stddef.h>
#include <stdint.h>

// What a program that knows its AVPs does with a decoded message, reduced to one number: visit
// every AVP, groups included, and read its value. Both codecs feed it, so equal digests mean that
// both saw the same message. C, because one of the two is.

enum ValueKind { kValueBytes, kValueU32, kValueU64, kValueGroup };

// Of the AVPs in tests/bench/vectors/: a program does not look up the type of what it asks for.
static inline enum ValueKind value_kind(uint32_t code, uint32_t vendor) {
  switch (code) {
    case 258:   // Auth-Application-Id
    case 266:   // Vendor-Id
    case 277:   // Auth-Session-State
    case 415:   // CC-Request-Number
    case 416:   // CC-Request-Type
    case 420:   // CC-Time
    case 432:   // Rating-Group
    case 439:   // Service-Identifier
    case 450:   // Subscription-Id-Type
    case 455:   // Multiple-Services-Indicator
    case 629:   // Feature-List-ID
    case 630:   // Feature-List
    case 1032:  // RAT-Type
    case 1405:  // ULR-Flags
      return kValueU32;
    case 412:  // CC-Input-Octets
    case 414:  // CC-Output-Octets
    case 421:  // CC-Total-Octets
      return kValueU64;
    case 260:  // Vendor-Specific-Application-Id
    case 437:  // Requested-Service-Unit
    case 443:  // Subscription-Id
    case 446:  // Used-Service-Unit
    case 456:  // Multiple-Services-Credit-Control
    case 628:  // Supported-Features
    case 873:  // Service-Information
    case 874:  // PS-Information
      return kValueGroup;
    case 2:  // 3GPP-Charging-Id
    case 3:  // 3GPP-PDP-Type
      return vendor == 10415 ? kValueU32 : kValueBytes;
    default:
      return kValueBytes;
  }
}

static inline uint64_t digest_number(uint64_t digest, uint64_t number) {
  return (digest ^ number) * 0x100000001b3u;
}
static inline uint64_t digest_bytes(uint64_t digest, const void* bytes, size_t size) {
  const uint8_t first = size == 0 ? 0 : *(const uint8_t*)bytes;
  return digest_number(digest, (uint64_t)size << 8 | first);
}

#endif
