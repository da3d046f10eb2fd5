#pragma once
#include "apps/runtime/config.h"

namespace siglane::runtime {

// What keeps endpoints from being open at once, or of use. check_endpoints() (config.h) is about
// all of them once more.

// One of node.endpoints that has this one's address and port.
const NodeEndpoint* colliding_with(const EndpointConfig& endpoint, const NodeConfig& node);
// `udp`: the endpoint's "udp_encapsulation", whose port may be one that another endpoint needs.
void check_udp(const ObjectReader& udp, const EndpointConfig& endpoint, const NodeConfig& node);
// Endpoints that no peer can use. When all peers have been read.
void check_endpoints_used(const ObjectReader& root, const NodeConfig& node);

}  // namespace siglane::runtime
