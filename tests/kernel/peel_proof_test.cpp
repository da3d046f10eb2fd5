// The proof of the peel: under full two-way load, in mid-stream, nothing is lost, doubled or
// reordered, in clear and under DTLS. SIGLANE_SEEDS (default 3) says how many runs.
#include <array>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.h"
#include "tests/kernel/harness.h"
#include "tests/support/certificates.h"

namespace siglane::kernel_test {
namespace {

constexpr int kPeers = 6, kStreams = 4;
constexpr std::uint32_t kMessagesPerStream = 150;
constexpr std::size_t kHeaderBytes = 8;

// 8 to 20000 bytes, most of them small. Both ends know it of every message.
std::size_t size_of(std::uint64_t seed, int stream, std::uint32_t number) {
  Random random(seed * 1000003 + static_cast<std::uint64_t>(stream) * 7919 + number);
  const auto kind = random.below(20);
  if (kind == 0) return 20000;
  if (kind < 4) return kHeaderBytes + random.below(20000 - kHeaderBytes);
  return kHeaderBytes + random.below(3000);
}

// One direction of one association: what was sent on each stream, what must come next.
struct Flow {
  std::uint64_t seed = 0;
  std::size_t size_max = 20000;
  std::array<std::uint32_t, kStreams> sent{};
  std::array<std::uint32_t, kStreams> received{};
  std::uint32_t violations = 0;

  bool all_sent() const {
    for (auto n : sent) {
      if (n < kMessagesPerStream) return false;
    }
    return true;
  }
  bool all_received() const {
    for (auto n : received) {
      if (n < kMessagesPerStream) return false;
    }
    return true;
  }

  Message next(int stream, BufferPool& pool) {
    const std::uint32_t number = sent[static_cast<std::size_t>(stream)];
    const std::size_t size = std::min(size_of(seed, stream, number), size_max);
    BufferBuilder builder(pool, size);
    builder.u32(static_cast<std::uint32_t>(seed));
    builder.u32(number);
    for (std::size_t i = kHeaderBytes; i < size; ++i) {
      builder.u8(static_cast<std::uint8_t>(number + i));
    }
    Message message;
    message.stream = StreamId{static_cast<std::uint16_t>(stream)};
    message.payload = std::move(builder).finish();
    return message;
  }

  void check(const Message& message) {
    const auto stream = static_cast<std::size_t>(message.stream);
    if (stream >= kStreams) {
      ++violations;
      return;
    }
    std::uint32_t& expected = received[stream];
    const Bytes bytes = message.payload.bytes();
    const std::size_t size = std::min(size_of(seed, static_cast<int>(stream), expected), size_max);
    bool right = bytes.size() == size && load_u32(bytes.data()) == seed &&
                 load_u32(bytes.data() + 4) == expected;
    for (std::size_t i = kHeaderBytes; right && i < size; ++i) {
      right = bytes[i] == static_cast<std::byte>(static_cast<std::uint8_t>(expected + i));
    }
    violations += right ? 0 : 1;
    ++expected;
  }
};

// One end of everything: its node, and by association what it sends and what it must receive.
struct End {
  explicit End(World& world) : node(world) {
    node.on_message = [this](AssociationId id, const Message& message) {
      in.at(id)->check(message);
      auto peel = peel_inside.find(id);
      if (peel == peel_inside.end() || --peel->second > 0) return;
      peel_inside.erase(peel);
      EXPECT_TRUE(node.peel(id)) << "from within a batch of the shared socket";
    };
  }

  // Full speed: as much as is taken without congestion.
  void pump() {
    for (auto& [id, flow] : out) {
      Association* association = node.transport->find(id);
      while (!flow->all_sent() && !node.transport->status(id)->congested) {
        for (int stream = 0; stream < kStreams; ++stream) {
          auto& sent = flow->sent[static_cast<std::size_t>(stream)];
          if (sent == kMessagesPerStream) continue;
          if (association->send(flow->next(stream, node.world.buffers)) == SendOutcome::accepted) {
            ++sent;
          }
        }
      }
    }
  }

