#pragma once
#include <cstdint>
#include <optional>
#include <unordered_map>

#include <tl/expected.hpp>

#include "protocols/m3ua/config.h"
#include "protocols/m3ua/parameters.h"

namespace siglane::m3ua {

// What the config says about networks of point codes. Built once, never changed.
class Networks {
 public:
  explicit Networks(const M3uaConfig& config);

  // The network that a message is about: `of_as` is the one its AS is in, `said` its Network
  // Appearance parameter. RFC 4666 §3.8.1: "The "Invalid Network Appearance" error is sent by a SGP
  // if an ASP sends a message with an invalid (unconfigured) Network Appearance value." Where the
  // config names no appearance at all, none is invalid.
  tl::expected<Network, ErrorCode> of(Network of_as, Network said) const;

  unsigned point_code_bits(Network network) const;
  // Of the network that DATA of this route comes from; where it may be any, of the widest.
  unsigned point_code_bits(const RouteConfig& route) const;
  bool fits(Network network, std::uint32_t point_code) const {
    return point_code >> point_code_bits(network) == 0;
  }
  bool fits(Network network, const AffectedPointCode& affected) const {
    return affected.mask <= point_code_bits(network) && fits(network, affected.point_code);
  }

 private:
  unsigned widest_of_senders(const M3uaConfig& config) const;

  std::unordered_map<std::uint32_t, unsigned> bits_;  // of every appearance that the config names
  unsigned default_bits_ = kPointCodeBitsMax;
  unsigned widest_bits_ = kPointCodeBitsMax;
};

}  // namespace siglane::m3ua
