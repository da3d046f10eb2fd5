// Descriptors run out while twenty peers earn a socket of their own, on two shards.
#include <array>
#include <functional>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/support/busy_node.h"
#include "tests/support/raw_peer.h"
#include "transport/counters.h"

namespace siglane::test {
namespace {

constexpr std::size_t kPeers = 20;

// Each peer asks for its next echo when it has one.
class LoudPeers {
 public:
  explicit LoudPeers(std::uint16_t port) {
    for (std::size_t i = 0; i < kPeers; ++i) {
      peers_.push_back(std::make_unique<RawPeer>(port));
      ask(i);
    }
  }

  bool talk_until(const std::function<bool()>& done) {
    const Instant give_up = transport::Loop::fresh_now() + 40s;
    while (!done()) {
      if (transport::Loop::fresh_now() > give_up) return false;
      std::array<pollfd, kPeers> all{};
      for (std::size_t i = 0; i < kPeers; ++i) all[i] = {peers_[i]->fd(), POLLIN, 0};
      ::poll(all.data(), all.size(), 10);
      for (std::size_t i = 0; i < kPeers; ++i) {
        while (peers_[i]->receive()) {
          ++echoes_[i];
          ask(i);
        }
      }
    }
    return true;
  }
  // Every one of them has so many more echoes.
  bool all_are_served(std::size_t echoes) {
    const auto before = echoes_;
    return talk_until([&] {
      for (std::size_t i = 0; i < kPeers; ++i) {
        if (echoes_[i] < before[i] + echoes) return false;
      }
      return true;
    });
  }

 private:
  void ask(std::size_t i) {
    const std::array<std::byte, 16> message{std::byte{static_cast<int>(Demand::echo)}};
    EXPECT_TRUE(peers_[i]->send(message));
  }

  std::vector<std::unique_ptr<RawPeer>> peers_;
  std::array<std::size_t, kPeers> echoes_{};
};

// Leaves room for so many more descriptors, as long as it lives.
class LoweredLimit {
 public:
  explicit LoweredLimit(rlim_t room) {
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(next);
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered{static_cast<rlim_t>(next) + room, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  }
  ~LoweredLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST(Descriptors, RunOutWithoutAnAssociationLostAndServiceGoesOn) {
  BusyNode server({.shards = 2, .loud_per_second = 20});
  LoudPeers peers(server.port());
  const auto count = [&](Counter counter) { return server.node().count(counter); };
  {
    LoweredLimit limit(32 + 6);  // the margin that is kept free, and a few
    ASSERT_TRUE(peers.talk_until(
        [&] { return server.said("peeloff_starved") && count(transport::counter::peels) > 0; }));
    EXPECT_TRUE(peers.all_are_served(50));
    EXPECT_LT(count(transport::counter::peels), kPeers);
    EXPECT_GT(count(transport::counter::peels_starved), 0u);
  }
  // With room again, all of them get what they have earned.
  EXPECT_TRUE(peers.talk_until([&] { return count(transport::counter::peels) == kPeers; }));
  EXPECT_TRUE(peers.all_are_served(10));
  EXPECT_EQ(count(transport::counter::peels_lost), 0u);
  EXPECT_EQ(count(counter::associations_closed), 0u);
}

}  // namespace
}  // namespace siglane::test
