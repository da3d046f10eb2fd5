#include <functional>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "apps/runtime/admin/api.h"

namespace siglane::runtime {
namespace {

using ::testing::HasSubstr;

HttpRequest of(std::string method, std::string target) {
  HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  return request;
}

tl::expected<ApiCall, Problem> call(std::string method, std::string target) {
  return api_call(of(std::move(method), std::move(target)));
}

TEST(AdminApi, WhatAClientSaysIsWhatTheNodeHears) {
  using Fill = std::function<void(admin::Request&)>;
  const std::vector<Fill> requests{
      [](auto& r) { r.mutable_node(); },
      [](auto& r) { r.mutable_peers(); },
      [](auto& r) {
        r.mutable_peers()->set_after("a/b c+d&e=f%");
        r.mutable_peers()->set_limit(7);
      },
      [](auto& r) { r.mutable_peers()->set_name("mme/1 ü"); },
      [](auto& r) { r.mutable_associations(); },
      [](auto& r) {
        r.mutable_associations()->set_peer("mme1");
        r.mutable_associations()->set_after(~0ull);
        r.mutable_associations()->set_limit(~0u);
      },
      [](auto& r) { r.mutable_associations()->set_id(17); },
      [](auto& r) { r.mutable_application_servers(); },
      [](auto& r) { r.mutable_applications(); },
      [](auto& r) { r.mutable_routes(); },
      [](auto& r) {
        r.mutable_route_lookup()->mutable_diameter()->set_realm("example");
        r.mutable_route_lookup()->mutable_diameter()->set_application("S6a");
        r.mutable_route_lookup()->mutable_diameter()->set_host("hss.example");
      },
      [](auto& r) {
        r.mutable_route_lookup()->mutable_m3ua()->set_destination_point_code(5);
        r.mutable_route_lookup()->mutable_m3ua()->set_originating_point_code(6);
        r.mutable_route_lookup()->mutable_m3ua()->set_service_indicator(3);
        r.mutable_route_lookup()->mutable_m3ua()->set_sls(255);
        r.mutable_route_lookup()->mutable_m3ua()->set_network_appearance(0);
      },
      [](auto& r) { r.mutable_stats(); },
      [](auto& r) { r.mutable_stats()->set_peer("p"); },
      [](auto& r) { r.mutable_stats()->set_by_peer(true); },
      [](auto& r) { r.mutable_stats()->set_labels(true); },
      [](auto& r) { r.mutable_drops(); },
      [](auto& r) {
        r.mutable_facts()->set_after(9);
        r.mutable_facts()->set_count_max(10);
      },
      [](auto& r) { r.mutable_reload(); },
      [](auto& r) { r.mutable_reload()->set_dry_run(true); },
      [](auto& r) { r.mutable_log_level()->set_level("debug"); },
  };
  for (const Fill& fill : requests) {
    admin::Request request;
    fill(request);
    const auto [method, target] = api_target(request);
    const auto heard = call(method, target);
    ASSERT_TRUE(heard) << method << ' ' << target << ": " << heard.error().detail;
    EXPECT_EQ(heard->kind, ApiCall::Kind::question);
    EXPECT_EQ(heard->needs, method == "GET" ? Right::read : Right::change);
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(heard->request, request))
        << target << "\n"
        << heard->request.DebugString();
  }
}

TEST(AdminApi, TakesEachOrder) {
  for (int verb = admin::OrderRequest::Verb_MIN + 1; verb <= admin::OrderRequest::Verb_MAX;
       ++verb) {
    admin::Request request;
    request.mutable_order()->set_peer("a b");
    request.mutable_order()->set_verb(static_cast<admin::OrderRequest::Verb>(verb));
    const auto [method, target] = api_target(request);
    const auto heard = call(method, target);
    ASSERT_TRUE(heard) << target;
    EXPECT_EQ(heard->needs, Right::change);
    EXPECT_EQ(heard->request.order().verb(), verb) << target;
    EXPECT_EQ(heard->request.order().peer(), "a b");
  }
}

TEST(AdminApi, HasQuestionsThatAreNoneToTheNode) {
  EXPECT_EQ(call("GET", "/livez")->needs, Right::nothing);
  EXPECT_EQ(call("GET", "/readyz")->kind, ApiCall::Kind::ready);
  EXPECT_EQ(call("GET", "/v1")->kind, ApiCall::Kind::index);
  EXPECT_EQ(call("HEAD", "/v1/")->kind, ApiCall::Kind::index);
  EXPECT_EQ(call("GET", "/v1/events")->after, std::nullopt);
  EXPECT_EQ(call("GET", "/v1/events?after=0")->after, 0u);
}

TEST(AdminApi, SaysWhatIsWrongWithARequest) {
  struct Case {
    const char *method, *target;
    unsigned status;
    const char* detail;
  };
  const std::vector<Case> cases{
      {"GET", "/v1/peer", 404, "there is no such resource; GET /v1 lists all"},
      {"GET", "/v1/../etc/passwd", 404, "there is no such resource"},
      {"GET", "/v1/peers/a%2Fb/block", 405, "\"GET\" is not for this path; expected POST"},
      {"DELETE", "/v1/peers", 405, "\"DELETE\" is not for this path; expected GET, HEAD"},
      {"POST", "/v1/peers//block", 404, "there is no such resource"},
      {"GET", "v1/peers", 400, "\"v1/peers\" is no path that begins with a /"},
      {"GET", "*", 400, "no path that begins with a /"},
      {"GET", "http://elsewhere/v1/peers", 400, "no path that begins with a /"},
      {"GET", "", 400, "no path that begins with a /"},
      {"GET", "/v1/peers?limit=%zz", 400, "is no percent-encoded text in UTF-8 (RFC 3986)"},
      {"GET", "/v1/peers/%00", 400, "is no percent-encoded text"},
      {"GET", "/v1/peers/%4", 400, "is no percent-encoded text"},
      {"GET", "/v1/peers/%ff", 400, "is no percent-encoded text in UTF-8"},
      {"GET", "/v1/peers/\xc3\xbc", 400, "is no percent-encoded text"},
      {"GET", "/v1/peers?after=a\x01", 400, "is no percent-encoded text"},
      {"GET", "/v1/peers?limit=ten", 400, "limit: \"ten\" is no number from 0 to 4294967295"},
      {"GET", "/v1/peers?limit=-1", 400, "is no number"},
      {"GET", "/v1/peers?limit=4294967296", 400, "is no number"},
      {"GET", "/v1/peers?limit=1&limit=2", 400, "limit occurs more than once"},
      {"GET", "/v1/peers?page=2", 400, "\"page\" is no parameter; expected after, limit"},
      {"GET", "/v1/drops?x", 400, "\"x\" is no parameter: none is expected here"},
      {"GET", "/v1/associations/x", 400, "\"x\" is no number"},
      {"GET", "/v1/associations/0", 400, "no association has id 0"},
      {"GET", "/v1/stats?by_peer&labels", 400, "exclude each other"},
      {"GET", "/v1/stats?by_peer=maybe", 400, "by_peer=maybe is neither true nor false"},
      {"GET", "/v1/routes/lookup", 400, "realm is missing: expected realm and application, or dpc"},
      {"GET", "/v1/routes/lookup?realm=r", 400, "application is missing"},
      {"GET", "/v1/routes/lookup?dpc=1&sls=256", 400, "is no number from 0 to 255"},
      {"GET", "/v1/routes/lookup?dpc=1&realm=r", 400, "\"realm\" is no parameter"},
      {"POST", "/v1/log-level", 400, "level is missing"},
  };
  for (const auto& [method, target, status, detail] : cases) {
    const auto heard = call(method, target);
    ASSERT_FALSE(heard) << method << ' ' << target;
    EXPECT_EQ(heard.error().status, status) << method << ' ' << target;
    EXPECT_THAT(heard.error().detail, HasSubstr(detail)) << method << ' ' << target;
  }
}

TEST(AdminApi, ListsAllThatThereIs) {
  const std::string list = api_index().body;
  for (const char* path : {"/v1/node", "/v1/peers/{peer}/disconnect", "/v1/events", "/readyz"}) {
    EXPECT_THAT(list, HasSubstr(path));
  }
}

TEST(AdminApi, AnswersInJsonUnlessAskedForProtobuf) {
  admin::Response response;
  response.set_node("hss");
  HttpRequest request = of("GET", "/v1/node");
  HttpAnswer answer = api_answer(request, response);
  EXPECT_EQ(answer.status, 200u);
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_THAT(answer.body, HasSubstr(R"({"node":"hss",)"));
  request.headers = {{"accept", "text/html, application/x-protobuf"}};
  answer = api_answer(request, response);
  EXPECT_EQ(answer.content_type, "application/x-protobuf");
  EXPECT_EQ(answer.body, response.SerializeAsString());
}

TEST(AdminApi, AnErrorIsAProblem) {
  admin::Response response;
  response.mutable_error()->set_code(admin::Error::NOT_FOUND);
  response.mutable_error()->set_text("no peer is called \"x\"");
  HttpAnswer answer = api_answer(of("GET", "/v1/peers/x"), response);
  EXPECT_EQ(answer.status, 404u);
  EXPECT_EQ(answer.content_type, "application/problem+json");
  EXPECT_EQ(
      answer.body,
      "{\"title\":\"Not Found\",\"status\":404,\"detail\":\"no peer is called \\\"x\\\"\"}\n");
  response.mutable_reloaded()->set_text("hss.json:7: wrong");
  answer = api_answer(of("POST", "/v1/reload"), response);
  EXPECT_EQ(answer.status, 422u);
  EXPECT_THAT(answer.body, HasSubstr("hss.json:7: wrong"));
}

}  // namespace
}  // namespace siglane::runtime
