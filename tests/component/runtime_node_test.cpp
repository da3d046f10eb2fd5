// Two nodes from JSON over TCP loopback, each on a thread of its own.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/ctl/admin_client.h"
#include "apps/ctl/views.h"
#include "apps/runtime/admin/service.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "tests/component/echo_module.h"
#include "transport/loop/loop.h"

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
  for (const KeptFact& kept : node.facts().after(0, 100)) {
    if (kept.fact.kind.name != "endpoint_opened") continue;
    for (const FactField& field : kept.fact.fields) {
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
    return (*client)->count(siglane::counter::messages_received) > 100 &&
           (*server)->count(siglane::counter::messages_received) > 100;
  }));

  (*client)->stop();
  std::optional<NodeExit> client_exit;
  EXPECT_TRUE(turn_until({server->get()}, [&] {
    client_exit = (*client)->turn(false);
    return client_exit.has_value();
  }));
  EXPECT_EQ(client_exit, NodeExit::graceful);
  EXPECT_TRUE(turn_until({server->get()}, [&] {
    return (*server)->count(siglane::counter::associations_closed) == 1;
  }));
  (*server)->stop();
  EXPECT_EQ((*server)->run(), NodeExit::graceful);
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() { path = mkdtemp(name_); }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  std::string path;

 private:
  char name_[32] = "/tmp/siglane-node-XXXXXX";
};

TEST(RuntimeNode, ShowsItselfInTheAdminApi) {
  TemporaryDirectory directory;
  const std::string socket = directory.path + "/server.sock";
  NodeConfig config = config_of(kServer);
  config.admin.socket = socket;
  NodeBuilder builder(config);
  builder.embed();
  builder.add_module(std::make_unique<EchoModule>("server"));
  auto server = std::move(builder).build();
  ASSERT_TRUE(server) << server.error().what;
  ASSERT_TRUE(turn_until({server->get()}, [&] { return port_of(**server) != "0"; }));
  auto client = build(client_of(port_of(**server)));
  ASSERT_TRUE(client) << client.error().what;
  const std::vector<Node*> both{server->get(), client->get()};
  ASSERT_TRUE(turn_until(
      both, [&] { return (*client)->count(siglane::counter::messages_received) > 1000; }));

  ctl::AdminClient ctl({.socket = socket});
  auto try_to_ask = [&](const admin::Request& request) {
    auto answer = std::async(std::launch::async, [&ctl, request] { return ctl.ask(request, 30s); });
    EXPECT_TRUE(turn_until(both, [&] {
      return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    }));
    return answer.get();
  };
  auto ask = [&](const admin::Request& request) {
    auto response = try_to_ask(request);
    EXPECT_TRUE(response) << response.error().what;
    return response ? *response : admin::Response();
  };

  admin::Request request;
  request.mutable_associations();
  admin::Response response = ask(request);
  EXPECT_EQ(response.node(), "server");
  ASSERT_EQ(response.associations().association_size(), 1);
  const admin::Association row = response.associations().association(0);
  EXPECT_EQ(row.peer(), "client");
  EXPECT_EQ(row.state(), "open");
  EXPECT_EQ(row.protocol(), "echo");
  EXPECT_EQ(row.endpoint(), "main");
  EXPECT_EQ(row.transport(), "tcp");
  EXPECT_EQ(row.placement(), admin::DEDICATED);
  EXPECT_GT(row.messages_in(), 500u);
  EXPECT_GT(row.bytes_out(), row.messages_out());
  EXPECT_GT(row.residence_count(), 500u);
  EXPECT_GT(row.residence_p99_ns(), 0u);
  EXPECT_THAT(ctl::associations_view({response}), HasSubstr("client  open   own "));

  request.mutable_peers();
  response = ask(request);
  ASSERT_EQ(response.peers().peer_size(), 1);
  EXPECT_EQ(response.peers().peer(0).name(), "client");
  EXPECT_EQ(response.peers().peer(0).association(), row.id());
  EXPECT_TRUE(response.peers().peer(0).configured());

  request.mutable_stats();
  response = ask(request);
  EXPECT_EQ(response.stats().counter_size(), static_cast<int>(counter_catalogue().size()));
  const auto& counters = response.stats().counter();
  EXPECT_TRUE(std::is_sorted(counters.begin(), counters.end(),
                             [](const auto& a, const auto& b) { return a.name() < b.name(); }));
  EXPECT_THAT(ctl::stats_view({response}, false, {}), HasSubstr("messages.received"));

  request.mutable_stats()->set_peer("client");
  response = ask(request);
  EXPECT_THAT(ctl::stats_view({response}, false, {}), HasSubstr("client  messages.received"));
  request.mutable_stats()->set_peer("clinet");
  const auto refused = try_to_ask(request);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what, HasSubstr("no peer is called \"clinet\""));
  request.mutable_stats()->clear_peer();
  request.mutable_stats()->set_by_peer(true);
  response = ask(request);
  ASSERT_GT(response.stats().counter_size(), 0);
  EXPECT_EQ(response.stats().counter(0).peer(), "client");

  request.mutable_facts();
  response = ask(request);
  EXPECT_THAT(ctl::facts_view({response}), HasSubstr("peer_opened association="));

  request.mutable_node();
  response = ask(request);
  EXPECT_EQ(response.node_status().associations(), 1u);
  EXPECT_EQ(response.node_status().endpoint(0).name(), "main");

  request.mutable_associations()->set_id(row.id());
  EXPECT_EQ(ask(request).associations().association_size(), 1);
  request.mutable_associations()->set_id(row.id() + 1);
  EXPECT_THAT(try_to_ask(request).error().what, HasSubstr("there is no association"));
  request.mutable_peers()->set_name("clinet");
  EXPECT_THAT(try_to_ask(request).error().what, HasSubstr("no peer is called \"clinet\""));

  answer_admin(**server, admin::Request(),
               [&](admin::Response answer) { response = std::move(answer); });
  EXPECT_EQ(response.error().code(), admin::Error::UNIMPLEMENTED);
}

