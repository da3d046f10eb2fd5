#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "core/random.h"
#include "core/shard.h"
#include "tests/support/test_wire.h"

namespace siglane::sim {

// The shards of one node in one thread and simulated time. A simulator derives from this: it gives
// each shard its turns in whatever order a seed decides, and says what the associations report.
class ShardsInTurn {
 public:
  using Wire = test::Wire;

  std::uint64_t count(Counter counter) const {
    std::uint64_t n = 0;
    for (const auto& node : nodes_) n += node->counters.get(counter);
    return n;
  }
  // How often a reason to drop was given.
  std::uint64_t dropped(std::string_view reason) const {
    std::uint64_t n = 0;
    for (const auto& node : nodes_) {
      node->shard->drops().visit(
          [&](std::string_view why, const std::string&, const Drops::Row& row) {
            if (why == reason) n += row.count;
          });
    }
    return n;
  }

 protected:
  struct Node {
    explicit Node(const Wire::OnSend& on_send) : wire(&on_send) {}
    Wire wire;
    Counters counters;
    std::unique_ptr<Shard> shard;
  };

  explicit ShardsInTurn(std::uint64_t seed) : random_(seed) {}

  // `mailbox_max`: parcels that may wait for a shard.
  template <class Module>
  Module& open(std::size_t shards, std::unique_ptr<Module> owned, PeerTable peers,
               std::size_t mailbox_max = 1000) {
    Module& module = *owned;
    owned_module_ = std::move(owned);
    peers_ = std::move(peers);
    for (std::size_t i = 0; i < shards; ++i) {
      auto node = std::make_unique<Node>(on_send_);
      ShardConfig config;
      config.id = static_cast<ShardId>(i);
      config.seed = random_.next();
      config.mailbox.parcels_max = mailbox_max;
      node->shard = std::make_unique<Shard>(config, node->wire, peers_, directory_, facts_, nullptr,
                                            buffers_, node->counters);
      (void)node->shard->open({}, module);
      nodes_.push_back(std::move(node));
    }
    return module;
  }
  // Half of the runs have mailboxes that are far too small.
  std::size_t draw_mailbox(std::size_t least) {
    return random_.below(2) == 0 ? least + random_.below(6) : 1000;
  }

  Node& any() { return *nodes_[random_.below(nodes_.size())]; }
  ShardId any_shard() { return static_cast<ShardId>(random_.below(nodes_.size())); }
  // Where that association is; nullptr: on its way, or gone.
  Node* home_of(AssociationId id) {
    const auto node =
        std::ranges::find_if(nodes_, [&](auto& one) { return one->wire.line(id) != nullptr; });
    return node == nodes_.end() ? nullptr : node->get();
  }
  Wire::Line* line_of(AssociationId id) {
    Node* node = home_of(id);
    return node == nullptr ? nullptr : node->wire.line(id);
  }
  // An association comes up on any shard, on a socket of its own or on a shared one.
  void come_up(AssociationId id, std::string peer = {}, std::uint16_t streams = 0) {
    Node& node = any();
    node.wire.add(id, random_.below(2) == 0);
    AssociationUp up;
    up.local = EndpointId{1};
    up.remote_addresses = {"10.0.0.1"};
    up.streams_in = up.streams_out = streams;
    up.peer = std::move(peer);
    node.shard->on_event(id, up, now_);
  }
  // false: it is not here.
  bool lose(AssociationId id) {
    Node* node = home_of(id);
    if (node == nullptr) return false;
    node->wire.lines.erase(id);
    node->shard->on_event(id, AssociationDown{}, now_);
    return true;
  }
  void move_anywhere(AssociationId id) {
    if (Node* node = home_of(id)) (void)node->shard->move(id, any_shard(), now_);
  }
  void run_due() {
    for (auto& node : nodes_) node->shard->run_due(now_);
  }
  void run_mailboxes(unsigned turns = 1) {
    for (; turns > 0; --turns) {
      for (auto& node : nodes_) node->shard->run_mailbox(now_);
    }
  }
  bool anything_paused() const {
    return std::ranges::any_of(nodes_, [](const auto& node) {
      return std::ranges::any_of(node->wire.lines, [](auto& line) { return line.second->paused; });
    });
  }

  Random random_;
  Wire::OnSend on_send_;
  PeerTable peers_;
  Directory directory_;
  test::NoFacts facts_;
  BufferPool buffers_;
  Instant now_{1s};

 private:
  std::unique_ptr<ProtocolModule> owned_module_;  // outlives the shards

 protected:
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace siglane::sim
