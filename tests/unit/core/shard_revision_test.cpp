// A shard follows a new revision, and an operator's orders.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/shard_facts.h"
#include "tests/unit/core/shard_world.h"

namespace siglane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Told = std::vector<std::string>;

std::string_view name_of(Operate::Verb verb) {
  switch (verb) {
    case Operate::Verb::disconnect:
      return "disconnect";
    case Operate::Verb::block:
      return "block";
    case Operate::Verb::unblock:
      return "unblock";
  }
  return "?";
}

// Whoever connects says its name. Notes what it is told from above, and closes when it is told to
// disconnect.
class NamedSession final : public PlainSession {
 public:
  NamedSession(std::string own_name, std::string peer, std::map<std::string, Told>& told)
      : own_name_(std::move(own_name)), peer_(std::move(peer)), told_(told) {}

  void step(SessionInput input, Instant, Outbox& out) override {
    if (const auto* up = std::get_if<AssociationUp>(&input)) {
      if (!up->initiator) return;
      out.transmit(message(own_name_));
      out.identify(peer_);
    } else if (const auto* received = std::get_if<AssociationReceived>(&input)) {
      peer_ = text_of(received->message);
      out.identify(peer_);
    } else if (const auto* operate = std::get_if<Operate>(&input)) {
      told_[peer_].push_back(std::string(name_of(operate->verb)) + ": " + operate->why +
                             (operate->may_return ? ", and may return" : ""));
      if (operate->verb == Operate::Verb::disconnect) out.close(CloseMode::graceful);
    } else if (std::holds_alternative<Reconfigured>(input)) {
      told_[peer_].push_back("reconfigured");
    } else if (std::holds_alternative<IdentityRefused>(input)) {
      out.close(CloseMode::graceful);
    }
  }
  SessionStatus status() const override { return {peer_, "named", "open", 0, {}}; }

 private:
  std::string own_name_, peer_;
  std::map<std::string, Told>& told_;
};

struct NamedModule final : PlainModule {
  NamedModule() { own_name = "server"; }
  std::unique_ptr<Session> session_of(AssociationId, const AssociationUp& up) const override {
    return std::make_unique<NamedSession>(own_name, up.peer, told);
  }
  void undelivered(ShardId, AssociationId, ParcelPtr, Why why, Instant, Outbox&) const override {
    undelivered_why.push_back(why);
  }
  void adopt(ShardId shard) override { adopted.push_back(shard); }

  std::vector<ShardId> adopted;
  mutable std::map<std::string, Told> told;  // by peer
  mutable std::vector<Why> undelivered_why;
};
using Remote = siglane::Remote<NamedModule>;

// Ends when it is told that its module has a new config.
struct Ending final : PlainSession {
  void step(SessionInput input, Instant, Outbox& out) override {
    if (std::holds_alternative<Reconfigured>(input)) out.close(CloseMode::graceful);
  }
};

class RevisionTest : public ShardFixture<NamedModule> {
 protected:
  RevisionTest() : ShardFixture({peer("alice", "10.0.0.2"), peer("bob", "10.0.0.3")}) {
    (void)second.open(endpoint("10.0.0.9", true), module).value();
    settle();
  }
  // Long enough for whoever connects to be here; the second shard has no driver of its own.
  void settle(Duration span = 100ms) {
    for (int i = 0; i < 100; ++i) {
      world.run_for(span / 100);
      second.run_mailbox(world.now());
      second.run_due(world.now());
    }
  }
  Revised revised(std::vector<PeerConfig> peers, RevisionChange change) {
    Revised next;
    next.revision = std::make_shared<const Revision>(
        Revision{++number_, PeerTable(std::move(peers)), BackoffConfig{}});
    next.change = std::make_shared<const RevisionChange>(std::move(change));
    return next;
  }
  void follow(const Revised& next) {
    server.shard.follow(next, world.now());
    second.follow(next, world.now());
    settle();
  }
  PeerKey key(const std::string& name) { return {&module, name}; }
  bool here(const std::string& name) { return is_in(name); }
  Told told(const std::string& name) { return std::exchange(module.told[name], {}); }
  // Every shard of a node hears of an order.
  void order(const std::string& name, PeerOrder what, StandingOrders standing) {
    server.directory.order(&module, name, standing);
    server.shard.order(key(name), what, "asked", world.now());
    second.order(key(name), what, "asked", world.now());
    settle();
  }

