#include "protocols/diameter/watchdog.h"

#include <gtest/gtest.h>

namespace siglane::diameter {
namespace {

using Order = Watchdog::Order;
using State = Watchdog::State;

constexpr Instant kStart{100s};

struct Dog {
  Watchdog watchdog{30s, 1};
  Instant now = kStart;

  Order expire() {
    now = watchdog.deadline();
    return watchdog.timer_expired(now);
  }
};

TEST(Watchdog, JittersItsIntervalByTwoSecondsEitherWay) {
  Duration least = 1h, most{};
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    Watchdog watchdog(30s, seed);
    watchdog.connection_up(false, kStart);
    const Duration wait = watchdog.deadline() - kStart;
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  EXPECT_GE(least, 28s);
  EXPECT_LE(most, 32s);
  EXPECT_LT(least, 28200ms);
  EXPECT_GT(most, 31800ms);
}

TEST(Watchdog, JittersAShortIntervalByAQuarter) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Watchdog watchdog(1s, seed);
    watchdog.connection_up(false, kStart);
    EXPECT_GE(watchdog.deadline(), kStart + 750ms);
    EXPECT_LE(watchdog.deadline(), kStart + 1250ms);
  }
}

// RFC 3539 Appendix A, the rows of OKAY and SUSPECT.
TEST(Watchdog, SuspectsAfterOneUnansweredAndClosesAfterTheNext) {
  Dog dog;
  EXPECT_EQ(dog.watchdog.connection_up(false, dog.now), Order::failback);
  EXPECT_EQ(dog.watchdog.state(), State::okay);
  EXPECT_EQ(dog.expire(), Order::send_dwr);
  EXPECT_EQ(dog.watchdog.state(), State::okay);
  EXPECT_EQ(dog.expire(), Order::failover);
  EXPECT_EQ(dog.watchdog.state(), State::suspect);
  EXPECT_EQ(dog.expire(), Order::close);
  EXPECT_EQ(dog.watchdog.state(), State::down);
}

TEST(Watchdog, AnyMessagePutsItOffAndADwaAllowsTheNextDwr) {
  Dog dog;
  dog.watchdog.connection_up(false, dog.now);
  const Instant first = dog.watchdog.deadline();
  EXPECT_EQ(dog.watchdog.received_other(kStart + 20s), Order::none);
  EXPECT_GT(dog.watchdog.deadline(), first + 10s);
  EXPECT_EQ(dog.expire(), Order::send_dwr);
  EXPECT_EQ(dog.watchdog.received_dwa(dog.now), Order::none);
  EXPECT_EQ(dog.expire(), Order::send_dwr);
  // Traffic alone does not answer the DWR that is pending.
  EXPECT_EQ(dog.watchdog.received_other(dog.now), Order::none);
  EXPECT_EQ(dog.expire(), Order::failover);
}

TEST(Watchdog, ASuspectIsTrustedAgainAtItsFirstMessage) {
  for (const bool dwa : {true, false}) {
    Dog dog;
    dog.watchdog.connection_up(false, dog.now);
    dog.expire();
    dog.expire();
    ASSERT_EQ(dog.watchdog.state(), State::suspect);
    EXPECT_EQ(dwa ? dog.watchdog.received_dwa(dog.now) : dog.watchdog.received_other(dog.now),
              Order::failback);
    EXPECT_EQ(dog.watchdog.state(), State::okay);
    // The DWA clears Pending; another message does not.
    EXPECT_EQ(dog.expire(), dwa ? Order::send_dwr : Order::failover);
  }
}

// RFC 3539 Appendix A, the rows of REOPEN.
TEST(Watchdog, APeerThatFailedBeforeMustAnswerThreeTimes) {
  Dog dog;
  EXPECT_EQ(dog.watchdog.connection_up(true, dog.now), Order::send_dwr);
  EXPECT_EQ(dog.watchdog.state(), State::reopen);
  EXPECT_EQ(dog.watchdog.received_other(dog.now), Order::none);
  for (int dwas = 1; dwas <= 2; ++dwas) {
    EXPECT_EQ(dog.watchdog.received_dwa(dog.now), Order::none);
    EXPECT_EQ(dog.watchdog.state(), State::reopen);
    EXPECT_EQ(dog.expire(), Order::send_dwr);
  }
  EXPECT_EQ(dog.watchdog.received_dwa(dog.now), Order::failback);
  EXPECT_EQ(dog.watchdog.state(), State::okay);
}

TEST(Watchdog, AReopenedPeerThatIsSilentTwiceIsClosed) {
  Dog dog;
  dog.watchdog.connection_up(true, dog.now);
  EXPECT_EQ(dog.expire(), Order::none);
  EXPECT_EQ(dog.watchdog.state(), State::reopen);
  EXPECT_EQ(dog.expire(), Order::close);
  EXPECT_EQ(dog.watchdog.state(), State::down);
}

TEST(Watchdog, OneThatIsDownSaysNothingMore) {
  Dog dog;
  dog.watchdog.connection_up(true, dog.now);
  dog.expire();
  dog.expire();
  EXPECT_EQ(dog.watchdog.received_dwa(dog.now), Order::none);
  EXPECT_EQ(dog.watchdog.received_other(dog.now), Order::none);
  EXPECT_EQ(dog.expire(), Order::none);
  EXPECT_EQ(dog.watchdog.state(), State::down);
}

}  // namespace
}  // namespace siglane::diameter
