#include "apps/runtime/fact_log.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

namespace siglane::runtime {
namespace {

using testing::ElementsAre;

constexpr AssociationId kId{7};

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
  log.on_fact(ShardId{0}, AssociationId::none,
              fact::EndpointOpened{"main", "127.0.0.1", 3868, TransportKind::tcp}, Instant(1s));
  EXPECT_EQ(logged(),
            "info endpoint_opened endpoint=main address=127.0.0.1 port=3868 transport=tcp\n");
}

TEST_F(FactLogTest, SaysWhoAnAssociationIs) {
  FactLog log({}, 10, logger_);
  log.on_fact(ShardId{0}, kId, fact::AssociationOpened{"main", "10.0.0.1:9", {}}, Instant(1s));
  log.on_fact(ShardId{0}, kId, fact::CongestionChanged{true}, Instant(1s));
  log.on_fact(ShardId{0}, kId, fact::PeerOpened{"mme"}, Instant(1s));
  log.on_fact(ShardId{0}, kId, fact::CongestionChanged{false}, Instant(1s));
  log.on_fact(ShardId{0}, kId, fact::AssociationClosed{DownCause::lost, "no answer"}, Instant(1s));
  log.on_fact(ShardId{0}, kId, fact::CongestionChanged{true}, Instant(1s));
  EXPECT_EQ(logged(),
            "info congestion_changed association=7 peer=10.0.0.1:9 congested=yes\n"
            "info peer_opened association=7 peer=mme\n"
            "info congestion_changed association=7 peer=mme congested=no\n"
            "info association_closed association=7 peer=mme cause=lost detail=\"no answer\"\n"
            "info congestion_changed association=7 congested=yes\n");
}

TEST_F(FactLogTest, WarnsOfAPathThatFailsAndOfWhatIsToBeMended) {
  FactLog log({}, 10, logger_);
  const auto path = [&](PathState state) {
    log.on_fact(ShardId{0}, kId, fact::PathChanged{"192.0.2.1", state}, Instant(1s));
  };
  path(PathState::potentially_failed);
  path(PathState::unreachable);
  path(PathState::reachable);
  log.on_fact(ShardId{0}, AssociationId::none, fact::Notice{"clipped", true}, Instant(1s));
  EXPECT_EQ(logged(),
            "warning path_changed association=7 address=192.0.2.1 state=potentially_failed\n"
            "warning path_changed association=7 address=192.0.2.1 state=unreachable\n"
            "info path_changed association=7 address=192.0.2.1 state=reachable\n"
            "warning notice text=clipped\n");
}

TEST_F(FactLogTest, KnowsAnAssociationByItsAspToo) {
  FactLog log({}, 10, nullptr);
  log.on_fact(ShardId{0}, kId, fact::AssociationOpened{"main", "10.0.0.1:9", {}}, Instant(1s));
  log.on_fact(ShardId{0}, kId, fact::AspStateChanged{"asp8", {}, "ASP-INACTIVE"}, Instant(1s));
  log.on_fact(ShardId{0}, kId, fact::CongestionChanged{true}, Instant(1s));
  EXPECT_EQ(log.after(0, 10).back().peer, "asp8");
}

TEST_F(FactLogTest, KeepsWhatAPeerSaysFromForgingALine) {
  FactLog log({}, 10, logger_);
  log.on_fact(ShardId{0}, AssociationId::none,
              fact::PeerRefused{"evil\ninfo peer_opened\x1b[2J", "a=b \xff"}, Instant(1s));
  EXPECT_EQ(logged(),
            "warning peer_refused who=\"evil\\ninfo peer_opened\\u001b[2J\" "
            "why=\"a=b \\xff\"\n");
}

TEST_F(FactLogTest, LogsSoManyOfAKindInASecondAndThenCountsThem) {
  FactLog log({.facts_per_second_max = 2}, 10, logger_);
  const auto notice = [&](Instant at) {
    log.on_fact(ShardId{0}, AssociationId::none, fact::Notice{"x"}, at);
  };
  for (int i = 0; i < 5; ++i) notice(Instant(10s));
  log.on_fact(ShardId{0}, AssociationId::none, fact::PeerOpened{"other"}, Instant(10s));
  EXPECT_EQ(logged(), "info notice text=x\ninfo notice text=x\ninfo peer_opened peer=other\n");
  notice(Instant(11s));
  EXPECT_EQ(logged(), "warning facts_suppressed kind=notice count=3\ninfo notice text=x\n");
  EXPECT_EQ(log.after(0, 100).size(), 7u);
}

TEST_F(FactLogTest, SaysAtTheEndWhatItHasLeftOut) {
  {
    FactLog log({.facts_per_second_max = 1}, 10, logger_);
    for (int i = 0; i < 3; ++i) {
      log.on_fact(ShardId{0}, AssociationId::none, fact::Notice{"x"}, Instant(1s));
    }
  }
  EXPECT_EQ(logged(), "info notice text=x\nwarning facts_suppressed kind=notice count=2\n");
}

TEST_F(FactLogTest, KeepsTheLatestForWhoeverAsksLater) {
  FactLog log({}, 3, nullptr);
  for (int i = 1; i <= 5; ++i) {
    log.on_fact(ShardId{0}, kId, fact::Notice{std::to_string(i)}, Instant(1s));
  }
  const auto numbers = [&](std::uint64_t after, std::size_t max) {
    std::vector<std::uint64_t> all;
    for (const KeptFact& fact : log.after(after, max)) {
      EXPECT_EQ(fact.text.fields.at(0).value, std::to_string(fact.number));
      all.push_back(fact.number);
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
