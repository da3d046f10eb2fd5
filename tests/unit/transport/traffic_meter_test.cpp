#include "transport/peeling/traffic_meter.h"

#include <gtest/gtest.h>

namespace siglane::transport {
namespace {

constexpr TrafficThreshold kLoud{100, 10000};

struct Meter {
  Instant now{10s};
  TrafficMeter meter{now};

  void window(int messages, std::size_t bytes_each, Duration length = 1s) {
    for (int i = 0; i < messages; ++i) {
      i % 2 == 0 ? meter.count_in(bytes_each) : meter.count_out(bytes_each);
    }
    now += length;
    meter.roll(now, 500ms, kLoud);
  }
};

TEST(TrafficMeter, TellsTheRatesOfTheLastWindowForEachDirection) {
  Meter m;
  m.window(30, 10, 2s);
  EXPECT_DOUBLE_EQ(m.meter.rates().messages_in, 7.5);
  EXPECT_DOUBLE_EQ(m.meter.rates().messages_out, 7.5);
  EXPECT_DOUBLE_EQ(m.meter.rates().bytes_in, 75);
  EXPECT_DOUBLE_EQ(m.meter.rates().bytes(), 150);
  m.window(0, 0);
  EXPECT_DOUBLE_EQ(m.meter.rates().messages(), 0);
}

TEST(TrafficMeter, GoesOnCountingWhileTheWindowIsTooShort) {
  Meter m;
  m.window(50, 10, 400ms);
  EXPECT_DOUBLE_EQ(m.meter.rates().messages(), 0);
  m.window(50, 10, 600ms);
  EXPECT_DOUBLE_EQ(m.meter.rates().messages(), 100);
}

TEST(TrafficMeter, AddsUpHowLongTheThresholdIsMetWithoutABreak) {
  Meter m;
  m.window(100, 1);
  EXPECT_EQ(m.meter.above_threshold(), 1s);
  m.window(200, 1);
  EXPECT_EQ(m.meter.above_threshold(), 2s);
  m.window(99, 1);
  EXPECT_EQ(m.meter.above_threshold(), 0s);
  m.window(100, 1);
  EXPECT_EQ(m.meter.above_threshold(), 1s);
}

TEST(TrafficMeter, FewLargeMessagesMeetTheThresholdByTheirBytes) {
  Meter m;
  m.window(2, 5000);
  EXPECT_EQ(m.meter.above_threshold(), 1s);
}

TEST(TrafficMeter, AThresholdOfZeroIsNeverMet) {
  EXPECT_FALSE((TrafficThreshold{0, 0}.met_by(TrafficRates{1e9, 0, 1e12, 0})));
}

}  // namespace
}  // namespace siglane::transport
