#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apps/runtime/config.h"

namespace siglane::runtime {

// What several keys of a config say together. Each of them may be right, and yet no association can
// come about.

// Canonical addresses: of one host, not of none, all or many; one that connects without a zone.
bool is_host_address(std::string_view address);
bool is_link_local(std::string_view address);

// Complains of each address of a list that cannot be one of a host, or stands there twice.
// `values`: what was read from `key`.
void check_addresses(const ObjectReader& from, std::string_view key,
                     const std::vector<std::string>& values);
// The same of an endpoint, where 0.0.0.0 and :: are every address.
void check_local_addresses(const ObjectReader& from, const std::vector<std::string>& values);

// Whether two endpoints with these addresses would want one and the same; none: every address.
bool share_an_address(const std::vector<std::string>& a, const std::vector<std::string>& b);

// Whether the peer and this node can meet: at an endpoint of its module, by its addresses, with the
// placement and the certificate that the config asks for.
void check_meeting(const ObjectReader& from, const NodePeer& peer, const NodeConfig& node);

}  // namespace siglane::runtime
