// A thousand ASPs that restart at once, under load, on an STP of two busy shards: how long until
// each of them is ASP-ACTIVE again. An ASP repeats its ASPUP or ASPAC after T(ack), 2 s; so the
// acknowledgement of the ASPAC has to come well before that.
//
// The shards are the real ones, with real modules, AS and ASP sessions; the loop is a model. The
// shard whose clock is behind takes the next turn. A turn takes kTurn, which stands for the traffic
// that has nothing to do with the restart, and so much for each message and letter.
#include <algorithm>
#include <array>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/shard.h"
#include "protocols/m3ua/counters.h"
#include "protocols/m3ua/module.h"

namespace siglane::m3ua {
namespace {

constexpr Duration kTurn = 1ms, kPerMessage = 5us, kPerLetter = 2us, kRoundTrip = 1ms;
constexpr Duration kTAck = 2s;
constexpr std::size_t kShards = 2, kSources = 4;
constexpr std::size_t kMessagesPerTurn = 256;  // from associations
constexpr std::size_t kDataPerTurn = 8;        // from each source
constexpr std::uint32_t kFirstContext = 101, kFirstPointCode = 1001;

struct Shape {
  std::size_t servers, asps_each;
};

M3uaConfig config_of(const Shape& shape) {
  M3uaConfig config;
  const auto add = [&](std::string name, std::size_t asps) {
    const auto index = static_cast<std::uint32_t>(config.application_servers.size());
    ApplicationServerConfig as;
    as.name = std::move(name);
    as.routing_context = kFirstContext + index;
    as.traffic_mode = TrafficMode::loadshare;
    for (; asps > 0; --asps) {
      const auto identifier = static_cast<std::uint32_t>(config.asps.size() + 1);
      config.asps.push_back({"asp" + std::to_string(identifier), identifier});
      as.asps.push_back(config.asps.back().name);
    }
    config.routes.push_back({kFirstPointCode + index, {}, {}, {}, as.name});
    config.application_servers.push_back(std::move(as));
  };
  add("sources", kSources);
  for (std::size_t i = 1; i <= shape.servers; ++i) add("as" + std::to_string(i), shape.asps_each);
  return config;
}

std::vector<PeerConfig> peers_of(const M3uaConfig& config) {
  std::vector<PeerConfig> peers(config.asps.size());
  for (std::size_t i = 0; i < peers.size(); ++i) peers[i].name = config.asps[i].name;
  return peers;
}

// What an ASP gets to see.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void on_message(AssociationId id, const MessageView& message) = 0;
};

class Wire final : public Transport {
 public:
  explicit Wire(Peer& peer) : peer_(peer) {}
  class Line final : public Association {
   public:
    Line(AssociationId id, Peer& peer) : id_(id), peer_(peer) {}
    AssociationId id() const override { return id_; }
    SendOutcome send(Message&& message) override {
      peer_.on_message(id_, *MessageView::parse(message.payload.bytes()));
      return SendOutcome::accepted;
    }
    void close(CloseMode) override {}

   private:
    AssociationId id_;
    Peer& peer_;
  };
  void add(AssociationId id) { lines_.emplace(id, std::make_unique<Line>(id, peer_)); }
  void remove(AssociationId id) { lines_.erase(id); }

  Result<EndpointId> open(const EndpointConfig&, const Framing&) override { return EndpointId{1}; }
  AssociationId connect(EndpointId, const PeerConfig&) override { return AssociationId::none; }
  Association* find(AssociationId id) override {
    const auto it = lines_.find(id);
    return it == lines_.end() ? nullptr : it->second.get();
  }
  void bind(AssociationId, const PeerConfig&) override {}
  DetachOutcome detach(AssociationId) override { return Gone{}; }
  void adopt(std::unique_ptr<DetachedAssociation>) override {}
  void pause_input(AssociationId) override {}
  void resume_input(AssociationId) override {}
  Seat seat(AssociationId) const override { return Seat::shared; }
  std::optional<AssociationStatus> status(AssociationId) const override { return std::nullopt; }
  const Histogram* residence(AssociationId) const override { return nullptr; }

