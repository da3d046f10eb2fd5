// An STP and its ASPs, whole, in a simulated world: real modules and shards, virtual time. DATA
// flows between all Application Servers while associations are cut and come back; whatever the
// seed, nothing may arrive twice, and no ASP may see a flow run backwards.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "protocols/m3ua/asp_client.h"
#include "protocols/m3ua/module.h"
#include "tests/support/seeds.h"
#include "tests/support/sim_world.h"

namespace siglane::m3ua {
namespace {

using sim::SimNode;
using sim::SimWorld;

using Flow = std::tuple<std::uint32_t, std::uint32_t, unsigned>;  // OPC, DPC, SLS
constexpr unsigned kFlowsPerPair = 4;                             // SLS values in use

// What was sent and what arrived, over all ASPs.
struct Ledger {
  std::map<Flow, std::uint32_t> sent;
  std::map<std::pair<std::string, Flow>, std::uint32_t> last_at;  // by receiving ASP
  std::map<Flow, std::uint32_t> last_anywhere;
  std::set<std::pair<Flow, std::uint32_t>> arrived;
  std::uint64_t returned = 0, duplicates = 0, reordered_at_asp = 0, reordered_anywhere = 0;

  void arrive(const std::string& asp, const Flow& flow, std::uint32_t number) {
    if (!arrived.insert({flow, number}).second) ++duplicates;
    auto& at_asp = last_at[{asp, flow}];
    if (number <= at_asp) ++reordered_at_asp;
    at_asp = number;
    auto& anywhere = last_anywhere[flow];
    if (number <= anywhere) ++reordered_anywhere;
    anywhere = number;
  }
  std::uint64_t total_sent() const {
    std::uint64_t n = 0;
    for (const auto& [flow, count] : sent) n += count;
    return n;
  }
};

// The user of one ASP: sends to every other point code as long as it is told to.
class User final : public Session {
 public:
  User(std::string name, std::uint32_t own, std::vector<std::uint32_t> others, Duration interval,
       Ledger& ledger)
      : name_(std::move(name)),
        own_(own),
        others_(std::move(others)),
        interval_(interval),
        ledger_(ledger) {}

  void step(SessionInput input, Instant now, Outbox& out) override {
    if (auto* submitted = std::get_if<Submitted>(&input)) {
      take(submitted->from, static_cast<M3uaParcel&>(*submitted->parcel), now);
    } else if (std::holds_alternative<Woken>(input) && next_ && *next_ <= now) {
      send(out);
      next_ = now + interval_;
    }
  }
  std::optional<Instant> deadline() const override { return next_; }
  SessionStatus status() const override { return {name_, "user", "sending", 0, {}}; }

  bool active() const { return active_; }
  void start(Instant now) {
    sending_ = true;
    if (active_) next_ = now;
  }
  void stop() {
    sending_ = false;
    next_.reset();
  }

 private:
  void take(AssociationId from, M3uaParcel& parcel, Instant now) {
    if (parcel.kind() == ParcelKind::asp_status) {
      const auto& status = static_cast<AspStatusParcel&>(parcel);
      active_ = status.state == AspState::active;
      gateway_ = from;
      next_ = active_ && sending_ ? std::optional(now) : std::nullopt;
    } else if (parcel.kind() == ParcelKind::data) {
      const auto& data = static_cast<DataParcel&>(parcel);
      if (data.returned) {
        ++ledger_.returned;
        return;
      }
      const Flow flow{data.label.opc, data.label.dpc, data.label.sls};
      ASSERT_EQ(data.user_data().size(), 4u);
      ledger_.arrive(name_, flow, load_u32(data.user_data().data()));
    }
  }

  void send(Outbox& out) {
    for (std::uint32_t to : others_) {
      for (unsigned sls = 0; sls < kFlowsPerPair; ++sls) {
        BufferBuilder body(out.buffers(), 4);
        body.u32(++ledger_.sent[{own_, to, sls}]);
        MtpLabel label;
        label.opc = own_;
        label.dpc = to;
        label.si = 3;
        label.ni = 2;
        label.sls = static_cast<std::uint8_t>(sls);
        out.forward(gateway_, std::make_unique<DataParcel>(label, std::move(body).finish()));
      }
    }
  }

