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

#include "tests/sim/m3ua_shards.h"

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

class Restart final : public sim::ShardsInTurn {
 public:
  explicit Restart(Shape shape) : ShardsInTurn(1), shape_(shape) {
    on_send_ = [this](Wire::Line& line, const Message& message) {
      on_message(line.id(), *MessageView::parse(message.payload.bytes()));
      return SendOutcome::accepted;
    };
    const M3uaConfig config = config_of(shape);
    auto& module = open(kShards, std::make_unique<M3uaModule>(config),
                        PeerTable(peers_of(config), AdmissionConfig{true, 1h, 10'000}));
    for (auto& node : nodes_) module.add_application_servers(*node->shard, kShards, now_);
    asps_.resize(config.asps.size());
    for (std::size_t asp = 0; asp < asps_.size(); ++asp) come_up(asp, Instant{1s});
    until_all_are_active();
  }

  // All but the sources are lost, and come back at once.
  void restart() {
    const Instant at = std::max(loops_[0].clock, loops_[1].clock);
    for (std::size_t asp = kSources; asp < asps_.size(); ++asp) {
      later(asp, at, AssociationDown{});
      come_up(asp, at);
    }
    for (Loop& loop : loops_) loop.letters_max = 0;
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
  std::size_t letters_max() const { return std::max(loops_[0].letters_max, loops_[1].letters_max); }
  const Ledger& ledger() const { return ledger_; }
  std::uint64_t unaccounted() const {
    return ledger_.sent - ledger_.arrived - count(counter::data_discarded) -
           count(counter::data_unroutable) - count(siglane::counter::parcels_lost);
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
  // Of the shard with that number.
  struct Loop {
    Instant clock{1s};
    std::priority_queue<Input> inputs;
    std::size_t letters_max = 0;  // in a turn
  };
  struct Asp {
    AssociationId id{};
    std::optional<Instant> active_at;
  };

  Loop& loop_of(std::size_t asp) { return loops_[asp % kShards]; }
  void later(std::size_t asp, Instant at, AssociationEvent event) {
    loop_of(asp).inputs.push(
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

  void on_message(AssociationId id, const MessageView& message) {
    const std::size_t asp = asp_of_.at(id);
    const Instant now = loop_of(asp).clock;
    if (message.type() == MessageType::aspup_ack) say(asp, now + kRoundTrip, MessageType::aspac);
    if (message.type() == MessageType::aspac_ack && !asps_[asp].active_at) {
      asps_[asp].active_at = now;
      --inactive_;
    }
    if (message.type() == MessageType::data) ledger_.arrive(message);
  }
  void send_data(Node& node, Instant now, std::size_t source) {
    const auto dpc = static_cast<std::uint32_t>(kFirstPointCode + 1 + next_++ % shape_.servers);
    const auto sls = static_cast<unsigned>(next_ * 7 % 16);
    const auto opc = static_cast<std::uint32_t>(source);
    node.shard->on_event(
        asps_[source].id,
        received(ledger_.next(buffers_, {opc, dpc, sls}, kFirstContext), StreamId{1}), now);
  }

  void handle(Node& node, const Input& input, Instant now) {
    if (std::holds_alternative<AssociationUp>(*input.event)) node.wire.add(input.id, false);
    if (std::holds_alternative<AssociationDown>(*input.event)) node.wire.lines.erase(input.id);
    node.shard->on_event(input.id, std::move(*input.event), now);
  }
  void turn() {
    const std::size_t turn_of = loops_[0].clock <= loops_[1].clock ? 0 : 1;
    Node& node = *nodes_[turn_of];
    Loop& loop = loops_[turn_of];
    std::size_t messages = 0, letters = 0;
    while (!loop.inputs.empty() && loop.inputs.top().at <= loop.clock &&
           messages < kMessagesPerTurn) {
      const Input input = loop.inputs.top();
      loop.inputs.pop();
      handle(node, input, loop.clock);
      ++messages;
    }
    for (std::size_t source = 0; source < kSources; ++source) {
      if (&loop_of(source) != &loop || !asps_[source].active_at) continue;
      for (std::size_t n = 0; n < load_; ++n, ++messages) send_data(node, loop.clock, source);
    }
    do {
      node.shard->run_mailbox(loop.clock, 1);
      ++letters;
    } while (node.shard->mail_waits() && letters < 4096);
    node.shard->run_due(loop.clock);
    loop.letters_max = std::max(loop.letters_max, letters);
    loop.clock +=
        kTurn + kPerMessage * static_cast<int>(messages) + kPerLetter * static_cast<int>(letters);
  }
  void until_all_are_active() {
    const Instant give_up = loops_[0].clock + 120s;
    while (inactive_ > 0 && loops_[0].clock < give_up) turn();
    ASSERT_EQ(inactive_, 0u);
  }

  Shape shape_;
  std::array<Loop, kShards> loops_;
  std::vector<Asp> asps_;
  std::map<AssociationId, std::size_t> asp_of_;
  std::size_t inactive_ = 0, load_ = kDataPerTurn;
  std::uint64_t inputs_ = 0, next_ = 0;

  Ledger ledger_;
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
            << run.letters_max() << " letters in a turn of a shard; " << run.ledger().sent
            << " DATA sent, " << run.ledger().arrived << " arrived\n";
  EXPECT_LT(run.longest(), kTAck / 2);
  EXPECT_EQ(run.ledger().trouble, "");
  EXPECT_EQ(run.unaccounted(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Shapes, M3uaRestart,
                         testing::Values(Shape{1000, 1}, Shape{10, 100}, Shape{1, 1000}));

}  // namespace
}  // namespace siglane::m3ua
