#include "core/newcomers.h"

#include <string>

#include <gtest/gtest.h>

namespace siglane {
namespace {

class NewcomersTest : public testing::Test {
 protected:
  Newcomers::Entered enter(std::uint64_t id, const std::string& address, bool kept = false) {
    return newcomers_.enter({AssociationId{id}, ShardId{0}, address}, kept, places_, now_);
  }
  // Who lost its place to it; 0: nobody.
  std::uint64_t displaced_by(std::uint64_t id, const std::string& address, bool kept = false) {
    const auto entered = enter(id, address, kept);
    EXPECT_TRUE(entered.admitted);
    if (!entered.loses) return 0;
    const AssociationId loser = entered.loses->id;
    EXPECT_TRUE(newcomers_.contains(loser)) << "it is being closed";
    EXPECT_FALSE(newcomers_.leave(loser)) << "it had no place any more";
    return static_cast<std::uint64_t>(loser);
  }

  Newcomers newcomers_;
  Newcomers::Places places_{.anybody = 4, .kept = 2};
  Instant now_{100s};
};

TEST_F(NewcomersTest, TheOldestOfTheSourceThatHasMostLosesItsPlace) {
  EXPECT_EQ(displaced_by(1, "10.0.0.9"), 0u);
  EXPECT_EQ(displaced_by(2, "10.0.0.1"), 0u);
  EXPECT_EQ(displaced_by(3, "10.0.0.1"), 0u);
  EXPECT_EQ(displaced_by(4, "10.0.0.1"), 0u);
  EXPECT_EQ(displaced_by(5, "10.0.0.2"), 2u);
  EXPECT_EQ(displaced_by(6, "10.0.0.3"), 3u);
  EXPECT_EQ(newcomers_.count(), 4u);
}

TEST_F(NewcomersTest, WhereAllSourcesHaveOneTheOldestOfAllLosesItsPlace) {
  for (std::uint64_t id = 1; id <= 4; ++id) enter(id, "10.0.0." + std::to_string(id));
  EXPECT_EQ(displaced_by(5, "10.0.0.5"), 1u);
  EXPECT_EQ(displaced_by(6, "10.0.0.5"), 5u) << "of the two of one source, the older one";
}

TEST_F(NewcomersTest, WhoLeavesMakesRoom) {
  for (std::uint64_t id = 1; id <= 4; ++id) enter(id, "10.0.0.1");
  EXPECT_EQ(newcomers_.leave(AssociationId{2}), "10.0.0.1");
  EXPECT_FALSE(newcomers_.contains(AssociationId{2}));
  EXPECT_EQ(displaced_by(5, "10.0.0.1"), 0u);
  EXPECT_EQ(displaced_by(6, "10.0.0.1"), 1u);
  EXPECT_FALSE(newcomers_.leave(AssociationId{99}));
}

TEST_F(NewcomersTest, ConfiguredAddressesHavePlacesThatNobodyElseCanTake) {
  enter(1, "10.0.0.7", true);
  for (std::uint64_t id = 2; id <= 20; ++id) EXPECT_NE(displaced_by(id, "10.0.0.1"), 1u);
  EXPECT_EQ(displaced_by(21, "10.0.0.8", true), 0u);
  EXPECT_EQ(displaced_by(22, "10.0.0.7", true), 1u) << "among themselves they share too";
}

TEST_F(NewcomersTest, OneIpv6NetworkIsOneSource) {
  enter(1, "2001:db8::1");
  enter(2, "2001:db8:0:0:5::2");
  enter(3, "2001:db8::3:4");
  enter(4, "2001:db8:0:1::1");
  EXPECT_EQ(displaced_by(5, "2001:db8:0:1::2"), 1u);
}

TEST_F(NewcomersTest, ASourceIsAnIpv4AddressOrAnIpv6Network) {
  EXPECT_EQ(source_of("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(source_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(source_of("2001:db8:1:2::6"), "2001:db8:1:2::/64");
  EXPECT_EQ(source_of("2001:db8::6"), "2001:db8:0:0::/64");
  EXPECT_EQ(source_of("::1"), "0:0:0:0::/64");
  EXPECT_EQ(source_of("fe80::"), "fe80:0:0:0::/64");
  EXPECT_EQ(source_of("unknown"), "unknown");
}

// Else who reconnects at once when he is closed would leave nobody the time to say a word.
TEST_F(NewcomersTest, PlacesChangeHandsOnlySoFast) {
  std::uint64_t id = 0;
  while (id < 4) enter(++id, "10.0.0.1");
  std::uint64_t handed_over = 0;
  const Instant end = now_ + 1s;
  while (now_ < end) {
    ++id;
    const auto entered = enter(id, "10.0.0.1");
    ASSERT_TRUE(entered.loses);
    (void)newcomers_.leave(entered.loses->id);
    ++handed_over;
    ASSERT_GE(entered.next, now_);
    now_ = entered.next;
  }
  EXPECT_GE(handed_over, 1900u);
  EXPECT_LE(handed_over, 2100u);
}

// Each may still have a descriptor.
TEST_F(NewcomersTest, NobodyIsLetInWhileManyThatHaveToGoAreStillThere) {
  std::uint64_t id = 0;
  Newcomers::Entered entered;
  do {
    entered = enter(++id, "10.0.0.1");
  } while (entered.admitted && id < 1000);
  EXPECT_FALSE(entered.admitted);
  EXPECT_LE(id, 4u + 128u + 1u);
  EXPECT_GT(entered.next, now_);
  (void)newcomers_.leave(AssociationId{1});
  EXPECT_TRUE(enter(++id, "10.0.0.1").admitted);
}

TEST_F(NewcomersTest, ALimitLowersThePlacesForAnybodyOnly) {
  newcomers_.limit(1);
  enter(1, "10.0.0.7", true);
  enter(2, "10.0.0.7", true);
  EXPECT_EQ(displaced_by(3, "10.0.0.1"), 0u);
  EXPECT_EQ(displaced_by(4, "10.0.0.2"), 3u);
}

}  // namespace
}  // namespace siglane
