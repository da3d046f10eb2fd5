// What it costs a shard to learn where a request goes and on which shard that peer lives, on one
// thread and on four at a time: as the node does it (Snapshot::Reader, Homes), and with a lock for
// each of the two (an atomic shared_ptr, which libstdc++ 12 makes of pooled mutexes, and the
// Directory's shared_mutex).

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/buffer.h"
#include "core/directory.h"
#include "core/homes.h"
#include "core/snapshot.h"
#include "protocols/diameter/constants.h"
#include "protocols/diameter/message.h"
#include "protocols/diameter/routing.h"

namespace siglane::diameter {
namespace {

constexpr std::size_t kShards = 4, kPeers = 8;

std::string host(std::size_t peer) {
  return "peer" + std::to_string(peer) + ".example.net";
}

RouteTable table_of_peers() {
  RouteTable table;
  for (std::size_t i = 0; i < kPeers; ++i) {
    OpenPeer peer;
    peer.id = AssociationId{i + 1};
    peer.shard = static_cast<ShardId>(i % kShards);
    peer.name = host(i);
    peer.origin_host = host(i);
    peer.realm = "example.net";
    peer.applications = {application::s6a};
    table.peers.push_back(std::move(peer));
  }
  return table;
}

// One node for every run: benchmarks are run one after another.
struct Node {
  Node() {
    for (std::size_t i = 0; i < kShards; ++i) {
      directory.add_shard(static_cast<ShardId>(i), mailboxes[i]);
    }
    for (std::size_t i = 0; i < kPeers; ++i) {
      directory.settle(AssociationId{i + 1}, static_cast<ShardId>(i % kShards));
    }
  }

  Mailbox mailboxes[kShards];
  Directory directory;
  Snapshot<RouteTable> routes{table_of_peers()};
  std::shared_ptr<const RouteTable> locked = routes.load();
};

Node& node() {
  static Node one;
  return one;
}

Buffer request_to(std::size_t peer, BufferPool& pool) {
  Header header;
  header.command = command::authentication_information.code;
  header.application = application::s6a;
  MessageBuilder request(pool, header);
  request.add(avp::destination_host, host(peer));
  request.add(avp::destination_realm, "example.net");
  return std::move(request).finish();
}

template <class Routes, class Home>
void route(benchmark::State& state, Routes&& routes, Home&& home) {
  BufferPool pool;
  RequestParcel request;
  request.message = request_to(static_cast<std::size_t>(state.thread_index()) + 1, pool);
  const RouteQuery query = RouteQuery::of(request.view(), request);
  for (auto _ : state) {
    const auto& table = routes();
    const OpenPeer* peer = choose_peer(*table, query);
    benchmark::DoNotOptimize(home(peer->id));
  }
}

void without_locks(benchmark::State& state) {
  Snapshot<RouteTable>::Reader reader;
  Homes homes(node().directory);
  route(
      state, [&] { return &reader.get(node().routes); },
      [&](AssociationId id) { return homes.of(id); });
}

void with_locks(benchmark::State& state) {
  route(
      state, [] { return std::atomic_load(&node().locked); },
      [](AssociationId id) { return node().directory.home_of(id); });
}

BENCHMARK(without_locks)->Threads(1)->Threads(4)->UseRealTime();
BENCHMARK(with_locks)->Threads(1)->Threads(4)->UseRealTime();

}  // namespace
}  // namespace siglane::diameter

BENCHMARK_MAIN();
