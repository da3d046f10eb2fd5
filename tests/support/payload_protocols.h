#pragma once
#include "core/association.h"

namespace siglane::test {

// Payload protocol identifiers for tests that have no protocol (IANA's registry for SCTP).
inline constexpr PayloadProtocol kM3ua{3};
inline constexpr PayloadProtocol kDiameter{46};
inline constexpr PayloadProtocol kDiameterDtls{47};

}  // namespace siglane::test
