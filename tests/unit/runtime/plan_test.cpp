// What a new config changes of a running node.
#include "apps/runtime/plan.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

JsonValue json(std::string_view text) {
  auto document = JsonDocument::parse("test.json", text);
  EXPECT_TRUE(document) << document.error().what;
  return document->root;
}

std::vector<std::string> lines(const Plan& plan) {
  std::vector<std::string> all;
  for (const PlanStep& step : plan.steps) {
    constexpr const char* kEffects[] = {"at once", "next connection", "reconnect", "restart"};
    all.push_back(std::string(kEffects[static_cast<int>(step.effect)]) + " " + step.path + ": " +
                  step.what);
  }
  return all;
}

Plan plan_of(std::string_view old, std::string_view next, std::set<std::string> reconnected = {}) {
  PlanRules rules = PlanRules::of_every_node();
  rules.reconnected = std::move(reconnected);
  return make_plan(json(old), json(next), rules);
}

TEST(Plan, OfTheSameConfigHasNoSteps) {
  const Plan plan = plan_of(R"({"a": [1, {"name": "x"}], "b": {"c": null}})",
                            R"({"b": {"c": null}, "a": [1, {"name": "x"}]})");
  EXPECT_THAT(lines(plan), IsEmpty());
  EXPECT_EQ(plan.summary(), "no changes");
  EXPECT_EQ(plan.text(), "");
}

TEST(Plan, NamesAValueThatHasChangedAndBothValues) {
  EXPECT_THAT(lines(plan_of(R"({"log": {"level": "info"}})", R"({"log": {"level": "debug"}})")),
              ElementsAre(R"(at once /log/level: "info" is now "debug")"));
  EXPECT_THAT(lines(plan_of(R"({"diameter": {"host_ip_addresses": ["10.0.0.1"]}})",
                            R"({"diameter": {"host_ip_addresses": ["10.0.0.1", "10.0.0.2"]}})")),
              ElementsAre(R"(at once /diameter/host_ip_addresses: ["10.0.0.1"] is now )"
                          R"(["10.0.0.1","10.0.0.2"])"));
}

TEST(Plan, ComparesNamedObjectsByTheirNameWhereverTheyStand) {
  EXPECT_THAT(
      lines(plan_of(
          R"({"diameter": {"peers": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}})",
          R"({"diameter": {"peers": [{"name": "c", "port": 3}, {"name": "b", "port": 9}]}})")),
      ElementsAre("at once /diameter/peers/c: added", "at once /diameter/peers/b/port: 2 is now 9",
                  "at once /diameter/peers/a: removed"));
}

TEST(Plan, AddsAndRemovesObjectsWithoutNames) {
  const Plan plan = plan_of(R"({"m3ua": {"routes": [{"dpc": 1}, {"dpc": 2}, {"dpc": 2}]}})",
                            R"({"m3ua": {"routes": [{"dpc": 2}, {"dpc": 3}]}})");
  EXPECT_THAT(lines(plan), ElementsAre(R"(at once /m3ua/routes: {"dpc":3} added)",
                                       R"(at once /m3ua/routes: {"dpc":1} removed)",
                                       R"(at once /m3ua/routes: {"dpc":2} removed)"));
}

TEST(Plan, SaysWhichPeersReconnect) {
  EXPECT_THAT(
      lines(plan_of(R"({"m3ua": {"asps": [{"name": "asp1", "port": 1}, {"name": "asp2"}]}})",
                    R"({"m3ua": {"asps": [{"name": "asp1", "port": 2}, {"name": "asp2"}]}})",
                    {"asp1"})),
      ElementsAre("reconnect /m3ua/asps/asp1/port: 1 is now 2"));
}

TEST(Plan, SaysWhoseConnectWaitsForAnEndpoint) {
  PlanRules rules = PlanRules::of_every_node();
  rules.waiting = {"a"};
  const Plan plan = make_plan(
      json(R"({"diameter": {"peers": [{"name": "a", "connect": {"endpoint": "x"}}]}})"),
      json(R"({"diameter": {"peers": [{"name": "a", "connect": {"endpoint": "y"}}]}})"), rules);
  EXPECT_THAT(lines(plan),
              ElementsAre(R"(restart /diameter/peers/a/connect/endpoint: "x" is now "y")"));
}

