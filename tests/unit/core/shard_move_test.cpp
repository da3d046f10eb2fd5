// Why a shard does not move an association to another shard.
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/core/shard_world.h"

namespace siglane {
namespace {

struct Ordered final : Parcel {
  explicit Ordered(AssociationId target) : to(target) {}
  Carriage carriage() const override { return Carriage::ordered; }
  AssociationId to;
};

// Whoever connects says its name, if it has one. "to N" is a parcel for the session with id N. Does
// not close when its node stops.
class WordSession final : public PlainSession {
 public:
  WordSession(std::string own_name, std::string peer)
      : own_name_(std::move(own_name)), peer_(std::move(peer)) {}

  void step(SessionInput input, Instant, Outbox& out) override {
    if (const auto* up = std::get_if<AssociationUp>(&input)) {
      if (!up->initiator || own_name_.empty()) return;
      out.transmit(message(own_name_));
      out.identify(peer_);
    } else if (const auto* received = std::get_if<AssociationReceived>(&input)) {
      const std::string word = text_of(received->message);
      if (word == "bye") return out.close(CloseMode::graceful);
      if (!word.starts_with("to ")) return out.identify(word);
      out.accept(std::make_unique<Ordered>(AssociationId{std::stoull(word.substr(3))}));
    } else if (std::holds_alternative<Superseded>(input)) {
      out.linger();
    }
  }
  SessionStatus status() const override { return {peer_, "word", "open", 0, {}}; }

 private:
  std::string own_name_, peer_;
};

struct WordModule final : PlainModule {
  std::unique_ptr<Session> session_of(AssociationId, const AssociationUp& up) const override {
    return std::make_unique<WordSession>(own_name, up.peer);
  }
  void route(ShardId, AssociationId, ParcelPtr parcel, Instant, Outbox& out) const override {
    const AssociationId to = static_cast<Ordered&>(*parcel).to;
    out.forward(to, std::move(parcel));
  }
};
using Client = Remote<WordModule>;

// The association of alice lives on the first shard. The second does nothing by itself: the test
// drives it. Its mailbox takes one parcel.
class MoveTest : public ShardFixture<WordModule> {
 protected:
  MoveTest() : ShardFixture({peer("alice", "10.0.0.2"), peer("bob", "10.0.0.3")}) {
    second_endpoint = second.open(endpoint("10.0.0.9", true), module).value();
    id = come(alice);
  }
  static ShardConfig small_mailbox() {
    ShardConfig config;
    config.mailbox.parcels_max = 1;
    return config;
  }
  AssociationId come(Client& client) {
    const std::size_t before = client.module.opened.size();
    EXPECT_TRUE(world.run_until([&] { return client.module.opened.size() > before; }));
    world.run_for(5ms);
    return module.opened.back();
  }
  void first_reads(AssociationId from, const std::string& word) {
    reads(server.shard, from, word, world.now());
  }
  void turns() { there.turns(); }
  auto move_to(ShardId to) { return server.shard.move(id, to, world.now()); }
  // It stays where it is, and that is counted.
  void expect_refused(MoveRefusal reason, ShardId to = ShardId{1}) {
    const std::uint64_t before = server.counters.get(counter::moves_refused);
    const auto outcome = move_to(to);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(name_of(outcome.error()), name_of(reason));
    EXPECT_EQ(server.counters.get(counter::moves_refused), before + 1);
    EXPECT_EQ(server.counters.get(counter::moves), moves_before);
  }
  // Whatever stood against it is over.
  void expect_moved() {
    ASSERT_TRUE(move_to(ShardId{1}));
    turns();
    EXPECT_EQ(server.directory.home_of(id), ShardId{1});
    EXPECT_FALSE(server.directory.diverting());
  }
  // Fills the mailbox of the second shard.
  void send_two_parcels_to_the_second(AssociationId from) {
    const AssociationId there = second.add_coordinator(
        std::make_unique<WordSession>(std::string(), std::string()), module, world.now());
    const std::string word = "to " + std::to_string(static_cast<std::uint64_t>(there));
    first_reads(from, word);
    first_reads(from, word);
  }

