#include "apps/runtime/newcomer_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

using testing::HasSubstr;

NodeConfig node(std::size_t peers, TransportKind transport = TransportKind::tcp,
                std::size_t associations_max = 16384) {
  NodeConfig config;
  config.peers.resize(peers);
  NodeEndpoint& main = config.endpoints.emplace_back();
  main.endpoint.listening = true;
  main.endpoint.transport = transport;
  main.endpoint.associations_max = associations_max;
  return config;
}

TEST(NewcomerBudget, GivesNewcomersWhatWasWantedIfThereIsEnough) {
  const auto budget = budget_newcomers(1000, node(40), {.anybody = 512, .kept = 128});
  EXPECT_EQ(budget.places, 512u);
  EXPECT_EQ(budget.complaint, "");
  EXPECT_EQ(budget_newcomers({}, node(40), {.anybody = 512, .kept = 128}).places, 512u);
}

TEST(NewcomerBudget, GivesThemTheRestOfTheDescriptorsIfThereAreFewer) {
  const auto budget = budget_newcomers(500, node(40), {.anybody = 512, .kept = 0});
  EXPECT_GT(budget.places, 100u);
  EXPECT_LT(budget.places, 460u);
  EXPECT_THAT(budget.complaint, HasSubstr("500 file descriptors"));
  EXPECT_THAT(budget.complaint, HasSubstr("admission.unidentified_associations_max"));
}

TEST(NewcomerBudget, PutsPeersFirstAndSaysIfThereAreNotEnoughForThem) {
  const auto budget = budget_newcomers(1000, node(1000), {.anybody = 1000, .kept = 0});
  EXPECT_EQ(budget.places, 16u);
  EXPECT_THAT(budget.complaint, HasSubstr("1000 peers"));
  EXPECT_THAT(budget.complaint, HasSubstr("LimitNOFILE="));
}

TEST(NewcomerBudget, NeedsNoDescriptorsForSctp) {
  const auto budget =
      budget_newcomers(100, node(40, TransportKind::kernel_sctp), {.anybody = 512, .kept = 0});
  EXPECT_EQ(budget.places, 512u);
  EXPECT_EQ(budget.complaint, "");
}

TEST(NewcomerBudget, LeavesPeersTheirShareOfAnEndpointsAssociations) {
  const auto places = [](std::size_t peers, std::size_t associations_max) {
    return budget_newcomers({}, node(peers, TransportKind::tcp, associations_max),
                            {.anybody = 512, .kept = 0})
        .places;
  };
  EXPECT_EQ(places(40, 100), 35u);
  EXPECT_EQ(places(400, 100), 25u);
  EXPECT_EQ(places(1, 1), 1u);
}

}  // namespace
}  // namespace siglane::runtime
