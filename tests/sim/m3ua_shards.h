#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "protocols/m3ua/counters.h"
#include "protocols/m3ua/module.h"
#include "tests/sim/shards_in_turn.h"

namespace siglane::m3ua {

// What was sent and what arrived of each flow, numbered from 1. A message names its flow by its
// label, and its number is its user data.
class Ledger {
 public:
  struct Flow {
    std::uint32_t opc = 0, dpc = 0;
    unsigned sls = 0;
    auto operator<=>(const Flow&) const = default;
  };

  // DATA of that flow with its next number.
  Buffer next(BufferPool& buffers, const Flow& flow, std::uint32_t routing_context) {
    std::array<std::byte, 4> number{};
    store_u32(number.data(), ++flows_[flow].sent);
    ++sent;
    MessageBuilder builder(buffers, MessageType::data);
    builder.u32(Tag::routing_context, routing_context);
    builder.protocol_data({flow.opc, flow.dpc, 3, 2, 0, static_cast<std::uint8_t>(flow.sls)},
                          number);
    return std::move(builder).finish();
  }
  static Flow flow_of(const MessageView& message) {
    const Bytes data = *message.find(Tag::protocol_data);
    return {load_u32(data.data()), load_u32(data.data() + 4), std::to_integer<unsigned>(data[11])};
  }
  // `order_at`: where the order of the flow holds, if that is not everywhere.
  void arrive(const MessageView& message, AssociationId order_at = AssociationId::none) {
    const Flow flow = flow_of(message);
    const std::uint32_t number = load_u32(message.find(Tag::protocol_data)->data() + 12);
    ++arrived;
    if (!flows_[flow].numbers.insert(number).second) complain(flow, number, "twice");
    std::uint32_t& last = last_[{flow, order_at}];
    if (number < last) complain(flow, number, "after " + std::to_string(last));
    last = number;
  }
  // Of the flows to `dpc` nothing may be missing but what is known to be `lost`.
  void expect_all_of(std::uint32_t dpc, std::uint64_t lost = 0) {
    for (const auto& [flow, fate] : flows_) {
      if (flow.dpc != dpc) continue;
      const std::uint64_t missing = fate.sent - fate.numbers.size();
      if (missing > lost) {
        complain(flow, fate.sent, "sent, " + std::to_string(fate.numbers.size()) + " arrived");
      }
      lost -= std::min(lost, missing);
    }
  }

  std::uint64_t sent = 0, arrived = 0;
  std::string trouble;  // the first

 private:
  struct Fate {
    std::uint32_t sent = 0;
    std::set<std::uint32_t> numbers;
  };
  void complain(const Flow& flow, std::uint32_t number, const std::string& what) {
    if (!trouble.empty()) return;
    trouble = "flow " + std::to_string(flow.opc) + " -> " + std::to_string(flow.dpc) + " SLS " +
              std::to_string(flow.sls) + ": " + std::to_string(number) + " " + what;
  }

  std::map<Flow, Fate> flows_;
  std::map<std::pair<Flow, AssociationId>, std::uint32_t> last_;
};

inline std::vector<PeerConfig> peers_of(const M3uaConfig& config) {
  std::vector<PeerConfig> peers(config.asps.size());
  for (std::size_t i = 0; i < peers.size(); ++i) peers[i].name = config.asps[i].name;
  return peers;
}

// A gateway of several shards and the ASPs around it, which are called by their ASP identifiers
// from 1. What is sent to them is noted in the ledger.
class M3uaShards : public sim::ShardsInTurn {
 public:
  const Ledger& ledger() const { return ledger_; }

 protected:
  M3uaShards(std::uint64_t seed, std::size_t asps)
      : ShardsInTurn(seed), ends_(asps + 1, AssociationId::none) {
    on_send_ = [this](Wire::Line& line, const Message& message) {
      on_sent(line.id(), *MessageView::parse(message.payload.bytes()));
      return SendOutcome::accepted;
    };
  }
  void open(std::size_t shards, const M3uaConfig& config, const AdmissionConfig& admission,
            std::size_t mailbox_max) {
    module_ = &ShardsInTurn::open(shards, std::make_unique<M3uaModule>(config),
                                  PeerTable(peers_of(config), admission), mailbox_max);
    for (auto& node : nodes_) module_->add_application_servers(*node->shard, shards, now_);
  }
  virtual void on_sent(AssociationId on, const MessageView& message) = 0;