  Node node;
  std::map<AssociationId, Flow*> out, in;
  std::map<AssociationId, int> peel_inside;  // after so many messages, from within the callback
};

void run_seed(std::uint64_t seed, bool secure) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  World world;
  End server(world), clients(world);
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
    flows.back()->seed = seed * 100 + flows.size();
    if (secure) flows.back()->size_max = transport::SctpSecurity::kMessageBytesMax;
    return flows.back().get();
  };
  std::vector<std::pair<AssociationId, AssociationId>> pairs;
  for (int i = 0; i < kPeers; ++i) {
    pairs.push_back(clients.node.join(clients.node.endpoint(), server.node));
    Flow *up = flow(), *down = flow();
    const auto [ours, theirs] = pairs.back();
    clients.out[ours] = server.in[theirs] = up;
    server.out[theirs] = clients.in[ours] = down;
  }

  // When each end of each association is peeled: after a share of what it receives, every other
  // one from within the callback that delivers a message.
  struct Planned {
    End* end;
    AssociationId id;
    std::uint32_t after;
  };
  std::vector<Planned> plan;
  const auto plan_peel = [&](End& end, AssociationId id) {
    const auto after =
        1 + static_cast<std::uint32_t>(random.below(kStreams * kMessagesPerStream * 3 / 4));
    if (random.below(2) == 0) {
      end.peel_inside[id] = static_cast<int>(after);
    } else {
      plan.push_back({&end, id, after});
    }
  };
  for (const auto& [ours, theirs] : pairs) {
    plan_peel(server, theirs);
    if (random.below(2) == 0) plan_peel(clients, ours);
  }

  const auto received = [](const Flow& f) {
    std::uint32_t total = 0;
    for (auto n : f.received) total += n;
    return total;
  };
  const bool done = world.run_until(
      [&] {
        server.pump();
        clients.pump();
        std::erase_if(plan, [&](const Planned& planned) {
          if (received(*planned.end->in.at(planned.id)) < planned.after) return false;
          EXPECT_TRUE(planned.end->node.peel(planned.id));
          return true;
        });
        for (const auto& f : flows) {
          if (!f->all_received()) return false;
        }
        return true;
      },
      120s);

  std::uint32_t total = 0, violations = 0;
  for (const auto& f : flows) {
    total += received(*f);
    violations += f->violations;
  }
  EXPECT_TRUE(done) << "only " << total << " of " << flows.size() * kStreams * kMessagesPerStream
                    << " arrived";
  EXPECT_EQ(violations, 0u);
  EXPECT_EQ(server.node.transport->peeled_count(), std::size_t{kPeers});
  // Whatever is still to come would be a message too many.
  for (const auto& [ours, theirs] : pairs) clients.node.close(ours, CloseMode::graceful);
  EXPECT_TRUE(world.run_until([&] {
    for (const auto& [ours, theirs] : pairs) {
      if (!clients.node.is_down(ours) || !server.node.is_down(theirs)) return false;
    }
    return true;
  }));
  for (const auto& f : flows) EXPECT_EQ(received(*f), kStreams * kMessagesPerStream);
}

void run_all_seeds(bool secure) {
  const char* wanted = std::getenv("SIGLANE_SEEDS");
  const int seeds = wanted != nullptr ? std::atoi(wanted) : 3;
  ASSERT_GT(seeds, 0);
  for (int seed = 1; seed <= seeds && !::testing::Test::HasFailure(); ++seed) {
    run_seed(static_cast<std::uint64_t>(seed), secure);
  }
}

TEST(PeelProof, SixPeersPeeledInMidStreamLoseDoubleAndReorderNothing) {
  run_all_seeds(false);
}

TEST(PeelProof, NorDoTheyUnderDtls) {
  run_all_seeds(true);
}

}  // namespace
}  // namespace siglane::kernel_test
