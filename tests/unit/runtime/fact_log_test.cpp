#include "apps/runtime/fact_log.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include "tests/support/facts.h"

namespace siglane::runtime {
namespace {

using testing::ElementsAre;

constexpr AssociationId kId{7};
constexpr FactKind kDoorOpened{"test.door_opened", Severity::info, "a door was opened"};

class FactLogTest : public testing::Test {
 protected:
  FactLogTest() {
    logger_ = std::make_shared<spdlog::logger>(
        "n", std::make_shared<spdlog::sinks::ostream_sink_mt>(out_));
    logger_->set_pattern("%l %v");
  }
  std::string logged() {
    std::string text = out_.str();
    out_.str("");
    return text;
  }

  std::ostringstream out_;
  std::shared_ptr<spdlog::logger> logger_;
};

TEST_F(FactLogTest, WritesOneLineOfKeysAndValues) {
  FactLog log({}, 10, logger_);
  log.on_fact({}, {kDoorOpened, {{"door", "main"}, {"remark", ""}, {"count", 2}, {"alone", true}}},
              Instant(1s));
  EXPECT_EQ(logged(), "info test.door_opened door=main count=2 alone=yes\n");
}

TEST_F(FactLogTest, SaysWhoAnAssociationIsUnlessTheFactDoes) {
  FactLog log({}, 10, logger_);
  const auto tell = [&](std::string_view peer, const Fact& fact) {
    log.on_fact({ShardId{0}, kId, peer}, fact, Instant(1s));
  };
  tell("10.0.0.1:9", {kDoorOpened, {{"door", "main"}}});
  tell("mme", {kDoorOpened, {{"door", "main"}}});
  tell("mme", {kDoorOpened, {{"door", "main"}, {"peer", "mme41"}}});
  tell("", {kDoorOpened, {{"door", "main"}}});
  EXPECT_EQ(logged(),
            "info test.door_opened association=7 peer=10.0.0.1:9 door=main\n"
            "info test.door_opened association=7 peer=mme door=main\n"
            "info test.door_opened association=7 door=main peer=mme41\n"
            "info test.door_opened association=7 door=main\n");
  EXPECT_EQ(log.after(0, 10).at(1).peer, "mme");
}

TEST_F(FactLogTest, OneFactMayBeWorseNewsThanMostOfItsKind) {
  FactLog log({}, 10, logger_);
  log.on_fact({}, {kDoorOpened, Severity::error, {{"door", "safe"}}}, Instant(1s));
  log.on_fact({}, notice("clipped", Severity::warning), Instant(1s));
  EXPECT_EQ(logged(), "error test.door_opened door=safe\nwarning notice text=clipped\n");
}

TEST_F(FactLogTest, LogsWhatIsGraveEnoughAndKeepsTheRest) {
  FactLog log({}, 10, logger_);
  logger_->set_level(spdlog::level::warn);
  log.on_fact({}, {kDoorOpened, {{"door", "main"}}}, Instant(1s));
  log.on_fact({}, {kDoorOpened, Severity::warning, {{"door", "safe"}}}, Instant(1s));
  EXPECT_EQ(logged(), "warning test.door_opened door=safe\n");
  EXPECT_EQ(log.after(0, 10).size(), 2u);
}

TEST_F(FactLogTest, KeepsWhatAPeerSaysFromForgingALine) {
  FactLog log({}, 10, logger_);
  log.on_fact({}, {kDoorOpened, {{"who", "evil\ninfo peer_opened\x1b[2J"}, {"why", "a=b \xff"}}},
              Instant(1s));
  EXPECT_EQ(logged(),
            "info test.door_opened who=\"evil\\ninfo peer_opened\\u001b[2J\" "
            "why=\"a=b \\xff\"\n");
}

TEST_F(FactLogTest, LogsSoManyOfAKindInASecondAndThenCountsThem) {
  FactLog log({.facts_per_second_max = 2}, 10, logger_);
  for (int i = 0; i < 5; ++i) log.on_fact({}, notice("x"), Instant(10s));
  log.on_fact({}, {kDoorOpened, {{"door", "main"}}}, Instant(10s));
  EXPECT_EQ(logged(), "info notice text=x\ninfo notice text=x\ninfo test.door_opened door=main\n");
  log.on_fact({}, notice("x"), Instant(11s));
  EXPECT_EQ(logged(), "warning facts_suppressed kind=notice count=3\ninfo notice text=x\n");
  EXPECT_EQ(log.after(0, 100).size(), 7u);
}

TEST_F(FactLogTest, SaysAtTheEndWhatItHasLeftOut) {
  {
    FactLog log({.facts_per_second_max = 1}, 10, logger_);
    for (int i = 0; i < 3; ++i) log.on_fact({}, notice("x"), Instant(1s));
  }
  EXPECT_EQ(logged(), "info notice text=x\nwarning facts_suppressed kind=notice count=2\n");
}

TEST_F(FactLogTest, KeepsTheLatestForWhoeverAsksLater) {
  FactLog log({}, 3, nullptr);
  for (int i = 1; i <= 5; ++i) {
    log.on_fact({ShardId{0}, kId, {}}, notice(std::to_string(i)), Instant(1s));
  }
  const auto numbers = [&](std::uint64_t after, std::size_t max) {
    std::vector<std::uint64_t> all;
    for (const KeptFact& kept : log.after(after, max)) {
      EXPECT_EQ(field(kept.fact, "text"), std::to_string(kept.number));
      all.push_back(kept.number);
    }
    return all;
  };
  EXPECT_THAT(numbers(0, 100), ElementsAre(3, 4, 5));
  EXPECT_THAT(numbers(3, 100), ElementsAre(4, 5));
  EXPECT_THAT(numbers(0, 1), ElementsAre(5));
  EXPECT_THAT(numbers(5, 100), ElementsAre());
  EXPECT_THAT(numbers(99, 100), ElementsAre());
}

}  // namespace
}  // namespace siglane::runtime
