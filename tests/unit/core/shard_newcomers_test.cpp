// Who connects to a shard and does not say who it is.
#include <algorithm>
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

using sim::SimNode;
using sim::SimTransport;
using sim::SimWorld;
using testing::ElementsAre;

// Whoever connects may say one word: the name of a peer, or something that is none.
class NameSession final : public PlainSession {
 public:
  void step(SessionInput input, Instant, Outbox& out) override {
    if (auto* received = std::get_if<AssociationReceived>(&input)) {
      name_ = text_of(received->message);
      if (name_ == "garbage") {
        out.violation("not a name");
        out.close(CloseMode::abort);
      } else {
        out.identify(name_);
      }
    } else if (std::holds_alternative<IdentityRefused>(input)) {
      out.close(CloseMode::graceful);
    }
  }
  SessionStatus status() const override { return {name_, "name", "open", 0, {}}; }

 private:
  std::string name_;
};

struct NameModule final : PlainModule {
  std::unique_ptr<Session> session_of(AssociationId, const AssociationUp&) const override {
    return std::make_unique<NameSession>();
  }
};

// Connects from one address, and says what it is told to say.
class Caller final : private TransportSink {
 public:
  Caller(SimWorld& world, NameModule& module, const std::string& address) : transport_(world) {
    transport_.set_sink(*this);
    local_ = transport_.open(endpoint(address, false), module).value();
  }
  void connect(int times = 1, const std::string& address = "10.0.0.1") {
    server_ = peer("server", address);
    for (int i = 0; i < times; ++i) transport_.connect(local_, server_);
  }
  std::string says;          // when it is up
  bool comes_again = false;  // when it has been closed
  std::size_t times_up = 0, times_down = 0;

 private:
  void on_event(AssociationId id, AssociationEvent event, Instant) override {
    if (std::holds_alternative<AssociationUp>(event)) {
      ++times_up;
      if (says.empty()) return;
      EXPECT_EQ(transport_.find(id)->send(message(says)), SendOutcome::accepted);
    } else if (std::holds_alternative<AssociationDown>(event)) {
      ++times_down;
      if (comes_again) transport_.connect(local_, server_);
    }
  }
  void on_stranger(const std::string&, std::string, Instant) override {}
  void on_fact(AssociationId, Fact, Instant) override {}

  SimTransport transport_;
  EndpointId local_{};
  PeerConfig server_;
};

class ShardNewcomersTest : public ShardFixture<NameModule> {
 protected:
  // alice may be anywhere.
  ShardNewcomersTest() : ShardFixture({peer("alice"), peer("bob", "10.0.0.3")}, admission()) {}
  static AdmissionConfig admission() {
    AdmissionConfig config;
    config.unidentified_associations_max = 4;
    return config;
  }
  // By the address that they come from.
  std::map<std::string, int> waiting() {
    std::map<std::string, int> found;
    server.shard.visit_sessions([&](const SessionView& view) {
      if (view.identified) return;
      const std::string remote = server.transport.status(view.id)->remote;
      ++found[remote.substr(0, remote.find(':'))];
    });
    return found;
  }

  Caller stranger{world, module, "10.0.9.1"};
};

TEST_F(ShardNewcomersTest, AStrangerWithManyConnectionsLosesHisOwn) {
  Caller other(world, module, "10.0.9.2");
  other.connect();
  world.run_for(100ms);
  stranger.connect(20);
  world.run_for(1s);
  EXPECT_EQ(waiting(), (std::map<std::string, int>{{"10.0.9.1", 3}, {"10.0.9.2", 1}}));
  EXPECT_EQ(other.times_down, 0u);
  EXPECT_EQ(count(counter::associations_gave_way), 17u);
  EXPECT_EQ(count(counter::associations_refused_limit), 0u);
}

TEST_F(ShardNewcomersTest, APeerGetsInWhileStrangersAtItsOwnAddressComeAgainAndAgain) {
  AdmissionConfig config;
  config.unidentified_associations_max = 512;
  SimNode large(world, PeerTable({peer("alice")}, config));
  large.shard.open(endpoint("10.0.0.5", true), module).value();
  stranger.comes_again = true;
  stranger.connect(600, "10.0.0.5");
  world.run_for(100ms);
  EXPECT_GT(large.counters.get(counter::associations_gave_way), 1000u);
  Caller alice(world, module, "10.0.9.1");
  alice.says = "alice";
  alice.connect(1, "10.0.0.5");
  EXPECT_TRUE(world.run_until(
      [&] { return large.directory.association_of(&module, "alice").has_value(); }, 1s));
  world.run_for(100ms);
  EXPECT_EQ(alice.times_down, 0u) << "who is known does not lose its place";
}

TEST_F(ShardNewcomersTest, APeersAddressHasPlacesThatStrangersCannotTake) {
  Caller bob(world, module, "10.0.0.3");
  bob.connect();
  world.run_for(100ms);
  stranger.connect(50);
  world.run_for(1s);
  EXPECT_EQ(bob.times_down, 0u);
  EXPECT_EQ(waiting()["10.0.0.3"], 1);
  EXPECT_EQ(waiting()["10.0.9.1"], 4);
}

