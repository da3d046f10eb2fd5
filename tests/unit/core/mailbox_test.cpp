#include "core/mailbox.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "core/directory.h"

namespace siglane {
namespace {

struct Numbered final : Parcel {
  Numbered(int s, int n) : sender(s), number(n) {}
  int sender, number;
};

TEST(Mailbox, RefusesDataBeyondItsBudgetAndLeavesTheParcelWithTheSender) {
  Mailbox mailbox({.parcels_max = 2});
  for (int i = 0; i < 2; ++i) {
    Delivery delivery{{}, {}, std::make_unique<Numbered>(0, i), nullptr};
    EXPECT_TRUE(mailbox.post_data(delivery));
  }
  Delivery third{{}, {}, std::make_unique<Numbered>(0, 2), nullptr};
  EXPECT_FALSE(mailbox.post_data(third));
  EXPECT_NE(third.parcel, nullptr);
  std::vector<Letter> letters;
  mailbox.drain(letters);
  EXPECT_TRUE(mailbox.post_data(third));
}

struct Heavy final : Parcel {
  std::size_t bytes_held() const override { return 600; }
};

TEST(Mailbox, CountsBytesTooAndTakesAParcelOfAnySizeAlone) {
  const auto heavy = [] { return Delivery{{}, {}, std::make_unique<Heavy>(), nullptr}; };
  Mailbox small({.bytes_max = 500}), larger({.bytes_max = 1200});
  Delivery one = heavy(), two = heavy(), three = heavy(), four = heavy(), five = heavy();
  EXPECT_TRUE(small.post_data(one));
  EXPECT_FALSE(small.post_data(two));
  EXPECT_TRUE(larger.post_data(three));
  EXPECT_TRUE(larger.post_data(four));
  EXPECT_FALSE(larger.post_data(five));
  std::vector<Letter> letters;
  larger.drain(letters);
  EXPECT_TRUE(larger.post_data(five));
}

TEST(Mailbox, AlwaysHasRoomForControlAndKeepsItInOrderWithData) {
  Mailbox mailbox({.parcels_max = 1});
  Delivery data{AssociationId{1}, {}, std::make_unique<Numbered>(0, 0), nullptr};
  ASSERT_TRUE(mailbox.post_data(data));
  for (int i = 0; i < 100; ++i) mailbox.post_control(Call{[] {}});
  std::vector<Letter> letters;
  mailbox.drain(letters);
  ASSERT_EQ(letters.size(), 101u);
  EXPECT_TRUE(std::holds_alternative<Delivery>(letters.front()));
}

// What sessions say to one another is never lost, but who says too much of it can be stopped.
TEST(Mailbox, TakesEveryControlParcelAndTellsItsSenderWhenManyWait) {
  Mailbox mailbox({.parcels_max = 3}), sender;
  const auto post = [&] {
    Delivery delivery{{}, {}, std::make_unique<Numbered>(0, 0), nullptr};
    return mailbox.post_control(delivery, &sender);
  };
  EXPECT_TRUE(post());
  EXPECT_TRUE(post());
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(post());
  std::vector<Letter> letters;
  mailbox.drain(letters);
  EXPECT_EQ(letters.size(), 12u);
  EXPECT_TRUE(post());
  sender.drain(letters);
  ASSERT_EQ(letters.size(), 1u) << "there is room again, and that is said once";
  EXPECT_TRUE(std::holds_alternative<RoomAgain>(letters.front()));
}

TEST(Mailbox, WakesItsOwnerOnceForManyLetters) {
  Mailbox mailbox;
  int wakes = 0;
  mailbox.on_wake([&] { ++wakes; });
  for (int i = 0; i < 10; ++i) mailbox.post_control(Call{[] {}});
  EXPECT_EQ(wakes, 1);
  std::vector<Letter> letters;
  mailbox.drain(letters);
  mailbox.post_control(Call{[] {}});
  EXPECT_EQ(wakes, 2);
}

TEST(Mailbox, ForgetsTheRoomThatAPeakNeeded) {
  Mailbox mailbox;
  for (int i = 0; i < 1000; ++i) mailbox.post_control(Call{[] {}});
  std::vector<Letter> letters;
  mailbox.drain(letters);
  letters.clear();
  const std::size_t room = letters.capacity();
  ASSERT_GE(room, 1000u);
  mailbox.release_unused(letters);  // it was needed since the last time
  EXPECT_EQ(letters.capacity(), room);
  mailbox.release_unused(letters);
  EXPECT_EQ(letters.capacity(), 0u);
}

TEST(Mailbox, KeepsEachSendersOrderAcrossThreads) {
  constexpr int kSenders = 3, kLetters = 5000;
  Mailbox mailbox({.parcels_max = kSenders * kLetters});
  std::vector<std::thread> senders;
  for (int s = 0; s < kSenders; ++s) {
    senders.emplace_back([&mailbox, s] {
      for (int i = 0; i < kLetters; ++i) {
        Delivery delivery{{}, {}, std::make_unique<Numbered>(s, i), nullptr};
        ASSERT_TRUE(mailbox.post_data(delivery));
      }
    });
  }
  std::vector<int> next(kSenders, 0);
  std::vector<Letter> letters;
  for (int seen = 0; seen < kSenders * kLetters;) {
    mailbox.drain(letters);
    for (Letter& letter : letters) {
      const auto& parcel = static_cast<const Numbered&>(*std::get<Delivery>(letter).parcel);
      ASSERT_EQ(parcel.number, next[static_cast<std::size_t>(parcel.sender)]++);
      ++seen;
    }
    if (letters.empty()) std::this_thread::yield();
  }
  for (auto& sender : senders) sender.join();
}

TEST(Directory, KnowsWhereASessionLivesUntilItIsForgotten) {
  Directory directory;
  Mailbox mailbox;
  directory.add_shard(ShardId{0}, mailbox);
  directory.settle(AssociationId{7}, ShardId{0});
  EXPECT_EQ(directory.home_of(AssociationId{7}), ShardId{0});
  EXPECT_EQ(directory.mailbox_of(ShardId{0}), &mailbox);
  EXPECT_EQ(directory.mailbox_of(ShardId{1}), nullptr);
  directory.forget(AssociationId{7});
  EXPECT_FALSE(directory.home_of(AssociationId{7}));
}

TEST(Directory, KeepsTheHomeOfTheLatestThatEndedWhereOtherShardsMayStillSendThere) {
  Directory directory;
  Mailbox mailboxes[2];
  directory.add_shard(ShardId{0}, mailboxes[0]);
  directory.add_shard(ShardId{1}, mailboxes[1]);
  for (std::uint64_t id = 1; id <= 20'000; ++id) {
    directory.settle(AssociationId{id}, ShardId{1});
    directory.forget(AssociationId{id});
  }
  EXPECT_EQ(directory.home_of(AssociationId{20'000}), ShardId{1});
  EXPECT_FALSE(directory.home_of(AssociationId{1}));
}

TEST(Directory, WaitsForEachOfItsShardsToFollowADiversion) {
  Directory directory;
  Mailbox first, second;
  directory.add_shard(ShardId{0}, first);
  directory.add_shard(ShardId{1}, second);
  const auto move = directory.begin_move(AssociationId{7}, ShardId{0}, ShardId{1});
  ASSERT_TRUE(move);
  EXPECT_TRUE(directory.diverting());
  EXPECT_FALSE(directory.begin_move(AssociationId{8}, ShardId{0}, ShardId{1}));
  EXPECT_FALSE(directory.followed(*move));
  EXPECT_TRUE(directory.followed(*move));
  EXPECT_FALSE(directory.end(*move));
  EXPECT_FALSE(directory.diverting());
  EXPECT_EQ(directory.diversions(), 1u);
}

TEST(Directory, BindsAPeerToOneAssociationAtATime) {
  Directory directory;
  EXPECT_TRUE(directory.bind_peer(nullptr, "mme01", AssociationId{1}));
  EXPECT_FALSE(directory.bind_peer(nullptr, "mme01", AssociationId{2}));
  EXPECT_EQ(directory.association_of(nullptr, "mme01"), AssociationId{1});
  directory.release_peer(nullptr, "mme01", AssociationId{1});
  EXPECT_TRUE(directory.bind_peer(nullptr, "mme01", AssociationId{2}));
}

TEST(Directory, HasASlotForEachAssociationThatAPeerMayHave) {
  constexpr AssociationId a{3}, b{1}, c{2};
  Directory directory;
  EXPECT_TRUE(directory.bind_peer(nullptr, "mme01", a, 2));
  EXPECT_TRUE(directory.bind_peer(nullptr, "mme01", b, 2));
  EXPECT_FALSE(directory.bind_peer(nullptr, "mme01", c, 2));
  EXPECT_TRUE(directory.bind_peer(nullptr, "mme02", c, 2)) << "another peer has its own";
  EXPECT_EQ(directory.associations_of(nullptr, "mme01"), (std::vector{a, b})) << "the oldest first";
  directory.release_peer(nullptr, "mme01", c);
  EXPECT_FALSE(directory.bind_peer(nullptr, "mme01", c, 2)) << "it had none to free";
  directory.release_peer(nullptr, "mme01", a);
  EXPECT_EQ(directory.association_of(nullptr, "mme01"), b);
  EXPECT_FALSE(directory.bind_peer(nullptr, "mme01", c, 1)) << "it may have fewer now";
  EXPECT_TRUE(directory.bind_peer(nullptr, "mme01", c, 2));
  directory.release_peer(nullptr, "mme01", b);
  directory.release_peer(nullptr, "mme01", c);
  EXPECT_TRUE(directory.associations_of(nullptr, "mme01").empty());
  EXPECT_FALSE(directory.association_of(nullptr, "mme01"));
}

}  // namespace
}  // namespace siglane
