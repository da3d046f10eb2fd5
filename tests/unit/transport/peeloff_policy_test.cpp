#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/peeling/policy.h"

namespace siglane::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const PeeloffLimits kLimits{1000, 1e6, 3s, 2s, 8};

PeeloffSample quiet(std::uint64_t id) {
  PeeloffSample sample;
  sample.id = AssociationId{id};
  sample.age = 60s;
  return sample;
}

PeeloffSample loud(std::uint64_t id, double messages_per_second) {
  PeeloffSample sample = quiet(id);
  sample.rates.messages_in = messages_per_second / 2;
  sample.rates.messages_out = messages_per_second / 2;
  sample.above_threshold = 3s;
  return sample;
}

struct Picked {
  std::uint64_t id;
  PeeloffReason reason;
  bool operator==(const Picked&) const = default;
};

std::vector<Picked> choose(std::vector<PeeloffSample> samples, SharedPressure pressure = {},
                           PeeloffLimits limits = kLimits, std::size_t peeled_now = 0) {
  std::vector<Picked> picked;
  for (const auto& decision : choose_peeloffs(samples, pressure, limits, peeled_now).chosen) {
    picked.push_back({static_cast<std::uint64_t>(decision.id), decision.reason});
  }
  return picked;
}

std::size_t starved(std::vector<PeeloffSample> samples, std::size_t peeled_now,
                    PeeloffLimits limits = kLimits, SharedPressure pressure = {}) {
  return choose_peeloffs(samples, pressure, limits, peeled_now).starved;
}

SharedPressure wedged() {
  SharedPressure pressure;
  pressure.receive_memory_share = 0.95;
  pressure.since_progress = 250ms;
  return pressure;
}

TEST(PeeloffPolicy, QuietAssociationsStayWhereTheyAre) {
  EXPECT_THAT(choose({quiet(1), loud(2, 999)}), IsEmpty());
}

TEST(PeeloffPolicy, SustainedMessagesOfBothDirectionsTogetherEarnASocket) {
  EXPECT_THAT(choose({loud(1, 1000)}), ElementsAre(Picked{1, PeeloffReason::message_rate}));
}

TEST(PeeloffPolicy, FewLargeMessagesEarnASocketByTheirBytes) {
  PeeloffSample sample = loud(1, 10);
  sample.rates.bytes_in = 2e6;
  EXPECT_THAT(choose({sample}), ElementsAre(Picked{1, PeeloffReason::byte_rate}));
}

TEST(PeeloffPolicy, ABurstShorterThanSustainedIsNotEnough) {
  PeeloffSample sample = loud(1, 5000);
  sample.above_threshold = 2999ms;
  EXPECT_THAT(choose({sample}), IsEmpty());
}

TEST(PeeloffPolicy, AYoungAssociationHasToWait) {
  PeeloffSample sample = loud(1, 5000);
  sample.age = 1999ms;
  EXPECT_THAT(choose({sample}), IsEmpty());
}

TEST(PeeloffPolicy, ALimitOfZeroSwitchesItsMeasureOff) {
  PeeloffLimits limits = kLimits;
  limits.messages_per_second_min = 0;
  EXPECT_THAT(choose({loud(1, 1e6)}, {}, limits), IsEmpty());
}

TEST(PeeloffPolicy, TheBusiestByWhicheverMeasureComesFirst) {
  PeeloffSample bulky = loud(2, 10);
  bulky.rates.bytes_out = 5e6;
  EXPECT_THAT(
      choose({loud(1, 2000), bulky, loud(3, 4000)}),
      ElementsAre(Picked{2, PeeloffReason::byte_rate}, Picked{3, PeeloffReason::message_rate},
                  Picked{1, PeeloffReason::message_rate}));
}

TEST(PeeloffPolicy, TheCapCountsThoseAlreadyPeeledAndTheRestIsStarved) {
  const std::vector<PeeloffSample> samples{loud(1, 2000), loud(2, 4000), loud(3, 3000)};
  EXPECT_THAT(choose(samples, {}, kLimits, 7), ElementsAre(Picked{2, PeeloffReason::message_rate}));
  EXPECT_EQ(starved(samples, 7), 2u);
  EXPECT_THAT(choose(samples, {}, kLimits, 9), IsEmpty());
  EXPECT_EQ(starved(samples, 9), 3u);
}