TEST_F(ShardNewcomersTest, WhoIsStillInAHandshakeHasAPlaceToo) {
  const auto comes = [&](AssociationId id) {
    return server.shard.on_newcomer(id, {"10.0.9.1"}, world.now()).admitted;
  };
  const AssociationId first = next_association_id();
  EXPECT_TRUE(comes(first));
  EXPECT_EQ(server.directory.newcomers().count(), 1u);
  server.shard.on_event(first, AssociationDown{DownCause::tls_failed, "no handshake"}, world.now());
  EXPECT_EQ(server.directory.newcomers().count(), 0u);
  EXPECT_EQ(server.facts.last(kStrangersSeen, "why"), "no handshake");
  EXPECT_EQ(server.facts.last(kStrangersSeen, "refused"), "1");
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(comes(next_association_id()));
  stranger.connect();
  world.run_for(100ms);
  EXPECT_EQ(count(counter::associations_gave_way), 1u);
}

TEST_F(ShardNewcomersTest, AnAddressThatNoPeerHasIsTurnedAwayBeforeAHandshake) {
  SimNode strict(world, PeerTable({peer("bob", "10.0.0.3")}));
  EXPECT_FALSE(strict.shard.on_newcomer(next_association_id(), {"10.0.9.1"}, world.now()).admitted);
  EXPECT_TRUE(strict.shard.on_newcomer(next_association_id(), {"10.0.0.3"}, world.now()).admitted);
  EXPECT_EQ(strict.counters.get(counter::associations_refused_address), 1u);
}

TEST_F(ShardNewcomersTest, AreToldOfTogetherAndOnceAMinute) {
  stranger.comes_again = true;
  stranger.connect(5);
  world.run_for(59s);
  EXPECT_EQ(server.facts.count(kStrangersSeen), 1u);
  EXPECT_EQ(server.facts.entries().size(), 1u) << "nothing else is told of them";
  stranger.comes_again = false;
  world.run_for(80s);
  EXPECT_EQ(server.facts.count(kStrangersSeen), 3u);
  EXPECT_EQ(server.facts.entries().size(), 3u);
  EXPECT_FALSE(server.shard.next_deadline());
  std::uint64_t told = 0;
  for (const auto& entry : server.facts.entries()) {
    told += std::stoull(field(entry.fact, "refused"));
  }
  EXPECT_EQ(told, count(counter::associations_gave_way) +
                      count(counter::associations_unidentified_timeout));
  EXPECT_EQ(count(counter::associations_opened), told);
}

TEST_F(ShardNewcomersTest, WhoGoesByItselfIsNotRefused) {
  {
    Caller prober(world, module, "10.0.9.7");
    prober.connect();
    world.run_for(100ms);
    ASSERT_EQ(prober.times_up, 1u);
    server.shard.visit_sessions([&](const SessionView& view) { server.transport.cut(view.id); });
    world.run_for(100ms);
  }
  EXPECT_EQ(server.facts.last(kStrangersSeen, "left"), "1");
  EXPECT_EQ(server.facts.last(kStrangersSeen, "refused"), "0");
}

TEST_F(ShardNewcomersTest, APeerThatIsRefusedByNameHasALineOfItsOwn) {
  Caller bob(world, module, "10.0.9.1");
  bob.says = "bob";
  bob.connect(3);
  world.run_for(1s);
  ASSERT_EQ(server.facts.count(kPeerRefused), 1u);
  EXPECT_EQ(server.facts.last(kPeerRefused, "who"), "bob");
  ASSERT_EQ(server.facts.count(kStrangersSeen), 1u);
  EXPECT_EQ(server.facts.last(kStrangersSeen, "why"),
            "bob: comes from an address that is not configured for it");
}

TEST_F(ShardNewcomersTest, WhatASessionHasAgainstAStrangerIsToldWithTheOthers) {
  stranger.says = "garbage";
  stranger.connect(3);
  world.run_for(1s);
  EXPECT_EQ(server.facts.entries().size(), 1u);
  EXPECT_EQ(server.facts.last(kStrangersSeen, "why"), "not a name");
}

TEST_F(ShardNewcomersTest, WhomTheTransportTurnsAwayIsAStrangerLikeOthers) {
  server.shard.on_stranger("10.0.9.1", "endpoint main has its associations_max", world.now());
  ASSERT_EQ(server.facts.entries().size(), 1u);
  const auto& told = server.facts.entries().front();
  ASSERT_TRUE(is(told.fact, kStrangersSeen));
  EXPECT_EQ(told.fact.severity, Severity::warning);
  EXPECT_EQ(field(told.fact, "last"), "10.0.9.1");
  EXPECT_EQ(field(told.fact, "why"), "endpoint main has its associations_max");
}

// The other shard has no loop of its own here: the test drives it.
TEST_F(ShardNewcomersTest, OneOfAnotherShardGivesWayToo) {
  SecondShard there(world, server);
  stranger.connect(4);
  world.run_for(100ms);
  ASSERT_EQ(waiting()["10.0.9.1"], 4);
  EXPECT_TRUE(there.shard.on_newcomer(next_association_id(), {"10.0.9.2"}, world.now()).admitted);
  world.run_for(100ms);
  EXPECT_EQ(waiting()["10.0.9.1"], 3);
  EXPECT_EQ(stranger.times_down, 1u);
}

TEST_F(ShardNewcomersTest, WhoHasSaidItsNameJustInTimeStays) {
  SecondShard there(world, server);
  stranger.says = "alice";
  stranger.connect();
  ASSERT_TRUE(world.run_until([&] { return stranger.times_up == 1; }));
  for (int i = 0; i < 4; ++i) {
    (void)there.shard.on_newcomer(next_association_id(), {"10.0.9.2"}, world.now());
  }
  ASSERT_TRUE(world.run_until([&] { return is_in("alice"); }));
  world.run_for(1s);
  EXPECT_EQ(stranger.times_down, 0u);
}

}  // namespace
}  // namespace siglane
