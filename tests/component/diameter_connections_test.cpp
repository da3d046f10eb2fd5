// Two instances of one peer, each with a connection of its own over TCP.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "protocols/diameter/application.h"
#include "protocols/diameter/constants.h"

namespace siglane::runtime {
namespace {

using diameter::Application;
using diameter::DiameterConfig;
using diameter::DiameterModule;
using diameter::MessageBuilder;
using diameter::MessageView;
namespace avp = diameter::avp;

// Answers every request, and sends as many Cancel-Location requests to the peer as it is to.
class Instance final : public Application {
 public:
  using Application::Application;

  void on_request(diameter::RequestPtr request, const MessageView& message, Instant,
                  Outbox& out) override {
    ++requests;
    auto answer = begin_answer(out.buffers(), message, config(), diameter::result::success);
    answer.add(avp::auth_session_state, diameter::AuthSessionState::no_state_maintained);
    reply(std::move(request), std::move(answer), out);
  }
  void on_answer(diameter::AnswerPtr answer, const MessageView& message, Instant,
                 Outbox&) override {
    if (message.result_code() == diameter::result::success) ++answers[answer->answered_by];
  }
  std::optional<Instant> deadline() const override { return next_look_; }
  void on_woken(Instant now, Outbox& out) override {
    next_look_ = now + 1ms;
    for (; to_send > 0; --to_send) {
      auto cancel = MessageBuilder::request(out.buffers(), diameter::command::cancel_location);
      cancel.add(avp::session_id, "s")
          .add(avp::auth_session_state, diameter::AuthSessionState::no_state_maintained)
          .add(avp::origin_host, config().origin_host)
          .add(avp::origin_realm, config().origin_realm)
          .add(avp::destination_host, "mme.example")
          .add(avp::destination_realm, "example")
          .add(avp::user_name, "001010000000001")
          .add(avp::cancellation_type, diameter::CancellationType::subscription_withdrawal);
      send(std::move(cancel), 0, Duration::zero(), out);
    }
  }

  int to_send = 0;
  int requests = 0;
  std::map<AssociationId, int> answers;  // by the connection they came on

 private:
  Instant next_look_{};
};

// A node with its application.
struct Running {
  std::unique_ptr<Node> node;
  Instance* application = nullptr;
  DiameterModule* module = nullptr;

