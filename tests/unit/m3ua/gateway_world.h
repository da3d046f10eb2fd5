#pragma once
#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "protocols/m3ua/asp_client.h"
#include "protocols/m3ua/module.h"
#include "tests/support/sim_world.h"

// A signalling gateway in a simulated world, and what connects to it: ASP clients with a user that
// writes down what it gets, and a raw peer that says whatever a test wants said.
namespace siglane::m3ua {

inline EndpointConfig endpoint_at(std::string address, std::uint16_t port, bool listening,
                                  std::uint16_t streams = 8) {
  EndpointConfig endpoint;
  endpoint.name = address;
  endpoint.transport = TransportKind::simulated;
  endpoint.addresses = {std::move(address)};
  endpoint.port = port;
  endpoint.listening = listening;
  endpoint.sctp.streams_out = streams;
  return endpoint;
}

inline PeerConfig peer_at(std::string name, std::string address, std::uint16_t port = 0) {
  PeerConfig peer;
  peer.name = std::move(name);
  peer.addresses = {std::move(address)};
  peer.port = port;
  return peer;
}

inline constexpr auto kGatewayAddress = "10.0.0.1";
inline constexpr std::uint16_t kM3uaPort = 2905;

// The n-th ASP sits at 10.0.1.n and is named "asp<n>".
inline std::string asp_name(std::size_t n) {
  return "asp" + std::to_string(n);
}
inline std::string asp_address(std::size_t n) {
  return "10.0.1." + std::to_string(n);
}

class SimGateway {
 public:
  SimGateway(sim::SimWorld& world, M3uaConfig config, AdmissionConfig admission = {},
             std::uint16_t streams = 8)
      : module(config), node(world, PeerTable(peers_of(config), admission)), admission_(admission) {
    module.add_application_servers(node.shard, 1, world.now());
    (void)node.shard.open(endpoint_at(kGatewayAddress, kM3uaPort, true, streams), module);
  }
  AsState as_state(std::size_t index) const { return module.routes()->servers[index]->state; }
  std::string asp_state(const std::string& name) const {
    std::string state = "none";
    node.shard.visit_sessions([&](const SessionView& view) {
      if (!view.coordinator && view.session->status().peer == name) {
        state = view.session->status().state;
      }
    });
    return state;
  }
  AssociationId association_of(const std::string& name) const {
    AssociationId id = AssociationId::none;
    node.shard.visit_sessions([&](const SessionView& view) {
      if (!view.coordinator && view.session->status().peer == name) id = view.id;
    });
    return id;
  }
  std::uint64_t count(Counter counter) const { return node.counters.get(counter); }
  // Does what the runtime does about a new config.
  void follow(const M3uaConfig& next, Instant now) {
    const auto before = module.gateway();
    module.prepare(next);
    module.add_application_servers(node.shard, 1, now);
    auto revision = std::make_shared<Revision>();
    revision->number = ++revision_;
    revision->peers = PeerTable(peers_of(next), admission_);
    auto change = std::make_shared<RevisionChange>();
    change->modules = {&module};
    for (const AspConfig& asp : before->config.asps) {
      const auto same = std::ranges::find(next.asps, asp.name, &AspConfig::name);
      if (same == next.asps.end()) {
        change->peers[{&module, asp.name}] = PeerChange::removed;
      } else if (same->asp_identifier != asp.asp_identifier) {
        change->peers[{&module, asp.name}] = PeerChange::reconnected;
      }
    }
    node.shard.follow({std::move(revision), std::move(change)}, now);
  }
  // An operator's order, as the runtime passes it on.
  void order(const std::string& asp, PeerOrder order, const std::string& why, Instant now) {
    StandingOrders orders = node.directory.orders_of(&module, asp);
    if (order == PeerOrder::block) orders.blocked = true;
    if (order == PeerOrder::unblock) orders.blocked = false;
    if (order == PeerOrder::disconnect) ++orders.disconnects;
    if (order == PeerOrder::disconnect) orders.disconnected = true;
    if (order == PeerOrder::connect) orders.disconnected = false;
    node.directory.order(&module, asp, orders);
    node.shard.order({&module, asp}, order, why, now);
  }
  SessionStatus status_of(const std::string& peer) const {
    SessionStatus status;
    node.shard.visit_sessions([&](const SessionView& view) {
      if (SessionStatus one = view.session->status(); one.peer == peer) status = std::move(one);
    });
    return status;
  }
  // How often a reason to drop was given.
  std::uint64_t dropped(std::string_view reason) const {
    std::uint64_t count = 0;
    node.shard.drops().visit([&](std::string_view why, const std::string&, const Drops::Row& row) {
      if (why == reason) count += row.count;
    });
    return count;
  }

