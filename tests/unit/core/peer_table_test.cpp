#include "core/peer_table.h"

#include <gtest/gtest.h>

namespace siglane {
namespace {

TEST(PeerTable, LetsAsManyWaitForIdentificationAsThereArePeers) {
  AdmissionConfig admission;
  admission.unidentified_associations_max = 2;
  EXPECT_EQ(PeerTable({}, admission).admission().unidentified_associations_max, 2u);
  const std::vector<PeerConfig> peers(3);
  EXPECT_EQ(PeerTable(peers, admission).admission().unidentified_associations_max, 3u);
}

}  // namespace
}  // namespace siglane