  std::uint32_t asps() const { return static_cast<std::uint32_t>(ends_.size() - 1); }
  std::uint32_t any_asp(std::uint32_t first, std::size_t count) {
    return first + static_cast<std::uint32_t>(random_.below(count));
  }
  void connect(std::uint32_t asp) {
    ends_[asp] = next_association_id();
    come_up(ends_[asp], {}, 8);
  }
  bool lose(std::uint32_t asp) {
    if (!ShardsInTurn::lose(ends_[asp])) return false;
    ends_[asp] = AssociationId::none;
    return true;
  }
  void replace(std::uint32_t asp) {
    if (lose(asp)) connect(asp);
  }
  bool was_closed(std::uint32_t asp) {
    const Wire::Line* line = line_of(ends_[asp]);
    return line != nullptr && line->closed;
  }

  // Where its input is paused, the peer has to wait.
  bool may_speak(std::uint32_t asp) {
    const Wire::Line* line = line_of(ends_[asp]);
    return line != nullptr && !line->paused && !line->closed;
  }
  void say(std::uint32_t asp, Buffer payload, StreamId stream) {
    if (!may_speak(asp)) return;
    Message message;
    message.stream = stream;
    message.payload = std::move(payload);
    home_of(ends_[asp])->shard->on_event(ends_[asp], AssociationReceived{std::move(message)}, now_);
  }
  void say(std::uint32_t asp, MessageType type) {
    MessageBuilder builder(buffers_, type);
    if (type == MessageType::aspup) builder.u32(Tag::asp_identifier, asp);
    say(asp, std::move(builder).finish(), StreamId{0});
  }
  void ask_anything(std::uint32_t asp, std::uint64_t times) {
    static constexpr std::array kRequests{MessageType::aspac, MessageType::aspac,
                                          MessageType::aspia, MessageType::aspup,
                                          MessageType::aspdn};
    for (; times > 0; --times) say(asp, kRequests[random_.below(kRequests.size())]);
  }
  // The next DATA of one of its flows to `dpc`.
  void send(std::uint32_t asp, std::uint32_t routing_context, std::uint32_t dpc) {
    constexpr unsigned kLabels = 4;  // SLS values in use
    const auto sls = static_cast<unsigned>(random_.below(kLabels));
    say(asp, ledger_.next(buffers_, {asp, dpc, sls}, routing_context), StreamId{1});
  }

  // "ASP-ACTIVE: sinks ASP-ACTIVE, extra1 ASP-INACTIVE"; empty: it is not here.
  std::string status_of(std::uint32_t asp) {
    Node* node = home_of(ends_[asp]);
    const auto view = node == nullptr ? std::nullopt : node->shard->session(ends_[asp]);
    if (!view) return {};
    const SessionStatus status = view->session->status();
    return std::string(status.state) + ": " + status.detail;
  }
  bool is_active(std::uint32_t asp) { return status_of(asp).starts_with("ASP-ACTIVE"); }
  std::int64_t unaccounted() const {
    return static_cast<std::int64_t>(
        ledger_.sent - ledger_.arrived - count(counter::data_discarded) -
        count(counter::data_unroutable) - count(siglane::counter::parcels_lost));
  }
  // Lets time pass, with all shards at work and `tend` after each turn, until all is `done`, or
  // for as long as it takes to be sure that nothing arrives any more.
  template <class Done, class Tend>
  void come_to_rest(Done done, Tend tend) {
    for (unsigned quiet = 0; quiet < 400 && !done();) {
      now_ += 1ms;
      const std::uint64_t before = ledger_.arrived;
      run_mailboxes(4);
      run_due();
      tend();
      quiet = before == ledger_.arrived ? quiet + 1 : 0;
    }
  }

  Ledger ledger_;
  M3uaModule* module_ = nullptr;
  std::vector<AssociationId> ends_;  // by ASP identifier
};

}  // namespace siglane::m3ua
