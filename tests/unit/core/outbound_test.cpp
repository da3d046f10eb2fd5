#include "core/outbound.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace siglane {
namespace {

struct Ordered final : Parcel {
  Carriage carriage() const override { return Carriage::ordered; }
};

struct Control final : Parcel {
  Carriage carriage() const override { return Carriage::control; }
};

// To a shard whose mailbox takes four parcels, and where 16 more may wait.
class OutboundTest : public testing::Test {
 protected:
  OutboundTest() {
    directory.add_shard(ShardId{0}, own);
    directory.add_shard(ShardId{1}, other);
  }
  Outbound::Outcome post(ParcelPtr parcel = std::make_unique<Ordered>()) {
    Delivery delivery{{}, {}, std::move(parcel), nullptr};
    return outbound.post(ShardId{1}, delivery);
  }
  void read_and_send() {
    std::vector<Letter> letters;
    other.drain(letters);
    outbound.send_waiting();
  }

  Mailbox own, other{{.parcels_max = 4}};
  Directory directory;
  Counters counters;
  Outbound outbound{own, directory, counters, {.parcels_max = 16}};
};

TEST_F(OutboundTest, KnowsWhenAllIsOutThatWaitedThenThoughMoreHasCome) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(post(), Outbound::Outcome::sent);
  EXPECT_TRUE(outbound.is_out(outbound.posted())) << "nothing waits";
  for (int i = 0; i < 6; ++i) EXPECT_EQ(post(), Outbound::Outcome::waits);
  const Outbound::Posted then = outbound.posted();
  for (int i = 0; i < 6; ++i) post();
  EXPECT_FALSE(outbound.is_out(then));
  read_and_send();  // four of the six
  EXPECT_FALSE(outbound.is_out(then));
  for (int i = 0; i < 4; ++i) post();
  read_and_send();
  EXPECT_TRUE(outbound.is_out(then));
  EXPECT_FALSE(outbound.empty());
  EXPECT_FALSE(outbound.is_out(outbound.posted()));
}

TEST_F(OutboundTest, GivesBackWhatMayNotWaitBecauseTooMuchDoes) {
  for (int i = 0; i < 20; ++i) post();
  Delivery delivery{{}, {}, std::make_unique<Ordered>(), nullptr};
  EXPECT_EQ(outbound.post(ShardId{1}, delivery), Outbound::Outcome::lost);
  EXPECT_NE(delivery.parcel, nullptr);
  EXPECT_EQ(counters.get(counter::parcels_lost), 1u);
}

TEST_F(OutboundTest, LosesNoControlAndSaysWhenItsSenderShouldNotBringMore) {
  const auto control = [this] { return post(std::make_unique<Control>()); };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(control(), Outbound::Outcome::sent);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(control(), Outbound::Outcome::waits);
  std::vector<Letter> letters;
  other.drain(letters);
  EXPECT_EQ(letters.size(), 103u);
  for (int i = 0; i < 5; ++i) post();  // the last finds no room: all that follows waits behind it
  EXPECT_EQ(control(), Outbound::Outcome::waits);
  other.drain(letters);
  outbound.send_waiting();
  other.drain(letters);
  EXPECT_EQ(letters.size(), 2u);
  EXPECT_EQ(control(), Outbound::Outcome::sent);
}

TEST_F(OutboundTest, HasAmpleRoomUpToAnEighthOfWhatMayWait) {
  for (int i = 0; i < 6; ++i) post();
  EXPECT_TRUE(outbound.has_ample_room(ShardId{1}));
  post();
  EXPECT_FALSE(outbound.has_ample_room(ShardId{1}));
  EXPECT_TRUE(outbound.has_ample_room(ShardId{0}));
  EXPECT_TRUE(outbound.has_ample_room(ShardId{2}));
  read_and_send();
  EXPECT_TRUE(outbound.has_ample_room(ShardId{1}));
}

}  // namespace
}  // namespace siglane