  M3uaModule module;
  sim::SimNode node;

 private:
  // The n-th ASP of gateway_config() is called by its number; others go by their order.
  static std::vector<PeerConfig> peers_of(const M3uaConfig& config) {
    std::vector<PeerConfig> peers;
    std::size_t n = 0;
    for (const AspConfig& asp : config.asps) {
      ++n;
      const bool numbered = asp.name.starts_with("asp") && asp.name.size() == 4;
      const auto number = numbered ? static_cast<std::size_t>(asp.name[3] - '0') : n;
      peers.push_back(peer_at(asp.name, asp_address(number)));
    }
    return peers;
  }

  AdmissionConfig admission_;
  std::uint64_t revision_ = 1;
};

// `asps_per_server[i]` ASPs serve the i-th AS, with routing context 101 + i and point code 1001 +
// i.
inline M3uaConfig gateway_config(TrafficMode mode,
                                 const std::vector<std::size_t>& asps_per_server) {
  M3uaConfig config;
  for (std::size_t i = 0; i < asps_per_server.size(); ++i) {
    ApplicationServerConfig as;
    as.name = "as" + std::to_string(i + 1);
    as.routing_context = static_cast<std::uint32_t>(101 + i);
    as.traffic_mode = mode;
    for (std::size_t n = 0; n < asps_per_server[i]; ++n) {
      config.asps.push_back(
          {asp_name(config.asps.size() + 1), static_cast<std::uint32_t>(config.asps.size() + 1)});
      as.asps.push_back(config.asps.back().name);
    }
    config.application_servers.push_back(as);
    config.routes.push_back({static_cast<std::uint32_t>(1001 + i), {}, {}, {}, as.name});
  }
  return config;
}

// The user of an ASP: sends what it is given, writes down what it gets.
struct UserLog {
  struct Received {
    MtpLabel label;
    std::string text;
  };
  AssociationId asp = AssociationId::none;
  AspState state = AspState::down;
  std::vector<Received> data;
  std::vector<Why> returned;
  std::vector<std::pair<MessageType, std::uint32_t>> network;  // with the first point code
  std::vector<Network> networks;                               // of those point codes
  std::vector<std::uint32_t> congestion;                       // levels, as SCONs said them

  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const Received& r : data) all.push_back(r.text);
    return all;
  }
};

struct SendParcel final : Parcel {
  std::unique_ptr<DataParcel> data;
};

class TestUser final : public Session {
 public:
  explicit TestUser(UserLog& log) : log_(log) {}
  void step(SessionInput input, Instant, Outbox& out) override {
    auto* submitted = std::get_if<Submitted>(&input);
    if (submitted == nullptr) return;
    if (submitted->from == AssociationId::none) {
      auto& send = static_cast<SendParcel&>(*submitted->parcel);
      return out.forward(log_.asp, std::move(send.data));
    }
    auto& parcel = static_cast<M3uaParcel&>(*submitted->parcel);
    if (parcel.kind() == ParcelKind::asp_status) {
      log_.asp = submitted->from;
      log_.state = static_cast<AspStatusParcel&>(parcel).state;
    } else if (parcel.kind() == ParcelKind::network_status) {
      auto& status = static_cast<NetworkStatusParcel&>(parcel);
      log_.network.emplace_back(status.type, status.affected.front().point_code);
      log_.networks.push_back(status.network_appearance);
      if (status.congestion_level) log_.congestion.push_back(*status.congestion_level);
    } else if (parcel.kind() == ParcelKind::data) {
      auto& data = static_cast<DataParcel&>(parcel);
      if (data.returned) {
        log_.returned.push_back(*data.returned);
      } else {
        log_.data.push_back({data.label, std::string(as_text(data.user_data()))});
      }
    }
  }
  std::optional<Instant> deadline() const override { return std::nullopt; }
  SessionStatus status() const override { return {}; }

