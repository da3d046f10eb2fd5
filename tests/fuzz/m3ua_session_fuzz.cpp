// A gateway with two ASPs and an ASP client on one shard. The input is what the three peers send,
// in records of (what, stream, length, bytes); now and then time passes, an association is lost or
// clogged. Whatever comes, what leaves is a valid message, no ERR is answered by an ERR, what is
// said of destinations is of one network and fits it, and what is held stays within its limits.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>

#include "core/shard.h"
#include "protocols/m3ua/asp_client.h"
#include "protocols/m3ua/module.h"

using namespace siglane;
using namespace siglane::m3ua;

namespace {

constexpr std::size_t kHeldMax = 20;

void require(bool good) {
  if (!good) std::abort();
}

// The networks of the three ASs, with the routing contexts 101 to 103.
constexpr Network kNetworks[] = {1, 2, std::nullopt};
constexpr unsigned kBitsOfNetwork1 = 14;

// The contexts in an SSNM are those of ASs in its network; one without a network is in whichever
// the ASP named.
void check_ssnm(const MessageView& ssnm) {
  const Network network = ssnm.u32(Tag::network_appearance);
  const U32List contexts = ssnm.list(Tag::routing_context);
  require(!contexts.empty());
  for (const std::uint32_t context : contexts) {
    require(context >= 101 && context <= 103);
    require(!kNetworks[context - 101] || kNetworks[context - 101] == network);
  }
  for (const std::uint32_t word : ssnm.list(Tag::affected_point_code)) {
    const auto affected = AffectedPointCode::unpack(word);
    const unsigned bits = network == Network(1) ? kBitsOfNetwork1 : kPointCodeBitsMax;
    require(affected.mask <= bits && affected.point_code >> bits == 0);
  }
}

class WireEnd final : public Association {
 public:
  explicit WireEnd(AssociationId id) : id_(id) {}
  AssociationId id() const override { return id_; }
  SendOutcome send(Message&& message) override {
    if (closed || refusing) return SendOutcome::refused;
    const auto view = MessageView::parse(message.payload.bytes());
    require(view.has_value());
    require(message.protocol == m3ua::kPayloadProtocol);
    require(static_cast<std::uint16_t>(message.stream) < streams);
    if (view->type() == MessageType::err) ++errors;
    if (view->find(Tag::affected_point_code) && view->type() != MessageType::err) check_ssnm(*view);
    return SendOutcome::accepted;
  }
  void close(CloseMode) override { closed = true; }

  static constexpr std::uint16_t streams = 4;
  bool closed = false, refusing = false;
  std::size_t errors = 0;

 private:
  AssociationId id_;
};

class Wire final : public Transport {
 public:
  Result<EndpointId> open(const EndpointConfig&, const Framing&) override {
    return EndpointId{endpoints_++};
  }
  AssociationId connect(EndpointId, const PeerConfig&) override { return next_association_id(); }
  Association* find(AssociationId id) override {
    const auto at = ends.find(id);
    return at == ends.end() ? nullptr : &at->second;
  }
  void bind(AssociationId, const PeerConfig&) override {}
  DetachOutcome detach(AssociationId) override { return Gone{}; }
  void adopt(std::unique_ptr<DetachedAssociation>) override {}
  Seat seat(AssociationId) const override { return Seat::own; }
  std::optional<AssociationStatus> status(AssociationId) const override { return std::nullopt; }
  const Histogram* residence(AssociationId) const override { return nullptr; }

  std::map<AssociationId, WireEnd> ends;

