#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/runtime/admin/access.h"

namespace siglane::runtime {
namespace {

using ::testing::HasSubstr;

constexpr uid_t kOwner = 1000, kOther = 1001;

HttpRequest local(uid_t uid) {
  HttpRequest request;
  request.client = {.is_local = true, .uid = uid, .pid = 1, .address = {}};
  return request;
}
HttpRequest remote(std::string host) {
  HttpRequest request;
  request.client.address = "127.0.0.1:40000";
  request.headers = {{"host", std::move(host)}};
  return request;
}
HttpRequest with(HttpRequest request, std::string name, std::string value) {
  request.headers.emplace_back(std::move(name), std::move(value));
  return request;
}

AccessRules at_socket(Right of_group) {
  return {.without_token = of_group, .owner = kOwner};
}
AccessRules over_tcp(Right without_token) {
  AccessRules rules;
  rules.without_token = without_token;
  rules.read_token = "read-token-123456";
  rules.change_token = "change-token-1234";
  rules.host_names = {"hss.example", "2001:db8::1"};
  return rules;
}

TEST(AdminAccess, TheNodesUserAndRootMayDoAllAtTheSocket) {
  EXPECT_EQ(right_of(at_socket(Right::nothing), local(kOwner)), Right::change);
  EXPECT_EQ(right_of(at_socket(Right::nothing), local(0)), Right::change);
  EXPECT_EQ(right_of(at_socket(Right::read), local(kOther)), Right::read);
  EXPECT_EQ(right_of(at_socket(Right::change), local(kOther)), Right::change);
}

TEST(AdminAccess, ATokenGivesItsRight) {
  for (const Right without : {Right::nothing, Right::read}) {
    const AccessRules rules = over_tcp(without);
    const auto token = [&](std::string text) {
      return right_of(rules, with(remote("localhost"), "authorization", std::move(text)));
    };
    EXPECT_EQ(right_of(rules, remote("localhost")), without);
    EXPECT_EQ(token("Bearer read-token-123456"), Right::read);
    EXPECT_EQ(token("bearer change-token-1234"), Right::change);
  }
}

TEST(AdminAccess, AWrongTokenIsWorseThanNone) {
  for (const char* wrong : {"Bearer x", "Bearer ", "Bearer read-token-12345",
                            "Basic cmVhZA==", "read-token-123456", "Bearer change-token-1234 "}) {
    const auto right =
        right_of(over_tcp(Right::read), with(remote("localhost"), "authorization", wrong));
    ASSERT_FALSE(right) << wrong;
    EXPECT_EQ(right.error().status, 401u);
  }
}

TEST(AdminAccess, ATokenThatTheNodeDoesNotHaveOpensNothing) {
  AccessRules rules = over_tcp(Right::read);
  rules.read_token.clear();
  rules.change_token.clear();
  EXPECT_FALSE(right_of(rules, with(remote("localhost"), "authorization", "Bearer ")));
}

TEST(AdminAccess, OverTcpTheHostIsOneOfTheNodes) {
  for (const char* good :
       {"localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.8.8.8", "[::1]", "[::1]:8080",
        "hss.example", "HSS.example:1", "[2001:db8::1]:8080", "[2001:DB8:0::1]"}) {
    EXPECT_TRUE(right_of(over_tcp(Right::read), remote(good))) << good;
  }
  for (const char* bad : {"", "evil.example", "localhost.evil.example", "hss.example.evil.example",
                          "127.0.0.1.evil.example", "[::1", "10.0.0.1"}) {
    const auto right = right_of(over_tcp(Right::read), remote(bad));
    ASSERT_FALSE(right) << bad;
    EXPECT_EQ(right.error().status, 421u) << bad;
    EXPECT_THAT(right.error().detail, HasSubstr("admin.http.host_names"));
  }
  EXPECT_EQ(right_of(over_tcp(Right::read), with(remote("localhost"), "host", "x")).error().status,
            400u);
}

TEST(AdminAccess, APageOfAnotherSiteMayNotAsk) {
  for (const char* site : {"cross-site", "same-site"}) {
    EXPECT_EQ(right_of(over_tcp(Right::read), with(remote("localhost"), "sec-fetch-site", site))
                  .error()
                  .status,
              403u);
  }
  EXPECT_TRUE(
      right_of(over_tcp(Right::read), with(remote("localhost"), "sec-fetch-site", "same-origin")));
}

TEST(AdminAccess, SaysWhatIsMissing) {
  EXPECT_EQ(not_allowed(Right::nothing, Right::read).status, 401u);
  EXPECT_EQ(not_allowed(Right::read, Right::change).status, 403u);
  EXPECT_THAT(not_allowed(Right::read, Right::change).detail, HasSubstr("change_token_file"));
}

}  // namespace
}  // namespace siglane::runtime
