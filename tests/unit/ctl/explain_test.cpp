#include "apps/ctl/explain.h"

#include <string>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "apps/runtime/admin/api.h"
#include "tests/support/http_answer.h"
#include "tests/support/temporary_directory.h"

namespace siglane::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

template <class Message>
Message parsed(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

Findings peer(const std::string& text) {
  return {.node = "n", .now_unix_ms = 1'000'000, .peer = parsed<admin::Peer>(text)};
}

TEST(Explain, SaysWhyAPeerIsDownAndWhatWouldBringItUp) {
  EXPECT_EQ(explanation(peer(R"(
                name: "hss01" protocol: "diameter" configured: true connect_from: "rx"
                configured_address: "192.0.2.41" configured_port: 3868 state: "down"
                state_since_unix_ms: 816000 last_cause: "connect failed: Connection refused"
                last_cause_unix_ms: 990000
                link { id: 1 state: "waiting" next_connect_unix_ms: 1012000 })")),
            "hss01 is a Diameter peer of diameter.peers.\n"
            "It is down for 3m04s.\n"
            "This node connects to the peer, from the endpoint rx to 192.0.2.41, port 3868.\n"
            "The next attempt is in 12s.\n"
            "The last cause, 10s ago: connect failed: Connection refused.\n"
            "To bring it up: a Diameter node must answer at 192.0.2.41, port 3868.\n");
}

TEST(Explain, SaysWhereThePeerHasToConnect) {
  const std::string text =
      explanation(peer(R"(name: "asp1" protocol: "m3ua" configured: true state: "down")"));
  EXPECT_THAT(text, HasSubstr("asp1 is an M3UA peer of m3ua.asps.\n"));
  EXPECT_THAT(text, HasSubstr("It is down since the node's start.\n"));
  EXPECT_THAT(text, HasSubstr("The peer connects to this node, from any address.\n"));
  EXPECT_THAT(text, HasSubstr("To bring it up: the peer must connect."));
}

TEST(Explain, SaysWhatTheOperatorHasOrdered) {
  EXPECT_THAT(explanation(peer(R"(name: "a" configured: true disconnected: true)")),
              HasSubstr("To bring it up: `siglanectl connect a`."));
  const std::string blocked = explanation(peer(
      R"(name: "a" configured: true blocked: true state: "I-Open" connection { association: 3 })"));
  EXPECT_THAT(blocked, HasSubstr("`siglanectl unblock a` ends that."));
  EXPECT_THAT(blocked, Not(HasSubstr("To bring it up")));
  EXPECT_THAT(explanation(peer(R"(name: "a" configured: true connect_from: "m"
                          held_off_until_unix_ms: 61200000)")),
              HasSubstr("The peer has asked this node not to connect until 17:00:00Z.\n"
                        "To bring it up before that: `siglanectl connect a`."));
}

TEST(Explain, SaysWhereAnAssociationSitsAndWhy) {
  Findings found{.node = "n", .now_unix_ms = 1'000'000};
  found.associations = {parsed<admin::Association>(R"(
      id: 42 endpoint: "main" local: "127.0.0.1:3868" remote: "127.0.0.9:3868" state: "R-Open"
      opened_unix_ms: 880000 shard: 1 placement: PEELED peel_reason: "message_rate"
      peeled_unix_ms: 940000 peeled_at_messages_per_second: 1234 messages_in_per_second: 2000
      messages_out_per_second: 1999 residence_count: 5 residence_p99_ns: 850000 congested: true
      queued_messages: 17)")};
  EXPECT_EQ(
      explanation(found),
      "Association 42 was peeled onto a socket of its own 1m00s ago, because of message_rate "
      "(1234 messages/s).\n"
      "It is R-Open for 2m00s, on shard 1, from 127.0.0.1:3868 to 127.0.0.9:3868.\n"
      "It receives 2000 and sends 1999 messages/s. 99% of its messages stay in the node for "
      "at most 0.850 ms.\n"
      "It is congested: 17 messages wait to be sent. The peer, or the path to it, is slow.\n");
}

TEST(Explain, SaysWhatAnApplicationServerLacks) {
  Findings found{.node = "n"};
  found.server = parsed<admin::ApplicationServer>(R"(
      name: "hlr" routing_context: 101 state: "AS-PENDING" active_asps_min: 2 held_messages: 17
      asp { name: "hlr-a" state: "ASP-INACTIVE" } asp { name: "hlr-b" state: "ASP-DOWN" })");
  EXPECT_EQ(explanation(found),
            "hlr is an Application Server of m3ua.application_servers, with routing context 101.\n"
            "It is AS-PENDING: 0 of its 2 ASPs are active, and 2 must be.\n"
            "17 messages wait for an active ASP.\n"
            "hlr-a is ASP-INACTIVE: it must send ASPAC.\n"
            "hlr-b is ASP-DOWN: it must send ASPUP. `siglanectl explain hlr-b` says more.\n");
}

// A node with a peer and an Application Server of the same name, and association 7.
class FindTest : public ::testing::Test {
 protected:
  static std::string answer(const std::string& request) {
    using siglane::testing::http_answer;
    runtime::HttpRequest heard;
    heard.method = "GET";
    heard.target = request.substr(4, request.find(" HTTP") - 4);
    const auto asked = runtime::api_call(heard)->request;
    admin::Response response;
    response.set_node("stp");
    const std::string nothing = http_answer(R"({"detail":"no"})", "404 Not Found");
    if (asked.has_peers()) {
      if (asked.peers().name() != "a") return nothing;
      response.mutable_peers()->add_peer()->set_name("a");
    } else if (asked.has_associations()) {
      if (asked.associations().id() != 7 && asked.associations().peer() != "a") return nothing;
      response.mutable_associations()->add_association()->set_id(7);
    } else {
      response.mutable_application_servers()->add_application_server()->set_name("a");
    }
    return http_answer(response.SerializeAsString());
  }

  siglane::testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.path("s");
  siglane::testing::AnsweringSocket node_{path_, answer};
  NodeLink link_{{.socket = path_}};
};

TEST_F(FindTest, FindsAllThatIsCalledSo) {
  const auto both = find(link_, "a", 20s);
  ASSERT_TRUE(both) << both.error().what;
  EXPECT_EQ(both->node, "stp");
  EXPECT_TRUE(both->peer);
  EXPECT_TRUE(both->server);
  EXPECT_EQ(both->associations.size(), 1u);
  const auto number = find(link_, "7", 20s);
  ASSERT_TRUE(number) << number.error().what;
  EXPECT_FALSE(number->peer);
  EXPECT_EQ(number->associations.at(0).id(), 7u);
}

TEST_F(FindTest, SaysThatNothingIsCalledSo) {
  for (const char* name : {"b", "8", "0", "99999999999999999999"}) {
    const auto found = find(link_, name, 20s);
    ASSERT_FALSE(found) << name;
    EXPECT_THAT(found.error().what, HasSubstr("no peer, Application Server or association"));
  }
}

}  // namespace
}  // namespace siglane::ctl