// What is posted while it goes on has its turn before the end, which here would never come without
// it. As long as one turn of the loop took all, nothing else got one.
TEST(RuntimeNode, AWalkThroughItsShardsLeavesTheLoopToOthersInBetween) {
  auto node = build(kServer);
  ASSERT_TRUE(node) << node.error().what;
  bool served = false, over = false;
  std::size_t steps = 0;
  (*node)->walk(
      [&](const Shard&, const Transport&) {
        (*node)->call([&] { served = true; });
        return [&] {
          ++steps;
          return !served;
        };
      },
      [&] { over = true; });
  EXPECT_TRUE(turn_until({node->get()}, [&] { return over; }));
  EXPECT_TRUE(served);
  EXPECT_GT(steps, 1u);
}

admin::Response answer_of(Node& node, const admin::Request& request) {
  std::optional<admin::Response> response;
  answer_admin(node, request, [&](admin::Response answer) { response = std::move(answer); });
  EXPECT_TRUE(turn_until({&node}, [&] { return response.has_value(); }));
  return response.value_or(admin::Response());
}

TEST(RuntimeNode, SaysOfAPeerThatIsDownWhyAndWhatComesNext) {
  auto gone = build(kServer);
  ASSERT_TRUE(gone) << gone.error().what;
  ASSERT_TRUE(turn_until({gone->get()}, [&] { return port_of(**gone) != "0"; }));
  const std::string port = port_of(**gone);
  gone->reset();  // nobody listens there any more
  auto client = build(client_of(port));
  ASSERT_TRUE(client) << client.error().what;
  ASSERT_TRUE(turn_until({client->get()},
                         [&] { return (*client)->count(siglane::counter::connects_failed) > 0; }));
  admin::Request request;
  request.mutable_peers();
  const admin::Response waiting = answer_of(**client, request);
  ASSERT_EQ(waiting.peers().peer_size(), 1);
  const admin::Peer& peer = waiting.peers().peer(0);
  EXPECT_EQ(peer.state(), "down");
  EXPECT_EQ(peer.state_since_unix_ms(), (*client)->started_unix_ms());
  EXPECT_THAT(peer.last_cause(), HasSubstr("connect failed: "));
  EXPECT_EQ(peer.last_closed_why(), "");
  ASSERT_EQ(peer.link_size(), 1);
  EXPECT_EQ(peer.link(0).endpoint(), "out");
  EXPECT_EQ(peer.connection_size(), 0);

  (*client)->order("server", PeerOrder::disconnect);
  (*client)->order("server", PeerOrder::block);
  EXPECT_TRUE(turn_until({client->get()}, [&] {
    const admin::Response answer = answer_of(**client, request);
    const admin::Peer& ordered = answer.peers().peer(0);
    return ordered.disconnected() && ordered.blocked() && ordered.link(0).state() == "disabled";
  }));
  EXPECT_THAT(ctl::peers_view({answer_of(**client, request)}),
              HasSubstr("disconnected by the operator; blocked by the operator; "));
}

TEST(RuntimeNode, SaysWhichQuestionsItsProtocolsDoNotAnswer) {
  auto node = build(kServer);
  ASSERT_TRUE(node) << node.error().what;
  admin::Request request;
  request.mutable_application_servers();
  EXPECT_EQ(answer_of(**node, request).error().code(), admin::Error::NOT_FOUND);
  request.mutable_routes();
  EXPECT_EQ(answer_of(**node, request).error().code(), admin::Error::NOT_FOUND);
}

TEST(RuntimeNode, SaysWhyItCannotStart) {
  auto without_module = [] {
    NodeBuilder builder(config_of(kServer));
    builder.embed();
    return std::move(builder).build();
  }();
  ASSERT_FALSE(without_module);
  EXPECT_THAT(without_module.error().what, HasSubstr("endpoint \"main\""));
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