TEST(Plan, KeepsTheOldValueOfWhatNeedsARestart) {
  const Plan plan = plan_of(R"({"runtime": {"shards": 2, "stop_grace_ms": 5000}})",
                            R"({"runtime": {"shards": 4, "stop_grace_ms": 6000}})");
  EXPECT_THAT(lines(plan), ElementsAre("restart /runtime/shards: 2 is now 4",
                                       "at once /runtime/stop_grace_ms: 5000 is now 6000"));
  EXPECT_EQ(compact_text(plan.effective), R"({"runtime":{"shards":2,"stop_grace_ms":6000}})");
  // So the next plan says so again.
  const Plan again = make_plan(plan.effective, json(R"({"runtime": {"shards": 4,
      "stop_grace_ms": 6000}})"),
                               PlanRules::of_every_node());
  EXPECT_THAT(lines(again), ElementsAre("restart /runtime/shards: 2 is now 4"));
  EXPECT_TRUE(plan.takes_effect());
  EXPECT_FALSE(again.takes_effect());
}

TEST(Plan, OfAnEndpointChangesOnlyWhatItsSocketsNeedNotBeOpenedAgainFor) {
  constexpr auto kOld = R"({"endpoints": [
      {"name": "a", "port": 1, "tls": {"key": "k"}, "limits": {"message_bytes_max": 1}},
      {"name": "b", "port": 1}]})";
  constexpr auto kNew = R"({"endpoints": [
      {"name": "a", "port": 2, "tls": {"key": "l"}, "limits": {"message_bytes_max": 2}},
      {"name": "b", "port": 1, "tls": {"key": "k"}}, {"name": "c", "port": 1}]})";
  const Plan plan = plan_of(kOld, kNew);
  EXPECT_THAT(lines(plan),
              ElementsAre("restart /endpoints/a/port: 1 is now 2",
                          R"(next connection /endpoints/a/tls/key: "k" is now "l")",
                          "at once /endpoints/a/limits/message_bytes_max: 1 is now 2",
                          "restart /endpoints/b/tls: added", "restart /endpoints/c: added"));
  EXPECT_EQ(compact_text(plan.effective),
            R"({"endpoints":[{"name":"a","port":1,"tls":{"key":"l"},)"
            R"("limits":{"message_bytes_max":2}},{"name":"b","port":1}]})");
}

TEST(Plan, WhatIsRemovedAndNeedsARestartStays) {
  const Plan plan = plan_of(R"({"endpoints": [{"name": "a"}, {"name": "b"}]})",
                            R"({"endpoints": [{"name": "b"}]})");
  EXPECT_THAT(lines(plan), ElementsAre("restart /endpoints/a: removed"));
  EXPECT_THAT(compact_text(plan.effective), HasSubstr(R"({"name":"a"})"));
}

TEST(Plan, OfWhatIsAgreedUponAtTheBeginningOfAConnectionWaitsForTheNextOne) {
  const Plan plan =
      plan_of(R"({"endpoints": [{"name": "a", "sctp": {"streams_out": 2, "nodelay": true}}]})",
              R"({"endpoints": [{"name": "a", "sctp": {"streams_out": 4, "nodelay": false}}]})");
  EXPECT_THAT(lines(plan), ElementsAre("next connection /endpoints/a/sctp/streams_out: 2 is now 4",
                                       "at once /endpoints/a/sctp/nodelay: true is now false"));
  EXPECT_EQ(plan.summary(), "2 changes: 1 at once, 1 with the next connection");
  EXPECT_THAT(plan.text(), HasSubstr("with the next connection: those that there are keep what "
                                     "they have:\n  /endpoints/a/sctp/streams_out"));
  EXPECT_TRUE(plan.takes_effect());
}

TEST(Plan, IsToldByEffectAndNotAtAnyLength) {
  std::string next = R"({"runtime": {"shards": 2}, "m3ua": {"routes": [)";
  for (int i = 0; i < 100; ++i)
    next += (i > 0 ? "," : "") + ("{\"dpc\": " + std::to_string(i) + "}");
  const Plan plan = plan_of(R"({"runtime": {"shards": 1}, "m3ua": {"routes": []}})", next + "]}}");
  EXPECT_EQ(plan.summary(), "101 changes: 100 at once, 1 only after a restart");
  const std::string text = plan.text(2);
  EXPECT_EQ(text,
            "at once:\n"
            "  /m3ua/routes: {\"dpc\":0} added\n"
            "  /m3ua/routes: {\"dpc\":1} added\n"
            "  and 98 more\n"
            "needs a restart, and stays as it is until then:\n"
            "  /runtime/shards: 1 is now 2\n");
}

TEST(Plan, ShowsNamesSoThatATerminalIsSafe) {
  const Plan plan = plan_of(R"({"diameter": {"peers": []}})",
                            R"({"diameter": {"peers": [{"name": "a\u001b[2J"}]}})");
  EXPECT_THAT(lines(plan), ElementsAre(R"(at once /diameter/peers/a\u001b[2J: added)"));
}

}  // namespace
}  // namespace siglane::runtime
