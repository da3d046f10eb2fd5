#include "apps/load/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace siglane::load {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Report good_report() {
  Report report;
  report.protocol = "s6a";
  report.target = "127.0.0.1:3868";
  report.transport = "tcp";
  report.lasted = 10s;
  report.peers = report.peers_up_most = 41;
  GroupTally sporadic{"sporadic", 40, {}};
  sporadic.tally.sent = sporadic.tally.answered = 200;
  for (int n = 1; n <= 200; ++n) sporadic.tally.latency.record(Duration(n * 1ms));
  GroupTally heavy{"heavy", 1, {}};
  heavy.tally.sent = heavy.tally.answered = 10000;
  for (int n = 0; n < 10000; ++n) heavy.tally.latency.record(100us);
  report.groups = {sporadic, heavy};
  return report;
}

TEST(Report, IsGoodWhenAllWasAnsweredOnce) {
  EXPECT_THAT(reasons_against(good_report()), IsEmpty());
}

TEST(Report, NamesEachReasonAgainstARun) {
  Report report = good_report();
  report.peers_up_most = 40;
  report.groups[0].tally.lost = 3;
  report.groups[1].tally.lost = 4;
  report.groups[1].tally.duplicated = 1;
  report.groups[1].tally.out_of_order = 2;
  report.groups[1].tally.damaged = 5;
  report.groups[1].tally.error_results = {{5001, 6}, {3002, 1}};
  report.connections_lost = 8;
  EXPECT_THAT(reasons_against(report),
              ElementsAre("only 40 of 41 peers came up", "7 lost", "1 duplicated", "2 out of order",
                          "5 damaged", "8 connections lost", "7 answered with an error"));
  report.tolerate_reconnect = report.tolerate_errors = true;
  EXPECT_THAT(reasons_against(report), ElementsAre("only 40 of 41 peers came up", "7 lost",
                                                   "1 duplicated", "2 out of order", "5 damaged"));
}

TEST(Report, DoesNotCallSilenceSuccess) {
  Report report = good_report();
  for (GroupTally& group : report.groups) group.tally = {};
  EXPECT_THAT(reasons_against(report), ElementsAre("nothing was answered"));
}

TEST(Report, ForgivesTheUnansweredWhereReconnectsAreTolerated) {
  Report report = good_report();
  report.groups[0].tally.unanswered = 10;
  report.connections_lost = 1;
  report.tolerate_reconnect = true;
  EXPECT_THAT(reasons_against(report), IsEmpty());
}

TEST(Report, CallsAnAnswerToNoRequestADuplicateUnlessItMayBeLate) {
  Report report = good_report();
  report.unmatched_answers = 3;
  EXPECT_EQ(report.total().duplicated, 3u);
  report.groups[0].tally.timed_out = 2;
  EXPECT_EQ(report.total().duplicated, 1u);
  report.groups[0].tally.timed_out = 5;
  EXPECT_EQ(report.total().duplicated, 0u);
}

TEST(Report, IsCompleteAsJson) {
  Report report = good_report();
  report.groups[1].tally.error_results = {{5001, 6}};
  const auto json = nlohmann::json::parse(to_json(report));
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["reasons"], nlohmann::json::array({"6 answered with an error"}));
  EXPECT_EQ(json["protocol"], "s6a");
  EXPECT_EQ(json["peers"]["expected"], 41);
  EXPECT_EQ(json["total"]["sent"], 10200);
  EXPECT_EQ(json["total"]["answered_per_second"], 1020.0);
  EXPECT_EQ(json["total"]["error_results"]["5001"], 6);
  ASSERT_EQ(json["groups"].size(), 2u);
  EXPECT_EQ(json["groups"][0]["name"], "sporadic");
  const auto& latency = json["groups"][0]["latency_us"];
  EXPECT_NEAR(latency["p50"].get<double>(), 100e3, 3.2e3);
  EXPECT_NEAR(latency["p99"].get<double>(), 198e3, 6.4e3);
  EXPECT_EQ(latency["max"], 200000.0);
  EXPECT_EQ(latency["count"], 200);
  EXPECT_NEAR(latency["mean"].get<double>(), 100.5e3, 0.1);
}

TEST(Report, NeverShowsAQuantileAboveTheLargestValue) {
  Latency latency;
  latency.record(1000001ns);
  EXPECT_EQ(latency.quantile_us(0.999), latency.max_us());
  EXPECT_EQ(latency.quantile_us(0.5), latency.max_us());
}

TEST(Report, ReadsWellForAHuman) {
  const std::string text = to_text(good_report());
  EXPECT_THAT(text, HasSubstr("s6a to 127.0.0.1:3868 over tcp: 41 of 41 peers up"));
  EXPECT_THAT(text, HasSubstr("sporadic"));
  EXPECT_THAT(text, testing::EndsWith("ok\n"));
  Report bad = good_report();
  bad.groups[0].tally.lost = 1;
  EXPECT_THAT(to_text(bad), testing::EndsWith("FAILED: 1 lost\n"));
}

TEST(Report, ShowsTheRateSinceTheLastLook) {
  Progress before{.at = 5s, .peers = 2, .peers_up = 2, .total = {}};
  before.total.answered = 1000;
  Progress now{.at = 7s, .peers = 2, .peers_up = 1, .total = {}};
  now.total.answered = 5000;
  EXPECT_THAT(progress_line(now, before), HasSubstr("peers 1/2  2000 per s"));
  EXPECT_THAT(progress_line(now, before), Not(HasSubstr("LOST")));
  now.total.lost = 1;
  EXPECT_THAT(progress_line(now, before), HasSubstr("LOST 1"));
}

}  // namespace
}  // namespace siglane::load
