#pragma once
#include <deque>
#include <functional>
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
        transports(*loop, buffers, counters, std::move(options)),
        next_slice(loop->timer([this] { take_slice(); })) {}
  // node_walk.cpp. `slice` soon, in its turn. On this shard's thread.
  void queue_slice(std::function<void()> slice);
  void take_slice();

  std::unique_ptr<transport::Loop> loop;
  BufferPool buffers;
  Counters counters;
  transport::TransportSet transports;
  std::unique_ptr<Shard> shard;
  std::unique_ptr<transport::ShardLoop> driver;
  std::deque<std::function<void()>> slices;  // of walks, which take turns
  transport::Timer next_slice;
};

// What config says of peers, as a revision of that number.
std::shared_ptr<const Revision> revision_of(const NodeConfig& config, std::uint64_t number);
std::uint64_t random_seed();

}  // namespace siglane::runtime
