#include "apps/load/pacer.h"

#include <vector>

#include <gtest/gtest.h>

namespace siglane::load {
namespace {

const Instant kStart = Instant(100s);

std::vector<Instant> whole_schedule(Pacer& pacer, Instant end) {
  std::vector<Instant> due;
  for (auto at = pacer.take(end, 0); at; at = pacer.take(end, 0)) due.push_back(*at);
  return due;
}

TEST(Pacer, SendsAtItsMeanRateWithoutDrift) {
  Pacer pacer({.per_second = 333, .jitter = 1}, 7);
  pacer.start(kStart, kStart + 60s);
  const auto due = whole_schedule(pacer, kStart + 60s);
  EXPECT_NEAR(static_cast<double>(due.size()), 333 * 60, 2);
  for (std::size_t n = 0; n < due.size(); ++n) {
    // The n-th arrival lies in its slot, shifted by less than one slot of phase and one of jitter.
    const double slot = seconds(due[n] - kStart) * 333 - static_cast<double>(n);
    EXPECT_GE(slot, -0.001);
    EXPECT_LT(slot, 2.001);
  }
}

TEST(Pacer, KeepsArrivalsInOrderAndWithinTheRun) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Pacer pacer({.per_second = 1000, .jitter = 1}, seed);
    pacer.start(kStart, kStart + 1s);
    Instant last = kStart;
    for (Instant due : whole_schedule(pacer, kStart + 10s)) {
      EXPECT_GE(due, last);
      EXPECT_LT(due, kStart + 1s);
      last = due;
    }
    EXPECT_EQ(pacer.deadline(0), std::nullopt);
  }
}

TEST(Pacer, SpreadsArrivalsByItsSeedAndRepeatsThemForTheSameSeed) {
  auto schedule_of = [](std::uint64_t seed) {
    Pacer pacer({.per_second = 10, .jitter = 1}, seed);
    pacer.start(kStart, kStart + 5s);
    return whole_schedule(pacer, kStart + 5s);
  };
  EXPECT_EQ(schedule_of(1), schedule_of(1));
  EXPECT_NE(schedule_of(1), schedule_of(2));
}

TEST(Pacer, IsEvenWithoutJitter) {
  Pacer pacer({.per_second = 100, .jitter = 0}, 3);
  pacer.start(kStart, kStart + 1s);
  const auto due = whole_schedule(pacer, kStart + 1s);
  ASSERT_GE(due.size(), 99u);
  for (std::size_t n = 1; n < due.size(); ++n) {
    EXPECT_NEAR(seconds(due[n] - due[n - 1]), 0.01, 1e-6);
  }
}

TEST(Pacer, SendsNothingBeforeItIsDue) {
  Pacer pacer({.per_second = 2, .jitter = 0}, 5);
  EXPECT_EQ(pacer.take(kStart + 1h, 0), std::nullopt);  // not started
  pacer.start(kStart, kStart + 10s);
  const Instant first = pacer.deadline(0).value();
  EXPECT_EQ(pacer.take(first - 1ns, 0), std::nullopt);
  EXPECT_EQ(pacer.take(first, 0), first);
  EXPECT_EQ(pacer.take(first, 0), std::nullopt);
}

TEST(Pacer, CountsFromTheDueTimeWhenTheWindowHeldItBack) {
  Pacer pacer({.per_second = 10, .jitter = 0, .window = 1}, 5);
  pacer.start(kStart, kStart + 10s);
  const Instant first = pacer.take(kStart + 1s, 0).value();
  EXPECT_EQ(pacer.take(kStart + 1s, 1), std::nullopt);
  EXPECT_EQ(pacer.deadline(1), std::nullopt);  // only an answer can help
  const Instant second = pacer.take(kStart + 5s, 0).value();
  EXPECT_NEAR(seconds(second - first), 0.1, 1e-6);  // though it is sent seconds later
}

TEST(Pacer, TellsHowManyItGaveUp) {
  Pacer pacer({.per_second = 10, .jitter = 0}, 5);
  pacer.start(kStart, kStart + 10s);
  const std::uint64_t skipped = pacer.skip(kStart + 5s);
  EXPECT_NEAR(static_cast<double>(skipped), 50, 1);
  EXPECT_EQ(pacer.take(kStart + 5s, 0), std::nullopt);
  const std::uint64_t rest = pacer.skip(kStart + 1h);
  EXPECT_NEAR(static_cast<double>(skipped + rest), 100, 1);
}

TEST(Pacer, HasNothingDueOnceItWasStopped) {
  Pacer pacer({.per_second = 10, .jitter = 0}, 5);
  EXPECT_EQ(pacer.stop(kStart), 0u);
  pacer.start(kStart, kStart + 10s);
  EXPECT_NEAR(static_cast<double>(pacer.stop(kStart + 5s)), 50, 1);
  EXPECT_EQ(pacer.deadline(0), std::nullopt);
  EXPECT_EQ(pacer.take(kStart + 9s, 0), std::nullopt);
  EXPECT_EQ(pacer.stop(kStart + 9s), 0u);
}

TEST(Pacer, ClosedLoopKeepsTheWindowFullUntilTheEnd) {
  Pacer pacer({.mode = PaceMode::closed_loop, .window = 3}, 5);
  pacer.start(kStart, kStart + 1s);
  EXPECT_EQ(pacer.take(kStart - 1ns, 0), std::nullopt);
  EXPECT_EQ(pacer.take(kStart, 2), kStart);
  EXPECT_EQ(pacer.take(kStart, 3), std::nullopt);
  EXPECT_EQ(pacer.deadline(2), std::nullopt);  // answers drive it, not time
  EXPECT_EQ(pacer.take(kStart + 1ms, 2), kStart + 1ms);
  EXPECT_EQ(pacer.take(kStart + 1s, 0), std::nullopt);
  EXPECT_EQ(pacer.skip(kStart + 1s), 0u);
}

}  // namespace
}  // namespace siglane::load