 private:
  UserLog& log_;
};

inline AspClientsConfig client_config(std::uint32_t identifier, std::vector<std::uint32_t> contexts,
                                      bool standby = false) {
  AspClientsConfig config;
  AspClientConfig asp;
  asp.name = "sg";
  asp.asp_identifier = identifier;
  asp.routing_contexts = std::move(contexts);
  asp.standby = standby;
  config.asps.push_back(asp);
  return config;
}

class Asp {
 public:
  Asp(sim::SimWorld& world, std::size_t number, AspClientsConfig config, std::uint16_t streams = 8)
      : module(std::move(config)),
        node(world, PeerTable({peer_at("sg", kGatewayAddress, kM3uaPort)})),
        world_(world) {
    user_ = node.shard.add_coordinator(std::make_unique<TestUser>(log), module, world.now());
    module.set_user(user_);
    const auto endpoint =
        node.shard.open(endpoint_at(asp_address(number), 0, false, streams), module);
    node.shard.keep_connected(*endpoint, *node.peers.find("sg"));
  }
  bool active() const { return log.state == AspState::active; }
  void send(const MtpLabel& label, std::string_view text) {
    auto parcel = std::make_unique<SendParcel>();
    parcel->data = std::make_unique<DataParcel>(label, Buffer::copy_of(as_bytes(text)));
    node.shard.submit(AssociationId::none, user_, std::move(parcel), world_.now());
  }

  UserLog log;
  AspClientModule module;
  sim::SimNode node;

 private:
  sim::SimWorld& world_;
  AssociationId user_{};
};

// A peer that says what a test hands it, and writes down every message it gets.
struct RawParcel final : Parcel {
  Message message;
};
struct Heard {
  MessageType type{};
  std::optional<std::uint32_t> error, status, asp_identifier, mode, correlation_id, appearance;
  std::vector<std::uint32_t> contexts, affected;
  std::string data;
  std::string parameters;  // all of them, as they came
  StreamId stream{};
};

class RawSession final : public Session {
 public:
  RawSession(std::string peer, AssociationId id, std::deque<Heard>& heard,
             AssociationId& association, bool& down)
      : peer_(std::move(peer)), id_(id), heard_(heard), association_(association), down_(down) {}
  void step(SessionInput input, Instant, Outbox& out) override {
    if (std::holds_alternative<AssociationUp>(input)) {
      association_ = id_;
      down_ = false;
      out.identify(peer_);
    } else if (auto* received = std::get_if<AssociationReceived>(&input)) {
      write_down(received->message);
    } else if (auto* submitted = std::get_if<Submitted>(&input)) {
      out.transmit(std::move(static_cast<RawParcel&>(*submitted->parcel).message));
    } else if (std::holds_alternative<AssociationDown>(input)) {
      down_ = true;
    }
  }
  std::optional<Instant> deadline() const override { return std::nullopt; }
  SessionStatus status() const override { return {}; }

 private:
  void write_down(const Message& message) {
    const auto view = MessageView::parse(message.payload.bytes());
    Heard heard;
    if (view) {
      heard.type = view->type();
      heard.parameters = std::string(as_text(view->bytes().subspan(kHeaderSize)));
      heard.error = view->u32(Tag::error_code);
      heard.status = view->u32(Tag::status);
      heard.asp_identifier = view->u32(Tag::asp_identifier);
      heard.mode = view->u32(Tag::traffic_mode_type);
      heard.appearance = view->u32(Tag::network_appearance);
      heard.correlation_id = view->u32(Tag::correlation_id);
      for (const std::uint32_t v : view->list(Tag::routing_context)) heard.contexts.push_back(v);
      for (const std::uint32_t v : view->list(Tag::affected_point_code)) {
        heard.affected.push_back(v);
      }
      for (const Tag tag : {Tag::heartbeat_data, Tag::registration_result,
                            Tag::deregistration_result, Tag::protocol_data}) {
        if (const auto bytes = view->find(tag)) heard.data = std::string(as_text(*bytes));
      }
    }
    heard.stream = message.stream;
    heard_.push_back(std::move(heard));
  }

