// A node of several shards, each a thread: peers over TCP on all of them, moved in mid-traffic.
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/runtime/admin/service.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "core/random.h"
#include "tests/component/echo_module.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

using siglane::testing::EchoModule;

constexpr std::size_t kShards = 3, kPeers = 12;

NodeConfig config_of(std::string name, bool listens, std::uint16_t port) {
  NodeConfig config;
  config.name = std::move(name);
  config.log.level = LogLevel::off;
  NodeEndpoint endpoint;
  endpoint.module = "echo";
  endpoint.endpoint.name = "main";
  endpoint.endpoint.transport = TransportKind::tcp;
  endpoint.endpoint.addresses = {"127.0.0.1"};
  endpoint.endpoint.port = port;
  endpoint.endpoint.listening = listens;
  config.endpoints = {endpoint};
  config.admission.accept_unknown_peers = listens;
  return config;
}

std::unique_ptr<Node> built(NodeConfig config, std::uint64_t pings_max) {
  NodeBuilder builder(config);
  builder.embed();
  builder.add_module(std::make_unique<EchoModule>(config.name, pings_max));
  auto node = std::move(builder).build();
  EXPECT_TRUE(node) << (node ? "" : node.error().what);
  return node ? std::move(*node) : nullptr;
}

std::uint16_t port_of(const Node& node) {
  for (const KeptFact& kept : node.facts().after(0, 100)) {
    if (kept.fact.kind.name != "endpoint_opened") continue;
    for (const FactField& field : kept.fact.fields) {
      if (field.key == "port") return static_cast<std::uint16_t>(std::stoi(field.value));
    }
  }
  return 0;
}

class Shards : public ::testing::Test {
 protected:
  void start(std::uint64_t pings_max) {
    NodeConfig config = config_of("server", true, 0);
    config.runtime.shards = kShards;
    server_ = built(std::move(config), 0);
    ASSERT_TRUE(server_);
    server_->turn(false);
    const std::uint16_t port = port_of(*server_);
    ASSERT_NE(port, 0);
    for (std::size_t i = 0; i < kPeers; ++i) {
      NodeConfig client = config_of("client" + std::to_string(i), false, 0);
      client.peers = {
          {{.name = "server", .addresses = {"127.0.0.1"}, .port = port}, "echo", "main"}};
      clients_.push_back(built(std::move(client), pings_max));
      ASSERT_TRUE(clients_.back());
    }
  }

  bool turn_until(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + 180s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      server_->turn(false);
      for (auto& client : clients_) client->turn(false);
    }
    return true;
  }

  admin::Response ask(void (*what)(admin::Request&)) {
    admin::Request request;
    what(request);
    admin::Response response;
    bool answered = false;
    answer_admin(*server_, request, [&](admin::Response answer) {
      response = std::move(answer);
      answered = true;
    });
    EXPECT_TRUE(turn_until([&] { return answered; }));
    return response;
  }
  std::vector<admin::Association> associations() {
    const admin::Response answer =
        ask([](admin::Request& request) { request.mutable_associations(); });
    const auto& rows = answer.associations().association();
    return {rows.begin(), rows.end()};
  }
  std::uint64_t received(std::size_t client) const {
    return clients_[client]->count(siglane::counter::messages_received);
  }
  bool all_received(std::uint64_t count) const {
    for (std::size_t i = 0; i < kPeers; ++i) {
      if (received(i) < count) return false;
    }
    return true;
  }

  std::unique_ptr<Node> server_;
  std::vector<std::unique_ptr<Node>> clients_;
};

TEST_F(Shards, ServePeersTogetherAndStopTogether) {
  start(UINT64_MAX);
  ASSERT_TRUE(turn_until([&] { return all_received(50); }));

  std::set<std::uint32_t> shards;
  const auto rows = associations();
  for (const auto& row : rows) {
    EXPECT_EQ(row.state(), "open");
    shards.insert(row.shard());
  }
  EXPECT_EQ(rows.size(), kPeers);
  EXPECT_GT(shards.size(), 1u) << "all twelve were accepted by one shard";

  const admin::Response peers = ask([](admin::Request& request) { request.mutable_peers(); });
  EXPECT_EQ(peers.peers().peer_size(), kPeers);

  server_->stop();
  std::optional<NodeExit> exit;
  ASSERT_TRUE(turn_until([&] { return (exit = server_->turn(false)).has_value(); }));
  EXPECT_EQ(exit, NodeExit::graceful);
  EXPECT_EQ(server_->count(siglane::counter::associations_closed), kPeers);
}

