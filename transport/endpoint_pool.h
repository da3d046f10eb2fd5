#pragma once
#include <memory>

#include "core/association.h"
#include "core/config.h"
#include "transport/socket_option.h"

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

// Must several sockets share its port?
//
// They do it by SO_REUSEPORT, which would let a second node of the same user take half of the
// peers. So the first socket is bound, and listens, without that option: the kernel then refuses it
// if anybody else is there. Only afterwards it lets the others of the pool in; a second node asks
// in the same way, and is refused in turn.
inline bool reuses_port(const EndpointConfig& config) {
  return config.sockets > 1 || (config.pool && config.pool->several);
}
inline int let_pool_in(int fd) {
  const int on = 1;
  return set_option(fd, SOL_SOCKET, SO_REUSEPORT, on);
}

}  // namespace siglane::transport