TEST(PeeloffPolicy, WhereNobodyMayBePeeledOnlyAPinMissesIt) {
  PeeloffLimits off = kLimits;
  off.peeled_max = 0;
  PeeloffSample pinned = quiet(2), stuck = quiet(3);
  pinned.pin = Placement::always_peeled;
  stuck.held_is_stuck = true;
  stuck.bytes_held = 1000;
  stuck.bytes_undelivered = 1000;
  SharedPressure blocked;
  blocked.send_blocked = true;
  for (const SharedPressure& pressure : {SharedPressure{}, wedged(), blocked}) {
    EXPECT_EQ(starved({loud(1, 2000), stuck}, 0, off, pressure), 0u);
    EXPECT_EQ(starved({loud(1, 2000), pinned, stuck}, 0, off, pressure), 1u);
    EXPECT_THAT(choose({loud(1, 2000), pinned, stuck}, pressure, off), IsEmpty());
  }
}

TEST(PeeloffPolicy, APinAlwaysGoesAtOnceAndFirst) {
  PeeloffSample pinned = quiet(2);
  pinned.age = 0s;
  pinned.pin = Placement::always_peeled;
  EXPECT_THAT(choose({loud(1, 9000), pinned}), ElementsAre(Picked{2, PeeloffReason::pinned},
                                                           Picked{1, PeeloffReason::message_rate}));
}

TEST(PeeloffPolicy, APinNeverHoldsWhateverHappens) {
  PeeloffSample pinned = loud(1, 1e6);
  pinned.pin = Placement::never_peeled;
  pinned.bytes_held = pinned.bytes_undelivered = 1 << 20;
  pinned.held_is_stuck = true;
  SharedPressure pressure = wedged();
  pressure.send_blocked = true;
  EXPECT_THAT(choose({pinned}, pressure), IsEmpty());
}

TEST(PeeloffPolicy, AWedgedReceiverShedsTheLargestBacklogsUntilHalfIsGone) {
  auto with_backlog = [](std::uint64_t id, std::uint64_t bytes) {
    PeeloffSample sample = quiet(id);
    sample.bytes_undelivered = bytes;
    return sample;
  };
  EXPECT_THAT(choose({with_backlog(1, 100), with_backlog(2, 300), with_backlog(3, 250),
                      with_backlog(4, 200)},
                     wedged()),
              ElementsAre(Picked{2, PeeloffReason::receive_wedge},
                          Picked{3, PeeloffReason::receive_wedge}));
}

TEST(PeeloffPolicy, AWedgeOfUnknownMakingCostsTheBusiestSender) {
  PeeloffSample sender = quiet(2);
  sender.rates.bytes_in = 50;
  EXPECT_THAT(choose({quiet(1), sender, quiet(3)}, wedged()),
              ElementsAre(Picked{2, PeeloffReason::receive_wedge}));
}

TEST(PeeloffPolicy, FullReceiveMemoryIsNoWedgeWhileReadsGetOn) {
  SharedPressure pressure = wedged();
  pressure.since_progress = 249ms;
  EXPECT_THAT(choose({quiet(1)}, pressure), IsEmpty());
  pressure = wedged();
  pressure.receive_memory_share = 0.89;
  EXPECT_THAT(choose({quiet(1)}, pressure), IsEmpty());
}

TEST(PeeloffPolicy, TightSendMemoryCostsTheStuckOneThatHoldsMost) {
  auto holding = [](std::uint64_t id, std::uint64_t bytes, bool stuck) {
    PeeloffSample sample = quiet(id);
    sample.bytes_held = bytes;
    sample.held_is_stuck = stuck;
    return sample;
  };
  const std::vector<PeeloffSample> samples{holding(1, 500, true), holding(2, 900, false),
                                           holding(3, 700, true)};
  SharedPressure tight;
  tight.send_memory_share = 0.5;
  EXPECT_THAT(choose(samples, tight), ElementsAre(Picked{3, PeeloffReason::clogged}));
  SharedPressure blocked;
  blocked.send_blocked = true;
  EXPECT_THAT(choose(samples, blocked), ElementsAre(Picked{3, PeeloffReason::clogged}));
  EXPECT_THAT(choose(samples), IsEmpty());
}

TEST(PeeloffPolicy, ManyThatHoldLittleEachAreTheTroubleTogetherWhenNothingGetsIn) {
  std::vector<PeeloffSample> samples;
  for (std::uint64_t id = 1; id <= 6; ++id) {
    samples.push_back(quiet(id));
    samples.back().bytes_held = 100;
    samples.back().held_is_stuck = id <= 4;
  }
  SharedPressure pressure;
  pressure.send_memory_share = 0.9;
  EXPECT_THAT(choose(samples, pressure), ElementsAre(Picked{1, PeeloffReason::clogged}));
  pressure.send_blocked = true;
  EXPECT_THAT(choose(samples, pressure),
              ElementsAre(Picked{1, PeeloffReason::clogged}, Picked{2, PeeloffReason::clogged}));
}

}  // namespace
}  // namespace siglane::transport