  const PeerConfig alice_ = peer("alice", "10.0.0.2"), bob_ = peer("bob", "10.0.0.3"),
                   carol_ = peer("carol", "10.0.0.4");
  SecondShard there{world, server};
  Shard& second = there.shard;
  Remote alice{world, "alice", "10.0.0.2"}, bob{world, "bob", "10.0.0.3"};
  std::uint64_t number_ = 1;
};

TEST_F(RevisionTest, APeerThatIsRemovedSaysGoodbyeAndIsNotLetInAgain) {
  ASSERT_TRUE(here("alice") && here("bob"));
  follow(revised({bob_}, {{&module}, {{key("alice"), PeerChange::removed}}, {}}));
  EXPECT_THAT(told("alice"), ElementsAre("disconnect: it is no peer any more", "reconfigured"));
  EXPECT_FALSE(here("alice"));
  settle(10s);  // it comes again and again
  EXPECT_FALSE(here("alice"));
  EXPECT_THAT(told("bob"), ElementsAre("reconfigured"));
  EXPECT_TRUE(here("bob"));
  EXPECT_EQ(bob.module.opened.size(), 1u);
  EXPECT_THAT(module.adopted, ElementsAre(ShardId{0}, ShardId{1}));
}

TEST_F(RevisionTest, WhatIsNotNamedInAChangeIsToldNothing) {
  follow(revised({alice_, bob_, carol_}, {}));
  EXPECT_THAT(told("alice"), IsEmpty());
  EXPECT_THAT(told("bob"), IsEmpty());
  EXPECT_THAT(module.adopted, IsEmpty());
}

TEST_F(RevisionTest, AStrangerWhoIsHereStaysForAsLongAsStrangersAreAccepted) {
  const auto accepting = [this](bool strangers) {
    Revised next = revised({alice_, bob_}, {});
    next.revision = std::make_shared<const Revision>(
        Revision{number_, PeerTable({alice_, bob_}, {.accept_unknown_peers = strangers}), {}});
    return next;
  };
  Remote carol{world, "carol", "10.0.0.4"};
  follow(accepting(true));
  settle(10s);
  ASSERT_TRUE(here("carol"));
  follow(accepting(true));
  EXPECT_TRUE(here("carol"));
  EXPECT_THAT(told("carol"), IsEmpty());
  follow(accepting(false));
  EXPECT_THAT(told("carol"), ElementsAre("disconnect: unknown peers are not accepted any more"));
  EXPECT_FALSE(here("carol"));
  EXPECT_THAT(told("alice"), IsEmpty());
  settle(10s);
  EXPECT_FALSE(here("carol"));
}

TEST_F(RevisionTest, APeerThatIsAddedIsLetInAndOneThatWeAreToConnectToIsConnected) {
  Remote carol{world, "carol", "10.0.0.4", true}, dave{world, "dave", "10.0.0.5", false};
  settle();
  EXPECT_FALSE(here("carol"));
  const PeerConfig to_dave = peer("dave", "10.0.0.5");
  follow(
      revised({alice_, bob_, carol_, to_dave}, {{}, {}, {{ShardId{0}, &module, local, to_dave}}}));
  settle(10s);
  EXPECT_TRUE(here("carol"));
  EXPECT_TRUE(here("dave"));
  EXPECT_EQ(dave.module.opened.size(), 1u);
}

TEST_F(RevisionTest, ALinkThatIsRemovedDoesNotConnectAgain) {
  Remote dave{world, "dave", "10.0.0.5", false};
  const PeerConfig to_dave = peer("dave", "10.0.0.5");
  follow(revised({to_dave}, {{}, {}, {{ShardId{0}, &module, local, to_dave}}}));
  ASSERT_TRUE(here("dave"));
  follow(revised({}, {{}, {{key("dave"), PeerChange::removed}}, {}}));
  EXPECT_FALSE(here("dave"));
  settle(60s);
  EXPECT_EQ(dave.module.opened.size(), 1u);
}