 private:
  std::uint32_t endpoints_ = 0;
};

class NoFacts final : public FactSink {
 public:
  void on_fact(const FactSource&, const Fact&, Instant) override {}
};

M3uaConfig gateway_config() {
  M3uaConfig config;
  config.asps = {{"asp1", 1}, {"asp2", {}}};
  const TrafficMode modes[] = {TrafficMode::override_mode, TrafficMode::loadshare,
                               TrafficMode::broadcast};
  for (std::uint32_t i = 0; i < 3; ++i) {
    ApplicationServerConfig as;
    as.name = "as" + std::to_string(i);
    as.routing_context = 101 + i;
    as.traffic_mode = modes[i];
    as.asps = {"asp1", "asp2"};
    as.network_appearance = kNetworks[i];
    as.pending_messages_max = kHeldMax;
    config.application_servers.push_back(as);
    config.routes.push_back({1001 + i, {}, {}, {}, as.name});
  }
  config.routes.push_back({1001, 2, {}, {}, "as1"});
  config.networks = {{1, kBitsOfNetwork1}};
  config.drain_messages_per_ms_max = 1;
  config.heartbeat_interval = 700ms;
  return config;
}

AspClientsConfig client_config() {
  AspClientsConfig config;
  AspClientConfig asp;
  asp.name = "gateway";
  asp.routing_contexts = {101, 102};
  config.asps = {asp};
  config.heartbeat_interval = 900ms;
  return config;
}

PeerTable peer_table() {
  PeerConfig one, two, gateway;
  one.name = "asp1";
  one.addresses = {"10.0.0.1"};
  two.name = "asp2";
  two.addresses = {"10.0.0.2"};
  gateway.name = "gateway";
  gateway.addresses = {"10.0.0.3"};
  return PeerTable({one, two, gateway});
}

class Node {
 public:
  Node()
      : gateway(gateway_config()),
        client(client_config()),
        peers(peer_table()),
        shard({}, wire, peers, directory, facts, nullptr, buffers, counters) {
    gateway.add_application_servers(shard, 1, now);
    const EndpointId endpoints[] = {*shard.open({}, gateway), *shard.open({}, client)};
    for (std::uint32_t i = 0; i < 3; ++i) {
      const AssociationId id = next_association_id();
      ids[i] = id;
      wire.ends.try_emplace(id, id);
      AssociationUp up;
      up.local = endpoints[i == 2 ? 1 : 0];
      up.remote_addresses = {"10.0.0." + std::to_string(i + 1)};
      up.streams_in = up.streams_out = WireEnd::streams;
      up.initiator = i == 2;
      if (up.initiator) up.peer = "gateway";
      shard.on_event(id, up, now);
    }
  }

  void receive(std::size_t who, std::uint8_t stream, Bytes bytes) {
    const auto at = wire.ends.find(ids[who]);
    if (at == wire.ends.end() || at->second.closed) return;
    const std::size_t errors = at->second.errors;
    Message message{StreamId{stream}, m3ua::kPayloadProtocol, false, now, Buffer::copy_of(bytes)};
    shard.on_event(ids[who], AssociationReceived{std::move(message)}, now);
    const bool err = bytes.size() >= 4 && load_u16(bytes.data() + 2) == 0;
    require(!err || at->second.errors == errors);
  }
  void lose(std::size_t who) {
    if (wire.ends.erase(ids[who]) == 0) return;
    shard.on_event(ids[who], AssociationDown{DownCause::lost, {}}, now);
  }
  void pass(Duration span) {
    now += span;
    shard.run_due(now);
  }
  void check() {
    shard.visit_sessions(
        [](const SessionView& view) { require(view.session->status().pending <= kHeldMax); });
  }

  BufferPool buffers;
  Counters counters;
  Directory directory;
  NoFacts facts;
  Wire wire;
  M3uaModule gateway;
  AspClientModule client;
  PeerTable peers;
  Shard shard;
  Instant now{1s};
  AssociationId ids[3]{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  Node node;
  const Bytes bytes = std::as_bytes(std::span(input, size));
  ByteReader reader(bytes);
  for (int records = 0; records < 200 && !reader.done(); ++records) {
    const std::uint8_t what = reader.u8().value_or(0);
    const std::uint8_t parameter = reader.u8().value_or(0);
    const std::size_t who = what / 8 % 3;
    switch (what % 8) {
      case 5:
        node.pass(std::chrono::milliseconds(parameter) * 10);
        break;
      case 6:
        if (parameter < 64) {
          node.lose(who);
        } else if (auto at = node.wire.ends.find(node.ids[who]); at != node.wire.ends.end()) {
          at->second.refusing = parameter % 2 == 0;
          node.shard.on_event(node.ids[who], AssociationCongestion{parameter % 2 == 0}, node.now);
        }
        break;
      default: {
        const std::size_t length = reader.u16().value_or(0);
        const auto message = reader.take(std::min(length, reader.remaining()));
        node.receive(who, parameter % WireEnd::streams, *message);
      }
    }
    node.check();
  }
  node.shard.stop(node.now);
  return 0;
}
