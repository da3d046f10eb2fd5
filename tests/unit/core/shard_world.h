#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/shard.h"
#include "tests/support/sim_world.h"

// What tests of Shard stand on: a server at 10.0.0.1 in a simulated world, nodes that connect to
// it, a second shard that the test drives, and a session and a module to be given a test's words.
namespace siglane {

struct PlainSession : Session {
  void step(SessionInput, Instant, Outbox&) override {}
  std::optional<Instant> deadline() const override { return std::nullopt; }
  SessionStatus status() const override { return {}; }
};

struct PlainModule : ProtocolModule {
  std::string_view name() const override { return "plain"; }
  std::span<const PayloadProtocol> payload_protocols() const override { return {}; }
  Result<std::optional<std::size_t>> frame_length(Bytes head) const override {
    return std::optional(head.size());
  }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }
  std::unique_ptr<Session> open_session(AssociationId id, const AssociationUp& up, const PeerTable&,
                                        std::uint64_t) const override {
    opened.push_back(id);
    return session_of(id, up);
  }
  virtual std::unique_ptr<Session> session_of(AssociationId, const AssociationUp&) const {
    return std::make_unique<PlainSession>();
  }
  void route(ShardId, AssociationId, ParcelPtr, Instant, Outbox&) const override {}
  void undelivered(ShardId, AssociationId, ParcelPtr, Why, Instant, Outbox&) const override {}
  void publish(ShardId, AssociationId, ParcelPtr) override {}

  std::string own_name;  // what its sessions say of themselves, where they say anything
  mutable std::vector<AssociationId> opened;
};

inline Message message(std::string_view text) {
  return {.payload = Buffer::copy_of(as_bytes(text))};
}
inline std::string text_of(const Message& message) {
  return std::string(as_text(message.payload.bytes()));
}

inline EndpointConfig endpoint(std::string address, bool listening) {
  EndpointConfig config;
  config.name = "main";
  config.addresses = {std::move(address)};
  config.port = 7000;
  config.listening = listening;
  return config;
}
// Without an address it may come from anywhere.
inline PeerConfig peer(std::string name, std::string address = {}) {
  PeerConfig config;
  config.name = std::move(name);
  if (!address.empty()) config.addresses = {std::move(address)};
  config.port = 7000;
  return config;
}

// What an association of a shard reports, without a wire.
inline void comes_up(Shard& shard, AssociationId id, EndpointId local, std::string address,
                     Instant now) {
  AssociationUp up;
  up.local = local;
  up.remote_addresses = {std::move(address)};
  shard.on_event(id, std::move(up), now);
}
inline void reads(Shard& shard, AssociationId id, std::string_view text, Instant now) {
  shard.on_event(id, AssociationReceived{message(text)}, now);
}
inline void is_lost(Shard& shard, AssociationId id, Instant now) {
  shard.on_event(id, AssociationDown{DownCause::lost, {}}, now);
}

// A node that can be connected to, and connects to the server itself unless it waits.
template <class Module>
struct Remote {
  Remote(sim::SimWorld& world, std::string name, const std::string& address, bool connects = true)
      : node(world, PeerTable({peer("server", "10.0.0.1")})) {
    module.own_name = std::move(name);
    local = node.shard.open(endpoint(address, true), module).value();
    if (connects) node.shard.keep_connected(local, peer("server", "10.0.0.1"));
  }
  Module module;
  sim::SimNode node;
  EndpointId local{};
};

// The other shard of a node. Nothing runs it but the test.
struct SecondShard {
  SecondShard(sim::SimWorld& in, sim::SimNode& first, ShardConfig config, Counters& counters)
      : world(in),
        node(first),
        transport(world),
        shard(with_id(config), transport, node.peers, node.directory, node.facts, nullptr,
              node.buffers, counters) {
    transport.set_sink(shard);
  }
  explicit SecondShard(sim::SimWorld& in, sim::SimNode& first, ShardConfig config = {})
      : SecondShard(in, first, config, first.counters) {}

  // So many turns of both, without what the transports have for them.
  void turns(int count = 100) {
    for (int i = 0; i < count; ++i) {
      node.shard.run_mailbox(world.now());
      shard.run_mailbox(world.now());
    }
  }

  sim::SimWorld& world;
  sim::SimNode& node;
  sim::SimTransport transport;
  Shard shard;

 private:
  static ShardConfig with_id(ShardConfig config) {
    config.id = ShardId{1};
    return config;
  }
};

template <class Module>
class ShardFixture : public testing::Test {
 protected:
  explicit ShardFixture(std::vector<PeerConfig> peers, AdmissionConfig admission = {})
      : server(world, PeerTable(std::move(peers), admission)) {
    local = server.shard.open(endpoint("10.0.0.1", true), module).value();
  }
  std::uint64_t count(Counter counter) const { return server.counters.get(counter); }
  bool is_in(const std::string& name) const {
    return server.directory.association_of(&module, name).has_value();
  }

  sim::SimWorld world{1};
  Module module;
  sim::SimNode server;
  EndpointId local{};
};

}  // namespace siglane
