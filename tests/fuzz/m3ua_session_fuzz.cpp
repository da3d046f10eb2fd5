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
#include "tests/support/test_wire.h"

using namespace siglane;
using namespace siglane::m3ua;

namespace {

constexpr std::size_t kHeldMax = 20;
constexpr std::uint16_t kStreams = 4;

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
    on_send = [this](test::Wire::Line& line, const Message& message) {
      return send(line, message);
    };
    gateway.add_application_servers(shard, 1, now);
    const EndpointId endpoints[] = {*shard.open({}, gateway), *shard.open({}, client)};
    for (std::uint32_t i = 0; i < 3; ++i) {
      const AssociationId id = next_association_id();
      ids[i] = id;
      wire.add(id, true);
      AssociationUp up;
      up.local = endpoints[i == 2 ? 1 : 0];
      up.remote_addresses = {"10.0.0." + std::to_string(i + 1)};
      up.streams_in = up.streams_out = kStreams;
      up.initiator = i == 2;
      if (up.initiator) up.peer = "gateway";
      shard.on_event(id, up, now);
    }
  }

  void receive(std::size_t who, std::uint8_t stream, Bytes bytes) {
    const test::Wire::Line* line = wire.line(ids[who]);
    if (line == nullptr || line->closed) return;
    const std::size_t before = errors[ids[who]];
    Message message{StreamId{stream}, m3ua::kPayloadProtocol, false, now, Buffer::copy_of(bytes)};
    shard.on_event(ids[who], AssociationReceived{std::move(message)}, now);
    const bool err = bytes.size() >= 4 && load_u16(bytes.data() + 2) == 0;
    require(!err || errors[ids[who]] == before);
  }
  void lose(std::size_t who) {
    if (wire.lines.erase(ids[who]) == 0) return;
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

  SendOutcome send(test::Wire::Line& line, const Message& message) {
    if (line.closed || line.refusing) return SendOutcome::refused;
    const auto view = MessageView::parse(message.payload.bytes());
    require(view.has_value());
    require(message.protocol == m3ua::kPayloadProtocol);
    require(static_cast<std::uint16_t>(message.stream) < kStreams);
    if (view->type() == MessageType::err) ++errors[line.id()];
    if (view->find(Tag::affected_point_code) && view->type() != MessageType::err) check_ssnm(*view);
    return SendOutcome::accepted;
  }

  BufferPool buffers;
  Counters counters;
  Directory directory;
  test::NoFacts facts;
  test::Wire::OnSend on_send;
  test::Wire wire{&on_send};
  std::map<AssociationId, std::size_t> errors;  // that it was sent
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
        } else if (auto* line = node.wire.line(node.ids[who]); line != nullptr) {
          line->refusing = parameter % 2 == 0;
          node.shard.on_event(node.ids[who], AssociationCongestion{parameter % 2 == 0}, node.now);
        }
        break;
      default: {
        const std::size_t length = reader.u16().value_or(0);
        const auto message = reader.take(std::min(length, reader.remaining()));
        node.receive(who, parameter % kStreams, *message);
      }
    }
    node.check();
  }
  node.shard.stop(node.now);
  return 0;
}
