#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/drops.h"
#include "core/facts.h"
#include "protocols/m3ua/parameters.h"
#include "protocols/m3ua/parcels.h"

// Messages in words, for the operator.
namespace siglane::m3ua {

// "DATA 1001 -> 1002 NI 2 SI 3 SLS 7 NA 1 RC 5".
std::string describe(const MtpLabel& label, Network network,
                     std::optional<std::uint32_t> routing_context);
// A message as it came, in order or not: "DAUD 100 mask 8, 200 NA 1 RC 101".
std::string describe(Bytes message);
// The first octets of a message, as an ERR returns them.
std::string describe_beginning(Bytes message);

// Why what came is answered with that ERR.
const DropReason& reason_of(ErrorCode code);

inline constexpr FactKind kAspStateChanged{"asp_state_changed", Severity::info,
                                           "the ASP is in this state (RFC 4666 §4.3.1) for the "
                                           "application server or routing context `as`. "
                                           "Without `as`, it is so for all"};
Fact asp_state_changed(std::string_view asp, std::string_view as, AspState state);

}  // namespace siglane::m3ua
