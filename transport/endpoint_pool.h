#pragma once
#include <memory>

#include "core/association.h"
#include "core/config.h"

namespace siglane::transport {

// The pool that `config`'s sockets belong to; made here, if no other shard has the endpoint open.
inline EndpointPool& join_pool(EndpointConfig& config) {
  if (!config.pool) config.pool = std::make_shared<EndpointPool>();
  EndpointPool& pool = *config.pool;
  if (pool.opened) {
    config.port = pool.port;
  } else {
    pool.id = next_endpoint_id();
    pool.port = config.port;
  }
  return pool;
}

// Must several sockets share its port? Otherwise a second node on it must fail.
inline bool reuses_port(const EndpointConfig& config) {
  return config.sockets > 1 || (config.pool && config.pool->several);
}

}  // namespace siglane::transport