  std::size_t open() const { return module->routes()->peers.size(); }
};

// `port` 0: it listens, where the system chooses; else it connects to there.
Running run(const std::string& name, const std::string& peer, std::size_t connections_max,
            std::uint16_t port = 0) {
  DiameterConfig diameter;
  diameter.origin_host = name + ".example";
  diameter.origin_realm = "example";
  diameter.applications = {{diameter::application::s6a, diameter::vendor::tgpp, false}};
  diameter.peers = {{peer, peer + ".example", "example", {}, connections_max}};

  NodeConfig config;
  config.name = name;
  config.runtime.reconnect = {.first = 50ms, .longest = 200ms};
  NodeEndpoint& endpoint = config.endpoints.emplace_back();
  endpoint.module = "diameter";
  endpoint.endpoint.name = "e";
  endpoint.endpoint.transport = TransportKind::tcp;
  endpoint.endpoint.addresses = {"127.0.0.1"};
  endpoint.endpoint.listening = port == 0;
  NodePeer& known = config.peers.emplace_back();
  known.module = "diameter";
  known.peer.name = peer;
  known.peer.addresses = {"127.0.0.1"};
  known.peer.port = port;
  known.peer.connections_max = connections_max;
  if (port != 0) known.connect_from = "e";

  Running running;
  NodeBuilder builder(std::move(config));
  builder.embed();
  DiameterModule& module = builder.add_module(std::make_unique<DiameterModule>(diameter));
  running.module = &module;
  builder.on_shard([&](const ShardSetUp& at) -> Result<void> {
    auto application = std::make_unique<Instance>(module, at.seed);
    running.application = application.get();
    const AssociationId id = at.shard.add_coordinator(std::move(application), module, at.now);
    module.add_application(at.shard.id(), diameter::application::s6a, id);
    return {};
  });
  auto node = std::move(builder).build();
  EXPECT_TRUE(node) << node.error().what;
  if (node) running.node = std::move(*node);
  return running;
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

bool turn_until(const std::vector<Node*>& nodes, const std::function<bool()>& condition) {
  const auto give_up = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    for (Node* node : nodes) node->turn(false);
  }
  return true;
}

// All say goodbye.
bool stop(std::vector<Node*> nodes) {
  bool graceful = true;
  for (Node* node : nodes) node->stop();
  const auto ended = [&](Node* node) {
    const auto how = node->turn(false);
    graceful = graceful && how.value_or(NodeExit::graceful) == NodeExit::graceful;
    return how.has_value();
  };
  while (!nodes.empty()) std::erase_if(nodes, ended);
  return graceful;
}

TEST(DiameterConnections, TwoInstancesOfAPeerShareItsLoadAndAThirdTakesThePlaceOfOneThatStops) {
  Running hss = run("hss", "mme", 2);
  ASSERT_TRUE(hss.node);
  ASSERT_TRUE(turn_until({hss.node.get()}, [&] { return port_of(*hss.node) != 0; }));
  const std::uint16_t port = port_of(*hss.node);
  Running first = run("mme", "hss", 1, port), second = run("mme", "hss", 1, port);
  ASSERT_TRUE(first.node && second.node);
  const std::vector<Node*> all{hss.node.get(), first.node.get(), second.node.get()};
  ASSERT_TRUE(
      turn_until(all, [&] { return hss.open() == 2 && first.open() == 1 && second.open() == 1; }));

  hss.application->to_send = 100;
  const auto answered = [&] {
    int sum = 0;
    for (const auto& [connection, count] : hss.application->answers) sum += count;
    return sum;
  };
  ASSERT_TRUE(turn_until(all, [&] { return answered() == 100; }));
  EXPECT_EQ(first.application->requests, 50);
  EXPECT_EQ(second.application->requests, 50);
  EXPECT_EQ(hss.application->answers.size(), 2u);

  // A third one finds no place, and waits.
  Running third = run("mme", "hss", 1, port);
  ASSERT_TRUE(third.node);
  const std::vector<Node*> four{hss.node.get(), first.node.get(), second.node.get(),
                                third.node.get()};
  const auto refused = [&] {
    return hss.node->count(siglane::counter::associations_refused_identity) > 0;
  };
  ASSERT_TRUE(turn_until(four, refused));
  EXPECT_EQ(hss.open(), 2u);

  first.node->stop();
  std::optional<NodeExit> exit;
  ASSERT_TRUE(turn_until({hss.node.get(), second.node.get(), third.node.get()}, [&] {
    if (!exit) exit = first.node->turn(false);
    return exit && hss.open() == 2 && third.open() == 1;
  })) << "the third one takes its place";
  hss.application->to_send = 10;
  ASSERT_TRUE(turn_until({hss.node.get(), second.node.get(), third.node.get()},
                         [&] { return answered() == 110; }));
  EXPECT_EQ(second.application->requests + third.application->requests, 60);
  EXPECT_EQ(third.application->requests, 5);

  EXPECT_TRUE(stop({hss.node.get(), second.node.get(), third.node.get()}));
}

TEST(DiameterConnections, ANodeConnectsAsOftenAsThePeerMayBeConnected) {
  Running hss = run("hss", "mme", 3);
  ASSERT_TRUE(hss.node);
  ASSERT_TRUE(turn_until({hss.node.get()}, [&] { return port_of(*hss.node) != 0; }));
  Running mme = run("mme", "hss", 3, port_of(*hss.node));
  ASSERT_TRUE(mme.node);
  const std::vector<Node*> both{hss.node.get(), mme.node.get()};
  ASSERT_TRUE(turn_until(both, [&] { return hss.open() == 3 && mme.open() == 3; }));
  hss.application->to_send = 9;
  ASSERT_TRUE(turn_until(both, [&] { return mme.application->requests == 9; }));
  EXPECT_TRUE(stop(both));
}

}  // namespace
}  // namespace siglane::runtime
