// What moves under load keeps its order: M3UA through an STP of several shards, over TCP.
#include "tests/support/loaded_stp.h"

namespace siglane {
namespace {

TEST(ShardsUnderLoad, KeepEveryM3uaFlowInOrderWhileAspsMoveBetweenThem) {
  test::LoadedStp stp(TransportKind::tcp, 3, Placement::automatic);
  EXPECT_EQ(stp.run(6, 1), 0) << stp.report();
  EXPECT_GT(stp.count(counter::moves), 20u);
}

TEST(ShardsUnderLoad, NoticeNothingOfAHundredConfigsThatConcernOthers) {
  test::LoadedStp stp(TransportKind::tcp, 2, Placement::automatic);
  EXPECT_EQ(stp.run(6, 1, 100), 0) << stp.report();
  EXPECT_EQ(stp.revision(), 101u);
  EXPECT_GT(stp.count(counter::moves), 20u);
}

}  // namespace
}  // namespace siglane