  std::string peer_;
  AssociationId id_;
  std::deque<Heard>& heard_;
  AssociationId& association_;
  bool& down_;
};

class RawModule final : public ProtocolModule {
 public:
  std::string_view name() const override { return "raw"; }
  std::span<const PayloadProtocol> payload_protocols() const override { return {}; }
  Result<std::optional<std::size_t>> frame_length(Bytes head) const override {
    return frame_length_of(head);
  }
  PayloadProtocol stream_protocol() const override { return m3ua::kPayloadProtocol; }
  std::unique_ptr<Session> open_session(AssociationId id, const AssociationUp& up, const PeerTable&,
                                        std::uint64_t) const override {
    return std::make_unique<RawSession>(up.peer, id, heard, association, down);
  }
  void route(ShardId, AssociationId, ParcelPtr, Instant, Outbox&) const override {}
  void undelivered(ShardId, AssociationId, ParcelPtr, Why, Instant, Outbox&) const override {}
  void publish(ShardId, AssociationId, ParcelPtr) override {}

  mutable std::deque<Heard> heard;
  mutable AssociationId association = AssociationId::none;
  mutable bool down = true;
};

class RawPeer {
 public:
  RawPeer(sim::SimWorld& world, std::size_t number, std::uint16_t streams = 8)
      : node(world, PeerTable({peer_at("sg", kGatewayAddress, kM3uaPort)})), world_(world) {
    const auto endpoint =
        node.shard.open(endpoint_at(asp_address(number), 0, false, streams), module);
    node.shard.keep_connected(*endpoint, *node.peers.find("sg"));
    world.run_until([&] { return !module.down; }, 1s);
  }
  // Says it, waits until all is quiet, and gives what was heard since.
  std::deque<Heard> say(Buffer payload, StreamId stream = StreamId{0}) {
    auto parcel = std::make_unique<RawParcel>();
    parcel->message = {stream, m3ua::kPayloadProtocol, false, {}, std::move(payload)};
    node.shard.submit(AssociationId::none, module.association, std::move(parcel), world_.now());
    return listen();
  }
  std::deque<Heard> listen(Duration span = 5ms) {
    world_.run_for(span);
    return std::exchange(module.heard, {});
  }
  MessageBuilder build(MessageType type) { return MessageBuilder(node.buffers, type); }
  std::deque<Heard> say(MessageType type, std::vector<std::uint32_t> contexts = {}) {
    MessageBuilder builder = build(type);
    builder.list(Tag::routing_context, contexts);
    return say(std::move(builder).finish());
  }
  std::deque<Heard> aspup(std::optional<std::uint32_t> identifier) {
    MessageBuilder builder = build(MessageType::aspup);
    builder.u32_if(Tag::asp_identifier, identifier);
    return say(std::move(builder).finish());
  }
  std::deque<Heard> data(std::optional<std::uint32_t> context, const MtpLabel& label,
                         std::string_view text, StreamId stream = StreamId{1}) {
    MessageBuilder builder = build(MessageType::data);
    builder.u32_if(Tag::routing_context, context).protocol_data(label, as_bytes(text));
    return say(std::move(builder).finish(), stream);
  }
  bool down() const { return module.down; }

  RawModule module;
  sim::SimNode node;

 private:
  sim::SimWorld& world_;
};

inline std::vector<MessageType> types(const std::deque<Heard>& heard) {
  std::vector<MessageType> all;
  for (const Heard& h : heard) all.push_back(h.type);
  return all;
}
inline bool has_error(const std::deque<Heard>& heard, ErrorCode code) {
  for (const Heard& h : heard) {
    if (h.type == MessageType::err && h.error == static_cast<std::uint32_t>(code)) return true;
  }
  return false;
}
inline bool has_notify(const std::deque<Heard>& heard, NotifyStatus status) {
  for (const Heard& h : heard) {
    if (h.type == MessageType::ntfy && h.status == static_cast<std::uint32_t>(status)) return true;
  }
  return false;
}
inline std::size_t count_of(const std::deque<Heard>& heard, MessageType type) {
  std::size_t n = 0;
  for (const Heard& h : heard) n += h.type == type ? 1 : 0;
  return n;
}

}  // namespace siglane::m3ua
