// Peels across shards: ASPs on kernel SCTP, peeled off as they come up and then moved from loop to
// loop under load.
#include "tests/support/loaded_stp.h"
#include "transport/counters.h"

namespace siglane {
namespace {

TEST(KernelShards, MovePeeledAssociationsUnderLoadInOrder) {
  test::LoadedStp stp(TransportKind::kernel_sctp, 3, Placement::always_peeled);
  EXPECT_EQ(stp.run(10, 1), 0) << stp.report();
  EXPECT_EQ(stp.count(transport::counter::peels), 8u);
  EXPECT_GT(stp.count(counter::moves), 20u);
}

TEST(KernelShards, PeelAndMoveInOneStepUnderLoadInOrder) {
  test::LoadedStp stp(TransportKind::kernel_sctp, 3, Placement::never_peeled);
  EXPECT_EQ(stp.run(10, 2), 0) << stp.report();
  EXPECT_GT(stp.count(counter::moves), 20u);
}

TEST(KernelShards, NoticeNothingOfAHundredConfigsThatConcernOthers) {
  test::LoadedStp stp(TransportKind::kernel_sctp, 2, Placement::always_peeled);
  EXPECT_EQ(stp.run(20, 3, 100), 0) << stp.report();
  EXPECT_EQ(stp.revision(), 101u);
  EXPECT_EQ(stp.count(transport::counter::peels), 8u);
}

}  // namespace
}  // namespace siglane
