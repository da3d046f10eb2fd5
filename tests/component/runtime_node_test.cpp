// Two nodes from JSON over TCP loopback, each on a thread of its own.
#include <filesystem>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "tests/component/echo_module.h"

namespace siglane::runtime {
namespace {

using siglane::testing::EchoModule;
using ::testing::HasSubstr;

NodeConfig config_of(std::string_view text) {
  auto document = JsonDocument::parse("test.json", text);
  if (!document) {
    ADD_FAILURE() << document.error().what;
    return {};
  }
  ConfigReader reader(*document);
  NodeConfig node = read_node_config(reader.root(), {"echo"});
  for (const ObjectReader& peer : reader.root().objects("peers")) {
    read_peer(peer, "echo", 7, node);
  }
  auto good = reader.finish();
  EXPECT_TRUE(good) << good.error().what;
  return node;
}

Result<std::unique_ptr<Node>> build(std::string_view json) {
  NodeConfig config = config_of(json);
  NodeBuilder builder(config);
  builder.embed();
  builder.add_module(std::make_unique<EchoModule>(config.name));
  return std::move(builder).build();
}

// The listening port that the system chose.
std::string port_of(const Node& node) {
  for (const KeptFact& fact : node.facts().after(0, 100)) {
    if (fact.text.kind != "endpoint_opened") continue;
    for (const FactField& field : fact.text.fields) {
      if (field.key == "port") return field.value;
    }
  }
  return "0";
}

// Lets nodes take turns on this thread until `condition` holds, for a bounded time.
bool turn_until(const std::vector<Node*>& nodes, const std::function<bool()>& condition) {
  const auto give_up = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    for (Node* node : nodes) node->turn(false);
  }
  return true;
}

constexpr std::string_view kServer = R"({
  "node": {"name": "server"},
  "endpoints": [{"name": "main", "module": "echo", "transport": "tcp",
                 "addresses": ["127.0.0.1"], "port": 0, "listen": true}],
  "peers": [{"name": "client", "remote_addresses": ["127.0.0.1"]}]
})";

std::string client_of(const std::string& port) {
  return R"({
    "node": {"name": "client"},
    "endpoints": [{"name": "out", "module": "echo", "transport": "tcp",
                   "addresses": ["127.0.0.1"]}],
    "peers": [{"name": "server", "remote_addresses": ["127.0.0.1"], "port": )" +
         port + R"(, "connect": {"endpoint": "out"}}]
  })";
}

TEST(RuntimeNode, TwoNodesComeUpExchangeAndStopGracefully) {
  auto server = build(kServer);
  ASSERT_TRUE(server) << server.error().what;
  ASSERT_TRUE(turn_until({server->get()}, [&] { return port_of(**server) != "0"; }));
  auto client = build(client_of(port_of(**server)));
  ASSERT_TRUE(client) << client.error().what;
  const std::vector<Node*> both{server->get(), client->get()};

  EXPECT_TRUE(turn_until(both, [&] {
    return (*client)->count(Counter::messages_received) > 100 &&
           (*server)->count(Counter::messages_received) > 100;
  }));

  (*client)->stop();
  std::optional<NodeExit> client_exit, server_exit;
  EXPECT_TRUE(turn_until({server->get()}, [&] {
    client_exit = (*client)->turn(false);
    return client_exit.has_value();
  }));
  EXPECT_EQ(client_exit, NodeExit::graceful);
  EXPECT_TRUE(turn_until({server->get()},
                         [&] { return (*server)->count(Counter::associations_closed) == 1; }));
  (*server)->stop();
  EXPECT_EQ((*server)->run(), NodeExit::graceful);
}

TEST(RuntimeNode, StopsFromAnotherThreadEvenBeforeItRuns) {
  auto node = build(kServer);
  ASSERT_TRUE(node) << node.error().what;
  auto exit = std::async(std::launch::async, [&] { return (*node)->run(); });
  (*node)->stop();
  (*node)->stop();
  EXPECT_EQ(exit.get(), NodeExit::graceful);

  auto other = build(kServer);
  ASSERT_TRUE(other) << other.error().what;
  (*other)->stop();
  EXPECT_EQ((*other)->run(), NodeExit::graceful);
}

}  // namespace
}  // namespace siglane::runtime