  std::string name_;
  std::uint32_t own_;
  std::vector<std::uint32_t> others_;
  Duration interval_;
  Ledger& ledger_;
  AssociationId gateway_{};
  bool active_ = false;
  bool sending_ = false;
  std::optional<Instant> next_;
};

struct AspPlan {
  std::string name, address;
  std::uint32_t identifier;
  std::uint32_t routing_context;
  std::uint32_t point_code;  // one of its own, to send from
  bool standby = false;
};

// Three Application Servers: loadshare of two ASPs, override with a standby, and a single one.
const std::vector<AspPlan> kAsps = {
    {"share-a", "10.0.1.1", 1, 101, 11, false}, {"share-b", "10.0.1.2", 2, 101, 12, false},
    {"over-a", "10.0.2.1", 3, 102, 21, false},  {"over-b", "10.0.2.2", 4, 102, 22, true},
    {"single", "10.0.3.1", 5, 103, 31, false},
};
// The point codes that the servers are reached by.
constexpr std::uint32_t kShareCode = 1001, kOverCode = 1002, kSingleCode = 1003;

EndpointConfig endpoint_at(std::string address, bool listening) {
  EndpointConfig config;
  config.name = address;
  config.addresses = {std::move(address)};
  config.port = 2905;
  config.listening = listening;
  return config;
}

class Network {
 public:
  Network(std::uint64_t seed, Duration interval) : world(seed), seed_(seed) {
    std::vector<PeerConfig> peers;
    M3uaConfig config;
    for (const AspPlan& plan : kAsps) {
      PeerConfig peer;
      peer.name = plan.name;
      peer.addresses = {plan.address};
      peers.push_back(peer);
      config.asps.push_back({plan.name, plan.identifier});
    }
    const auto server = [&](std::string name, std::uint32_t context, TrafficMode mode,
                            std::vector<std::string> asps, std::uint32_t code) {
      ApplicationServerConfig as;
      as.name = name;
      as.routing_context = context;
      as.traffic_mode = mode;
      as.asps = std::move(asps);
      config.application_servers.push_back(as);
      RouteConfig route;
      route.destination_point_code = code;
      route.application_server = name;
      config.routes.push_back(route);
    };
    server("share", 101, TrafficMode::loadshare, {"share-a", "share-b"}, kShareCode);
    server("over", 102, TrafficMode::override_mode, {"over-a", "over-b"}, kOverCode);
    server("single", 103, TrafficMode::loadshare, {"single"}, kSingleCode);
    EXPECT_TRUE(check(config));

    stp_module = std::make_unique<M3uaModule>(config);
    ShardConfig shard;
    shard.seed = seed;
    stp = std::make_unique<SimNode>(world, PeerTable(peers), shard);
    EXPECT_TRUE(stp->shard.open(endpoint_at("10.0.0.1", true), *stp_module));
    stp_module->add_application_servers(stp->shard, 1, world.now());

    for (const AspPlan& plan : kAsps) add_client(plan, interval);
  }

  bool all_active() const {
    for (const auto& client : clients) {
      if (!client->user->active() && !client->standby) return false;
    }
    return true;
  }
  void start() {
    for (auto& client : clients) {
      client->user->start(world.now());
      // The user's deadline is asked for after its next step: an empty delivery is one.
      client->node->shard.submit(AssociationId::none, client->user_id,
                                 std::make_unique<NetworkStatusParcel>(), world.now());
    }
  }
  void stop() {
    for (auto& client : clients) client->user->stop();
  }
  // Cuts one association, chosen by the seed.
  void cut_one() {
    Client& client = *clients[world.random().below(clients.size())];
    std::vector<AssociationId> ids;
    client.node->shard.visit_sessions([&](const SessionView& view) {
      if (!view.coordinator) ids.push_back(view.id);
    });
    for (AssociationId id : ids) client.node->transport.cut(id);
  }

  struct Client {
    bool standby = false;
    std::unique_ptr<AspClientModule> module;
    std::unique_ptr<SimNode> node;
    User* user = nullptr;
    AssociationId user_id{};
  };

