// The way into an application from other threads.
#include "protocols/diameter/door.h"

#include <atomic>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/sim_world.h"
#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

class Counting final : public Application {
 public:
  using Application::Application;
  void on_request(RequestPtr request, const MessageView&, Instant, Outbox& out) override {
    reject(std::move(request), result::command_unsupported, out);
  }
  int calls = 0;
};

TEST(DoorTest, WhatAnotherThreadPostsRunsAsAStepOfTheApplication) {
  sim::SimWorld world(1);
  sim::SimNode node(world, PeerTable());
  DiameterModule module(node_config("us"));
  auto owned = std::make_unique<Counting>(module, 1);
  Counting& application = *owned;
  const AssociationId id = node.shard.add_coordinator(std::move(owned), module, world.now());
  const Door door(node.shard, id, module);
  std::thread other([door] {
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(door.post(
          [](Application& called, Instant, Outbox&) { ++static_cast<Counting&>(called).calls; }));
    }
  });
  other.join();
  EXPECT_EQ(application.calls, 0) << "not on that thread";
  node.shard.run_mailbox(world.now());
  EXPECT_EQ(application.calls, 3);
}

TEST(DoorTest, SaysSoWhenTooMuchWaits) {
  sim::SimWorld world(1);
  ShardConfig config;
  config.mailbox.parcels_max = 2;
  sim::SimNode node(world, PeerTable(), config);
  DiameterModule module(node_config("us"));
  const AssociationId id =
      node.shard.add_coordinator(std::make_unique<Counting>(module, 1), module, world.now());
  const Door door(node.shard, id, module);
  const auto nothing = [](Application&, Instant, Outbox&) {};
  EXPECT_TRUE(door.post(nothing));
  EXPECT_TRUE(door.post(nothing));
  EXPECT_FALSE(door.post(nothing));
  node.shard.run_mailbox(world.now());
  EXPECT_TRUE(door.post(nothing));
}

}  // namespace
}  // namespace siglane::diameter
