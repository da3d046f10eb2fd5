// The proof of the peel: under full two-way load, in mid-stream, nothing is lost, doubled or
// reordered, in clear and under DTLS. SIGLANE_SEEDS (default 3) says how many runs.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/sctp_flow.h"
#include "tests/support/seeds.h"
#include "transport/sctp/security.h"
#include "transport/transport_facts.h"

namespace siglane::sctp_test {
namespace {

constexpr int kPeers = 6;
constexpr std::uint32_t kEach = 150;

// The policy has peeled it, because of what it did to its socket.
bool was_pressed(const Node& node, AssociationId id) {
  return std::ranges::any_of(node.facts, [id](const auto& told) {
    const std::string reason = field(told.second, "reason");
    return told.first == id && is(told.second, transport::kAssociationPeeled) &&
           (reason == "clogged" || reason == "receive_wedge");
  });
}

void run_seed(std::uint64_t seed, bool secure) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  World world;
  FlowEnd server(world), clients(world);
  const siglane::testing::TemporaryDirectory directory;
  const siglane::testing::Authority authority;
  if (secure) {
    server.node.tls = authority.issue_files_for("server.example", directory, "server");
    clients.node.tls = authority.issue_files_for("client.example", directory, "client");
  }
  server.node.listen();

  std::vector<std::unique_ptr<Flow>> flows;
  const auto flow = [&] {
    flows.push_back(std::make_unique<Flow>());
    flows.back()->seed = static_cast<std::uint32_t>(seed * 100 + flows.size());
    flows.back()->each = kEach;
    if (secure) flows.back()->size_max = transport::SctpSecurity::kMessageBytesMax;
    return flows.back().get();
  };
  std::vector<std::pair<AssociationId, AssociationId>> pairs;
  for (int i = 0; i < kPeers; ++i) {
    pairs.push_back(clients.node.join(clients.node.endpoint(), server.node));
    const auto [ours, theirs] = pairs.back();
    clients.out[ours] = server.in[theirs] = flow();
    server.out[theirs] = clients.in[ours] = flow();
  }

  // When each end of each association is peeled: after a share of what it receives, every other
  // one from within the callback that delivers a message.
  struct Planned {
    FlowEnd* end;
    AssociationId id;
    std::uint32_t after;
  };
  std::vector<Planned> plan;
  std::vector<std::pair<FlowEnd*, AssociationId>> planned_all;
  const auto plan_peel = [&](FlowEnd& end, AssociationId id) {
    planned_all.emplace_back(&end, id);
    const auto after = static_cast<std::uint32_t>(1 + random.below(Flow::kStreams * kEach * 3 / 4));
    if (random.below(2) == 0) {
      end.peel_inside[id] = after;
    } else {
      plan.push_back({&end, id, after});
    }
  };
  for (const auto& [ours, theirs] : pairs) {
    plan_peel(server, theirs);
    if (random.below(2) == 0) plan_peel(clients, ours);
  }

  const bool done = world.run_until(
      [&] {
        server.pump();
        clients.pump();
        std::erase_if(plan, [&](const Planned& planned) {
          if (planned.end->in.at(planned.id)->total_received() < planned.after) return false;
          EXPECT_TRUE(planned.end->node.peel(planned.id));
          return true;
        });
        return std::all_of(flows.begin(), flows.end(),
                           [](const auto& f) { return f->all_received(); });
      },
      120s);

  std::uint32_t total = 0, violations = 0;
  for (const auto& f : flows) {
    total += f->total_received();
    violations += f->violations;
  }
  EXPECT_TRUE(done) << "only " << total << " of " << flows.size() * Flow::kStreams * kEach
                    << " arrived";
  EXPECT_EQ(violations, 0u);
  // Those, and nobody else unless the policy said that the machine was too slow for it.
  for (const auto& [end, id] : planned_all) EXPECT_TRUE(end->node.is_peeled(id));
  for (const auto& [ours, theirs] : pairs) {
    if (std::ranges::count(planned_all, std::pair(&clients, ours)) > 0) continue;
    EXPECT_EQ(clients.node.is_peeled(ours), was_pressed(clients.node, ours));
  }
  // Whatever is still to come would be a message too many.
  for (const auto& [ours, theirs] : pairs) clients.node.close(ours, CloseMode::graceful);
  EXPECT_TRUE(world.run_until([&] {
    return std::all_of(pairs.begin(), pairs.end(), [&](const auto& pair) {
      return clients.node.is_down(pair.first) && server.node.is_down(pair.second);
    });
  }));
  for (const auto& f : flows) EXPECT_EQ(f->total_received(), Flow::kStreams * kEach);
}

void run_all_seeds(bool secure) {
  for (std::uint64_t seed = 1; seed <= test::seeds(3) && !::testing::Test::HasFailure(); ++seed) {
    run_seed(seed, secure);
  }
}

TEST(PeelProof, SixPeersPeeledInMidStreamLoseDoubleAndReorderNothing) {
  run_all_seeds(false);
}

TEST(PeelProof, NorDoTheyUnderDtls) {
  run_all_seeds(true);
}

}  // namespace
}  // namespace siglane::sctp_test