  SecondShard there{world, server, small_mailbox()};
  Shard& second = there.shard;
  EndpointId second_endpoint{};
  Client alice{world, "alice", "10.0.0.2"};
  AssociationId id{};
  std::uint64_t moves_before = 0;
};

TEST_F(MoveTest, IsDoneWhereNothingStandsAgainstIt) {
  expect_moved();
  EXPECT_EQ(server.counters.get(counter::moves_refused), 0u);
}

TEST_F(MoveTest, IsRefusedForAnAssociationThatIsNotHere) {
  id = next_association_id();
  expect_refused(MoveRefusal::gone);
}

TEST_F(MoveTest, IsRefusedForAnAssociationThatHasMovedAway) {
  expect_moved();
  moves_before = 1;
  expect_refused(MoveRefusal::gone);
}

TEST_F(MoveTest, IsRefusedForACoordinator) {
  id = server.shard.add_coordinator(std::make_unique<WordSession>(std::string(), std::string()),
                                    module, world.now());
  expect_refused(MoveRefusal::coordinator);
}

TEST_F(MoveTest, IsRefusedForAnAssociationThatIsBeingClosed) {
  first_reads(id, "bye");
  expect_refused(MoveRefusal::closing);
}

TEST_F(MoveTest, IsRefusedForAnAssociationWhoseEndTheTransportAloneKnows) {
  server.transport.fail_detach(Gone{});
  expect_refused(MoveRefusal::closing);
}

TEST_F(MoveTest, IsRefusedForAnAssociationOfWhichNobodyKnowsWhoItIs) {
  Client mute(world, "", "10.0.0.3");
  id = come(mute);
  expect_refused(MoveRefusal::not_identified);
}

TEST_F(MoveTest, IsRefusedWhileAnotherAssociationWaitsToBeItsPeer) {
  const AssociationId again = next_association_id();
  comes_up(second, again, second_endpoint, "10.0.0.2", world.now());
  reads(second, again, "alice", world.now());
  turns();
  expect_refused(MoveRefusal::claimed);
}

TEST_F(MoveTest, IsRefusedToTheShardWhereItLives) {
  expect_refused(MoveRefusal::same_shard, ShardId{0});
}

TEST_F(MoveTest, IsRefusedToAShardThatDoesNotExist) {
  expect_refused(MoveRefusal::no_such_shard, ShardId{2});
}

TEST_F(MoveTest, IsRefusedWhileTheNodeStops) {
  server.shard.stop(world.now());
  expect_refused(MoveRefusal::stopping);
}

TEST_F(MoveTest, IsRefusedForAnAssociationThatItsTransportKeepsOnThisLoop) {
  server.transport.seat_all(Seat::bound);
  expect_refused(MoveRefusal::bound);
  server.transport.seat_all(Seat::shared);
  expect_moved();
}

TEST_F(MoveTest, IsRefusedUntilThisShardHasSeenTheEndOfAnotherMove) {
  Client bob(world, "bob", "10.0.0.3");
  const AssociationId other = come(bob);
  ASSERT_TRUE(server.shard.move(other, ShardId{1}, world.now()));
  moves_before = 1;
  expect_refused(MoveRefusal::diverting);
  turns();
  expect_moved();
}

TEST_F(MoveTest, IsRefusedWhileAnotherShardChangesAPath) {
  const auto diversion = server.directory.begin_move(next_association_id(), ShardId{1}, ShardId{0});
  ASSERT_TRUE(diversion);
  expect_refused(MoveRefusal::diverting);
  EXPECT_FALSE(server.directory.end(*diversion));
  expect_moved();
}

TEST_F(MoveTest, IsRefusedWhileSomethingThatItHasSentWaitsForRoom) {
  send_two_parcels_to_the_second(id);
  expect_refused(MoveRefusal::waits_for_room);
  turns();
  expect_moved();
}

TEST_F(MoveTest, IsRefusedToAShardWhoseMailboxIsFull) {
  Client bob(world, "bob", "10.0.0.3");
  send_two_parcels_to_the_second(come(bob));
  expect_refused(MoveRefusal::target_full);
  turns();
  expect_moved();
}

TEST_F(MoveTest, IsRefusedWithoutADescriptorToSpareAndLeavesNoDiversionBehind) {
  server.transport.fail_detach(Starved{"no descriptor"});
  expect_refused(MoveRefusal::no_descriptor);
  EXPECT_FALSE(server.directory.diverting());
  expect_moved();
}

TEST_F(MoveTest, IsRefusedForAnAssociationThatTheStackGivesUp) {
  server.transport.fail_detach(Lost{});
  expect_refused(MoveRefusal::lost);
  EXPECT_FALSE(server.directory.diverting());
  world.run_for(5ms);
  expect_refused(MoveRefusal::gone);
}

TEST(MoveRefusal, HasANameOfItsOwnForEachReason) {
  std::set<std::string_view> names;
  const int count = static_cast<int>(MoveRefusal::lost) + 1;
  for (int i = 0; i < count; ++i) names.insert(name_of(static_cast<MoveRefusal>(i)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(count));
  EXPECT_FALSE(names.contains("unknown"));
}

}  // namespace
}  // namespace siglane