 private:
  Peer& peer_;
  std::map<AssociationId, std::unique_ptr<Line>> lines_;
};

struct Facts final : FactSink {
  void on_fact(const FactSource&, const Fact&, Instant) override {}
};

class Restart final : public Peer {
 public:
  explicit Restart(Shape shape)
      : shape_(shape),
        module_(config_of(shape)),
        peers_(peers_of(module_.gateway()->config), AdmissionConfig{true, 1h, 10'000}) {
    for (std::size_t i = 0; i < kShards; ++i) {
      auto node = std::make_unique<Node>(*this);
      ShardConfig config;
      config.id = static_cast<ShardId>(i);
      node->shard = std::make_unique<Shard>(config, node->wire, peers_, directory_, facts_, nullptr,
                                            buffers_, node->counters);
      (void)node->shard->open({}, module_);
      nodes_.push_back(std::move(node));
    }
    for (auto& node : nodes_) module_.add_application_servers(*node->shard, kShards, node->clock);
    asps_.resize(module_.gateway()->config.asps.size());
    for (std::size_t asp = 0; asp < asps_.size(); ++asp) come_up(asp, Instant{1s});
    until_all_are_active();
  }

  // All but the sources are lost, and come back at once.
  void restart() {
    const Instant at = std::max(nodes_[0]->clock, nodes_[1]->clock);
    for (std::size_t asp = kSources; asp < asps_.size(); ++asp) {
      later(asp, at, AssociationDown{});
      come_up(asp, at);
    }
    for (auto& node : nodes_) node->letters_max = 0;
    const std::uint64_t diversions = directory_.diversions();
    until_all_are_active();
    Duration longest{};
    for (std::size_t asp = kSources; asp < asps_.size(); ++asp) {
      longest = std::max(longest, *asps_[asp].active_at - at);
    }
    longest_ = longest;
    diversions_ = directory_.diversions() - diversions;
  }
  // What is under way arrives.
  void come_to_rest() {
    load_ = 0;
    for (int turns = 0; turns < 4000 && unaccounted() > 0; ++turns) turn();
  }

  Duration longest() const { return longest_; }  // ASPUP until the ACK of the ASPAC
  std::uint64_t diversions() const { return diversions_; }
  std::size_t letters_max() const {
    return std::max(nodes_[0]->letters_max, nodes_[1]->letters_max);
  }
  const std::string& trouble() const { return trouble_; }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t arrived() const { return arrived_; }
  std::uint64_t unaccounted() const {
    std::uint64_t counted = arrived_;
    for (const auto& node : nodes_) {
      for (const Counter counter :
           {counter::data_discarded, counter::data_unroutable, siglane::counter::parcels_lost}) {
        counted += node->counters.get(counter);
      }
    }
    return sent_ - counted;
  }

 private:
  struct Input {
    Instant at;
    std::uint64_t number;  // of two at the same time, the first
    AssociationId id;
    std::shared_ptr<AssociationEvent> event;
    bool operator<(const Input& other) const {
      return std::pair(other.at, other.number) < std::pair(at, number);
    }
  };
  struct Node {
    explicit Node(Peer& peer) : wire(peer) {}
    Wire wire;
    Counters counters;
    std::unique_ptr<Shard> shard;
    Instant clock{1s};
    std::priority_queue<Input> inputs;
    std::size_t letters_max = 0;  // in a turn
  };
  struct Asp {
    AssociationId id{};
    std::optional<Instant> active_at;
  };

  Node& node_of(std::size_t asp) { return *nodes_[asp % kShards]; }
  void later(std::size_t asp, Instant at, AssociationEvent event) {
    node_of(asp).inputs.push(
        {at, ++inputs_, asps_[asp].id, std::make_shared<AssociationEvent>(std::move(event))});
  }
  void say(std::size_t asp, Instant at, MessageType type) {
    MessageBuilder builder(buffers_, type);
    if (type == MessageType::aspup) {
      builder.u32(Tag::asp_identifier, static_cast<std::uint32_t>(asp + 1));
    }
    later(asp, at, received(std::move(builder).finish(), StreamId{0}));
  }
  static AssociationReceived received(Buffer payload, StreamId stream) {
    Message message;
    message.stream = stream;
    message.payload = std::move(payload);
    return {std::move(message)};
  }
  void come_up(std::size_t asp, Instant at) {
    asps_[asp] = {next_association_id(), std::nullopt};
    asp_of_[asps_[asp].id] = asp;
    ++inactive_;
    AssociationUp up;
    up.local = EndpointId{1};
    up.remote_addresses = {"10.0.0.1"};
    up.streams_in = up.streams_out = 8;
    later(asp, at, up);
    say(asp, at, MessageType::aspup);
  }

  void on_message(AssociationId id, const MessageView& message) override {
    const std::size_t asp = asp_of_.at(id);
    const Instant now = node_of(asp).clock;
    if (message.type() == MessageType::aspup_ack) say(asp, now + kRoundTrip, MessageType::aspac);
    if (message.type() == MessageType::aspac_ack && !asps_[asp].active_at) {
      asps_[asp].active_at = now;
      --inactive_;
    }
    if (message.type() == MessageType::data) arrive(*message.find(Tag::protocol_data));
  }
  void arrive(Bytes data) {
    const auto opc = load_u32(data.data()), dpc = load_u32(data.data() + 4);
    const auto sls = std::to_integer<unsigned>(data[11]);
    const auto number = load_u32(data.data() + 12);
    std::uint32_t& last = last_of_[{opc, dpc, sls}];
    if (number <= last && trouble_.empty()) {
      trouble_ = std::to_string(number) + " after " + std::to_string(last);
    }
    last = number;
    ++arrived_;
  }
  void send_data(Node& node, std::size_t source) {
    const auto dpc = static_cast<std::uint32_t>(kFirstPointCode + 1 + next_++ % shape_.servers);
    const auto sls = static_cast<std::uint8_t>(next_ * 7 % 16);
    const auto opc = static_cast<std::uint32_t>(source);
    std::array<std::byte, 4> number{};
    store_u32(number.data(), ++sent_of_[{opc, dpc, sls}]);
    ++sent_;
    MessageBuilder builder(buffers_, MessageType::data);
    builder.u32(Tag::routing_context, kFirstContext);
    builder.protocol_data({opc, dpc, 3, 2, 0, sls}, number);
    node.shard->on_event(asps_[source].id, received(std::move(builder).finish(), StreamId{1}),
                         node.clock);
  }

  void handle(Node& node, const Input& input) {
    if (std::holds_alternative<AssociationUp>(*input.event)) node.wire.add(input.id);
    if (std::holds_alternative<AssociationDown>(*input.event)) node.wire.remove(input.id);
    node.shard->on_event(input.id, std::move(*input.event), node.clock);
  }
  void turn() {
    Node& node = nodes_[0]->clock <= nodes_[1]->clock ? *nodes_[0] : *nodes_[1];
    std::size_t messages = 0, letters = 0;
    while (!node.inputs.empty() && node.inputs.top().at <= node.clock &&
           messages < kMessagesPerTurn) {
      const Input input = node.inputs.top();
      node.inputs.pop();
      handle(node, input);
      ++messages;
    }
    for (std::size_t source = 0; source < kSources; ++source) {
      if (&node_of(source) != &node || !asps_[source].active_at) continue;
      for (std::size_t n = 0; n < load_; ++n, ++messages) send_data(node, source);
    }
    do {
      node.shard->run_mailbox(node.clock, 1);
      ++letters;
    } while (node.shard->mail_waits() && letters < 4096);
    node.shard->run_due(node.clock);
    node.letters_max = std::max(node.letters_max, letters);
    node.clock +=
        kTurn + kPerMessage * static_cast<int>(messages) + kPerLetter * static_cast<int>(letters);
  }
  void until_all_are_active() {
    const Instant give_up = nodes_[0]->clock + 120s;
    while (inactive_ > 0 && nodes_[0]->clock < give_up) turn();
    ASSERT_EQ(inactive_, 0u);
  }

  Shape shape_;
  M3uaModule module_;
  PeerTable peers_;
  Directory directory_;
  Facts facts_;
  BufferPool buffers_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Asp> asps_;
  std::map<AssociationId, std::size_t> asp_of_;
  std::size_t inactive_ = 0, load_ = kDataPerTurn;
  std::uint64_t inputs_ = 0, next_ = 0;

  using FlowKey = std::array<std::uint32_t, 3>;  // OPC, DPC, SLS
  std::map<FlowKey, std::uint32_t> sent_of_, last_of_;
  std::uint64_t sent_ = 0, arrived_ = 0;
  std::string trouble_;
  Duration longest_{};
  std::uint64_t diversions_ = 0;
};

class M3uaRestart : public testing::TestWithParam<Shape> {};

TEST_P(M3uaRestart, OfAThousandAspsUnderLoadIsOverWellWithinTAck) {
  Restart run(GetParam());
  if (HasFatalFailure()) return;
  run.restart();
  if (HasFatalFailure()) return;
  run.come_to_rest();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(run.longest()).count();
  std::cout << GetParam().servers << " ASs of " << GetParam().asps_each << " ASPs: " << ms
            << " ms until the last is ASP-ACTIVE, " << run.diversions() << " diversions, at most "
            << run.letters_max() << " letters in a turn of a shard; " << run.sent()
            << " DATA sent, " << run.arrived() << " arrived\n";
  EXPECT_LT(run.longest(), kTAck / 2);
  EXPECT_EQ(run.trouble(), "");
  EXPECT_EQ(run.unaccounted(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Shapes, M3uaRestart,
                         testing::Values(Shape{1000, 1}, Shape{10, 100}, Shape{1, 1000}));

}  // namespace
}  // namespace siglane::m3ua
