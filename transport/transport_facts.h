#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/facts.h"
#include "core/transport.h"
#include "transport/peeling/traffic_meter.h"

// The facts that transports tell, besides notices.
namespace siglane::transport {

inline constexpr FactKind kEndpointOpened{"endpoint_opened", Severity::info,
                                          "the endpoint is bound to this address and port"};
inline Fact endpoint_opened(std::string_view endpoint, std::string_view address, std::uint16_t port,
                            TransportKind kind) {
  return {
      kEndpointOpened,
      {{"endpoint", endpoint}, {"address", address}, {"port", port}, {"transport", name_of(kind)}}};
}

inline constexpr FactKind kAssociationPeeled{
    "association_peeled", Severity::info,
    "the association has got a socket of its own. `peeled_now` associations have one"};
inline Fact association_peeled(PeeloffReason reason, const TrafficRates& rates,
                               std::size_t bytes_held, std::size_t peeled_now) {
  return {kAssociationPeeled,
          {{"reason", name_of(reason)},
           {"messages_per_second", std::llround(rates.messages())},
           {"bytes_per_second", std::llround(rates.bytes())},
           {"bytes_held", bytes_held},
           {"peeled_now", peeled_now}}};
}

inline constexpr FactKind kPeeloffStarved{"peeloff_starved", Severity::warning,
                                          "an association qualifies for a socket of its own and "
                                          "does not get one, because `peeled_max` is "
                                          "reached or file descriptors are short"};

}  // namespace siglane::transport
