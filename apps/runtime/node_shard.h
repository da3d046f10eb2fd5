#pragma once
#include <memory>
#include <utility>

#include "apps/runtime/node.h"
#include "transport/loop/loop.h"
#include "transport/loop/shard_loop.h"
#include "transport/transport_set.h"

// What Node is made of, for its own source files.
namespace siglane::runtime {

// One thread's worth of a node. Members are destroyed from below: the driver before what it drives.
struct Node::ShardRuntime {
  ShardRuntime(std::unique_ptr<transport::Loop> own_loop, const NodeConfig& config,
               transport::TransportOptions options)
      : loop(std::move(own_loop)),
        buffers(config.runtime.cached_buffer_bytes_max),
        transports(*loop, buffers, counters, std::move(options)) {}

  std::unique_ptr<transport::Loop> loop;
  BufferPool buffers;
  Counters counters;
  transport::TransportSet transports;
  std::unique_ptr<Shard> shard;
  std::unique_ptr<transport::ShardLoop> driver;
};

// What config says of peers, as a revision of that number.
std::shared_ptr<const Revision> revision_of(const NodeConfig& config, std::uint64_t number);
std::uint64_t random_seed();

}  // namespace siglane::runtime
