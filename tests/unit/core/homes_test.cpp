#include "core/homes.h"

#include <gtest/gtest.h>

namespace siglane {
namespace {

class HomesTest : public testing::Test {
 protected:
  HomesTest() {
    directory.add_shard(ShardId{0}, first);
    directory.add_shard(ShardId{1}, second);
  }

  Mailbox first, second;
  Directory directory;
  Homes homes{directory};
};

TEST_F(HomesTest, AsksTheDirectoryOnceForEachSession) {
  directory.settle(AssociationId{7}, ShardId{0});
  EXPECT_EQ(homes.of(AssociationId{7}), ShardId{0});
  directory.settle(AssociationId{7}, ShardId{1});
  EXPECT_EQ(homes.of(AssociationId{7}), ShardId{0}) << "it was not asked again";
  homes.forget(AssociationId{7});
  EXPECT_EQ(homes.of(AssociationId{7}), ShardId{1});
}

TEST_F(HomesTest, RemembersNothingOfASessionThatTheDirectoryDoesNotKnow) {
  EXPECT_EQ(homes.of(AssociationId{7}), std::nullopt);
  directory.settle(AssociationId{7}, ShardId{1});
  EXPECT_EQ(homes.of(AssociationId{7}), ShardId{1});
}

TEST_F(HomesTest, NeverRemembersMoreThanItsBound) {
  for (std::uint64_t id = 1; id <= Homes::kKnownMax + 10; ++id) {
    directory.settle(AssociationId{id}, ShardId{1});
    ASSERT_EQ(homes.of(AssociationId{id}), ShardId{1});
    ASSERT_LE(homes.known(), Homes::kKnownMax);
  }
  EXPECT_EQ(homes.of(AssociationId{1}), ShardId{1});
}

}  // namespace
}  // namespace siglane