// Each client asks for its next answer when it has one, so that a single lost or doubled message
// would stop it or be one too many.
TEST_F(Shards, MoveAssociationsToAndFroInMidTrafficWithoutLosingOne) {
  constexpr std::uint64_t kPings = 3000;
  start(kPings);
  ASSERT_TRUE(turn_until([&] { return all_received(10); }));
  std::vector<AssociationId> ids;
  for (const auto& row : associations()) {
    ids.push_back(static_cast<AssociationId>(row.id()));
  }
  Random random(1);
  ASSERT_TRUE(turn_until([&] {
    server_->move(ids[random.below(ids.size())], static_cast<ShardId>(random.below(kShards)));
    return all_received(kPings + 1);  // "welcome" and as many pongs
  }));
  for (std::size_t i = 0; i < kPeers; ++i) EXPECT_EQ(received(i), kPings + 1);
  EXPECT_EQ(server_->count(siglane::counter::messages_received), kPeers * (kPings + 1));
  EXPECT_EQ(server_->count(siglane::counter::associations_closed), 0u);
  EXPECT_GT(server_->count(siglane::counter::moves), 50u);
}

// Also of one that moves while they are counted.
TEST_F(Shards, HaveOneRowForEachPeerWhereverItIs) {
  start(UINT64_MAX);
  ASSERT_TRUE(turn_until([&] { return all_received(10); }));
  std::vector<AssociationId> ids;
  for (const auto& row : associations()) ids.push_back(static_cast<AssociationId>(row.id()));
  Random random(1);
  const auto enough = [&] { return server_->count(siglane::counter::moves) > 20; };
  for (int round = 0; round < 1000 && !enough(); ++round) {
    for (const AssociationId id : ids) {
      server_->move(id, static_cast<ShardId>(random.below(kShards)));
    }
    std::set<std::uint64_t> seen;
    for (const auto& row : associations()) {
      EXPECT_TRUE(seen.insert(row.id()).second) << "twice";
    }
    const admin::Response peers = ask([](admin::Request& request) { request.mutable_peers(); });
    for (const admin::Peer& peer : peers.peers().peer()) {
      EXPECT_EQ(peer.connection_size(), 1) << peer.name();
    }
    const admin::Response stats =
        ask([](admin::Request& request) { request.mutable_stats()->set_by_peer(true); });
    std::set<std::pair<std::string, std::string>> counters;
    for (const admin::Counter& row : stats.stats().counter()) {
      EXPECT_TRUE(counters.emplace(row.peer(), row.name()).second) << row.peer() << row.name();
    }
  }
  EXPECT_TRUE(enough());
}

TEST_F(Shards, TellWhoAsksForAMoveWhyItIsRefused) {
  start(UINT64_MAX);
  ASSERT_TRUE(turn_until([&] { return all_received(10); }));
  std::atomic<MoveRefusal> heard = MoveRefusal::lost;
  const auto hear = [&](tl::expected<void, MoveRefusal> outcome) {
    if (!outcome) heard = outcome.error();
  };
  server_->move(next_association_id(), ShardId{0}, hear);
  EXPECT_EQ(heard, MoveRefusal::gone);
  const auto id = static_cast<AssociationId>(associations().front().id());
  server_->move(id, static_cast<ShardId>(kShards), hear);
  EXPECT_TRUE(turn_until([&] { return heard == MoveRefusal::no_such_shard; }));
}

TEST_F(Shards, KeepPeersConnectedFromAllOfThem) {
  // The other way round: the node of several shards connects, its peers wait for it.
  NodeConfig config = config_of("caller", false, 0);
  config.runtime.shards = kShards;
  for (std::size_t i = 0; i < kPeers; ++i) {
    const std::string name = "peer" + std::to_string(i);
    clients_.push_back(built(config_of(name, true, 0), 0));
    ASSERT_TRUE(clients_.back());
    clients_.back()->turn(false);
    config.peers.push_back(
        {{.name = name, .addresses = {"127.0.0.1"}, .port = port_of(*clients_.back())},
         "echo",
         "main"});
  }
  server_ = built(std::move(config), 200);
  ASSERT_TRUE(server_);
  ASSERT_TRUE(turn_until([&] { return all_received(201); }));
  std::map<ShardId, std::size_t> opened;
  for (const KeptFact& kept : server_->facts().after(0, 1000)) {
    if (kept.fact.kind.name == "association_opened") ++opened[kept.shard];
  }
  EXPECT_THAT(opened,
              ::testing::ElementsAre(::testing::Pair(ShardId{0}, 4), ::testing::Pair(ShardId{1}, 4),
                                     ::testing::Pair(ShardId{2}, 4)));
}

TEST_F(Shards, EndWithTheNodeThoughItNeverStopped) {
  start(UINT64_MAX);
  ASSERT_TRUE(turn_until([&] { return all_received(10); }));
  server_.reset();  // must not hang, leak, or leave a thread behind
}

}  // namespace
}  // namespace siglane::runtime