  SimWorld world;
  Ledger ledger;
  std::unique_ptr<M3uaModule> stp_module;
  std::unique_ptr<SimNode> stp;
  std::vector<std::unique_ptr<Client>> clients;

 private:
  void add_client(const AspPlan& plan, Duration interval) {
    auto client = std::make_unique<Client>();
    client->standby = plan.standby;
    AspClientsConfig config;
    AspClientConfig asp;
    asp.name = "stp";
    asp.asp_identifier = plan.identifier;
    asp.routing_contexts = {plan.routing_context};
    asp.standby = plan.standby;
    config.asps = {asp};
    EXPECT_TRUE(check(config));
    client->module = std::make_unique<AspClientModule>(config);

    PeerConfig stp_peer;
    stp_peer.name = "stp";
    stp_peer.addresses = {"10.0.0.1"};
    stp_peer.port = 2905;
    ShardConfig shard;
    shard.seed = seed_ * 31 + plan.identifier;
    client->node = std::make_unique<SimNode>(world, PeerTable({stp_peer}), shard);
    std::vector<std::uint32_t> others;
    for (std::uint32_t code : {kShareCode, kOverCode, kSingleCode}) {
      if (code % 1000 != plan.routing_context % 100) others.push_back(code);
    }
    auto user =
        std::make_unique<User>(plan.name, plan.point_code, std::move(others), interval, ledger);
    client->user = user.get();
    client->user_id =
        client->node->shard.add_coordinator(std::move(user), *client->module, world.now());
    client->module->set_user(client->user_id);
    auto local = client->node->shard.open(endpoint_at(plan.address, false), *client->module);
    EXPECT_TRUE(local);
    client->node->shard.keep_connected(*local, stp_peer);
    clients.push_back(std::move(client));
  }

  std::uint64_t seed_;
};

TEST(M3uaSimulation, WithoutFaultsEveryMessageArrivesOnceAndInOrder) {
  for (std::uint64_t seed = 1; seed <= test::seeds(10); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Network network(seed, 3ms);
    ASSERT_TRUE(network.world.run_until([&] { return network.all_active(); }, 20s));
    network.world.run_for(1s);
    network.start();
    network.world.run_for(3s);
    network.stop();
    network.world.run_for(2s);
    EXPECT_GT(network.ledger.total_sent(), 10000u);
    EXPECT_EQ(network.ledger.arrived.size(), network.ledger.total_sent());
    EXPECT_EQ(network.ledger.duplicates, 0u);
    EXPECT_EQ(network.ledger.reordered_at_asp, 0u);
    EXPECT_EQ(network.ledger.reordered_anywhere, 0u);
    EXPECT_EQ(network.ledger.returned, 0u);
  }
}

TEST(M3uaSimulation, CutsLoseAtMostWhatWasUnderWayAndNeverDoubleOrReorder) {
  for (std::uint64_t seed = 1; seed <= test::seeds(10); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Network network(seed, 5ms);
    ASSERT_TRUE(network.world.run_until([&] { return network.all_active(); }, 20s));
    network.start();
    for (int cut = 0; cut < 12; ++cut) {
      network.world.run_for(
          Duration(std::chrono::milliseconds(network.world.random().below(1500))));
      network.cut_one();
    }
    network.world.run_for(10s);
    network.stop();
    network.world.run_for(5s);
    EXPECT_EQ(network.ledger.duplicates, 0u);
    EXPECT_EQ(network.ledger.reordered_at_asp, 0u);
    EXPECT_GT(network.ledger.arrived.size(), network.ledger.total_sent() / 2);
    // And the network is well again: everything that is sent now arrives.
    ASSERT_TRUE(network.world.run_until([&] { return network.all_active(); }, 60s));
    const auto sent = network.ledger.total_sent(), arrived = network.ledger.arrived.size();
    network.start();
    network.world.run_for(1s);
    network.stop();
    network.world.run_for(2s);
    EXPECT_EQ(network.ledger.arrived.size() - arrived, network.ledger.total_sent() - sent);
  }
}

}  // namespace
}  // namespace siglane::m3ua