TEST_F(RevisionTest, ALinkThatRestsConnectsOnceItsPeerMayHaveOneAssociationMore) {
  const auto associations = [&] { return server.directory.associations_of(&module, "alice"); };
  const auto before = associations();
  ASSERT_EQ(before.size(), 1u) << "she has come to us";
  follow(revised({alice_, bob_}, {{}, {}, {{ShardId{0}, &module, local, alice_}}}));
  settle(60s);
  EXPECT_EQ(alice.module.opened.size(), 1u);
  PeerConfig twice = alice_, of_alice = peer("server", "10.0.0.1");
  twice.connections_max = of_alice.connections_max = 2;
  alice.node.shard.follow({std::make_shared<const Revision>(Revision{2, PeerTable({of_alice}), {}}),
                           std::make_shared<const RevisionChange>()},
                          world.now());
  follow(revised({twice, bob_}, {{}, {{key("alice"), PeerChange::rebound}}, {}}));
  settle(1s);
  EXPECT_EQ(associations().size(), 2u);
  EXPECT_EQ(associations().front(), before.front());
  EXPECT_EQ(alice.module.opened.size(), 2u);
}

TEST_F(RevisionTest, APeerThatIsToReconnectIsConnectedByItsNewConfig) {
  Remote dave{world, "dave", "10.0.0.5", false}, moved{world, "dave", "10.0.0.6", false};
  const PeerConfig old_dave = peer("dave", "10.0.0.5"), new_dave = peer("dave", "10.0.0.6");
  follow(revised({old_dave}, {{}, {}, {{ShardId{0}, &module, local, old_dave}}}));
  ASSERT_TRUE(here("dave"));
  follow(revised(
      {new_dave},
      {{}, {{key("dave"), PeerChange::reconnected}}, {{ShardId{1}, &module, local, new_dave}}}));
  EXPECT_THAT(told("dave"), ElementsAre("disconnect: its config has changed, and may return"));
  EXPECT_FALSE(dave.module.opened.empty());
  // The endpoint belongs to the first shard's transport here, so another revision has it there.
  follow(revised(
      {new_dave},
      {{}, {{key("dave"), PeerChange::reconnected}}, {{ShardId{0}, &module, local, new_dave}}}));
  settle(10s);
  EXPECT_TRUE(here("dave"));
  EXPECT_EQ(dave.module.opened.size(), 1u);
  EXPECT_EQ(moved.module.opened.size(), 1u);
}

TEST_F(RevisionTest, OneThatMovesToAShardThatHasFollowedIsToldWhatItMissed) {
  const auto id = server.directory.association_of(&module, "alice");
  ASSERT_TRUE(id);
  const Revised next = revised({bob_}, {{&module}, {{key("alice"), PeerChange::removed}}, {}});
  second.follow(next, world.now());
  ASSERT_TRUE(server.shard.move(*id, ShardId{1}, world.now()).has_value());
  settle();
  EXPECT_THAT(told("alice"), ElementsAre("disconnect: it is no peer any more", "reconfigured"));
  server.shard.follow(next, world.now());
  settle();
  EXPECT_FALSE(here("alice"));
  EXPECT_THAT(told("alice"), IsEmpty());
}

TEST_F(RevisionTest, OneThatHasFollowedAndMovesToAShardThatHasNotIsNotToldTheSameTwice) {
  const auto id = server.directory.association_of(&module, "alice");
  const Revised next = revised({alice_, bob_}, {{&module}, {}, {}});
  server.shard.follow(next, world.now());
  ASSERT_TRUE(server.shard.move(*id, ShardId{1}, world.now()).has_value());
  settle();
  second.follow(next, world.now());
  settle();
  EXPECT_THAT(told("alice"), ElementsAre("reconfigured"));
  EXPECT_TRUE(here("alice"));
}

TEST_F(RevisionTest, ACoordinatorThatClosesEndsAndWhatComesLaterIsUndelivered) {
  const AssociationId ending =
      second.add_coordinator(std::make_unique<Ending>(), module, world.now());
  const AssociationId told_id = next_association_id();
  EXPECT_EQ(second.add_coordinator(std::make_unique<Ending>(), module, world.now(), told_id),
            told_id);
  follow(revised({alice_, bob_}, {{&module}, {}, {}}));
  for (const AssociationId gone : {ending, told_id}) {
    second.submit(server.directory.association_of(&module, "alice").value(), gone,
                  std::make_unique<Parcel>(), world.now());
  }
  // Without a module that answers, a parcel for nobody is counted.
  EXPECT_EQ(server.counters.get(counter::parcels_undelivered), 2u);
}

// --- Orders -------------------------------------------------------------------------------------

TEST_F(RevisionTest, ABlockedPeerIsToldSoAndAgainWhenItComesBack) {
  order("alice", PeerOrder::block, {.blocked = true});
  EXPECT_THAT(told("alice"), ElementsAre("block: asked"));
  EXPECT_THAT(told("bob"), IsEmpty());
  alice.node.transport.cut(alice.module.opened.back());
  settle(5s);
  ASSERT_TRUE(here("alice"));
  EXPECT_THAT(told("alice"), ElementsAre("block: the operator asks for it"));
  order("alice", PeerOrder::unblock, {});
  EXPECT_THAT(told("alice"), ElementsAre("unblock: asked"));
}

TEST_F(RevisionTest, OneThatIsBlockedWhileItMovesIsToldWhereItArrives) {
  const auto id = server.directory.association_of(&module, "alice");
  server.directory.order(&module, "alice", {.blocked = true});
  second.order(key("alice"), PeerOrder::block, "asked", world.now());
  ASSERT_TRUE(server.shard.move(*id, ShardId{1}, world.now()).has_value());
  server.shard.order(key("alice"), PeerOrder::block, "asked", world.now());
  settle();
  EXPECT_THAT(told("alice"), ElementsAre("block: the operator asks for it"));
}

TEST_F(RevisionTest, WhatIsDisconnectedIsNotConnectedToUntilTheOperatorSaysSo) {
  Remote dave{world, "dave", "10.0.0.5", false};
  const PeerConfig to_dave = peer("dave", "10.0.0.5");
  follow(revised({to_dave}, {{}, {}, {{ShardId{0}, &module, local, to_dave}}}));
  ASSERT_TRUE(here("dave"));
  order("dave", PeerOrder::disconnect, {.disconnected = true, .disconnects = 1});
  EXPECT_THAT(told("dave"), ElementsAre("disconnect: asked"));
  settle(60s);
  EXPECT_FALSE(here("dave"));
  EXPECT_EQ(dave.module.opened.size(), 1u);
  order("dave", PeerOrder::connect, {.disconnects = 1});
  EXPECT_TRUE(here("dave"));
  EXPECT_THAT(told("dave"), IsEmpty());
}

TEST_F(RevisionTest, WhoIsDisconnectedAndConnectsByItselfIsRefusedUntilTheOperatorSaysSo) {
  order("alice", PeerOrder::disconnect, {.disconnected = true, .disconnects = 1});
  EXPECT_THAT(told("alice"), ElementsAre("disconnect: asked"));
  settle(60s);
  EXPECT_GT(alice.module.opened.size(), 1u) << "she has come again";
  EXPECT_FALSE(here("alice"));
  EXPECT_EQ(server.facts.last(kPeerRefused, "why"), "the operator has disconnected it");
  EXPECT_TRUE(here("bob"));
  order("alice", PeerOrder::connect, {.disconnects = 1});
  settle(60s);
  EXPECT_TRUE(here("alice"));
  EXPECT_THAT(told("alice"), IsEmpty());
}

TEST_F(RevisionTest, OnlyWhatSharesASocketCountsAsPeeled) {
  server.transport.seat_all(Seat::shared);
  EXPECT_EQ(server.shard.order(key("alice"), PeerOrder::peel, "asked", world.now()), 1u);
  server.transport.seat_all(Seat::own);
  EXPECT_EQ(server.shard.order(key("alice"), PeerOrder::peel, "asked", world.now()), 0u);
}

}  // namespace
}  // namespace siglane
