#include "apps/ctl/admin_client.h"

#include <atomic>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/http_answer.h"
#include "tests/support/temporary_directory.h"

namespace siglane::ctl {
namespace {

using siglane::testing::AnsweringSocket;
using siglane::testing::http_answer;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class AdminClientTest : public ::testing::Test {
 protected:
  Result<admin::Response> ask(const std::string& answer, Duration timeout = 20s) {
    AnsweringSocket node(path_, [&](const std::string& request) {
      heard_ = request;
      return answer;
    });
    AdminClient client({.socket = path_, .token = "secret-secret-secret"});
    return client.ask(peers(), timeout);
  }
  static admin::Request peers() {
    admin::Request request;
    request.mutable_peers()->set_name("mme 1");
    return request;
  }

  siglane::testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.path("node.sock");
  std::string heard_;
};

TEST_F(AdminClientTest, GivesTheAnswer) {
  admin::Response answer;
  answer.set_node("n");
  const auto response = ask(http_answer(answer.SerializeAsString()));
  ASSERT_TRUE(response) << response.error().what;
  EXPECT_EQ(response->node(), "n");
  EXPECT_THAT(heard_, StartsWith("GET /v1/peers/mme%201 HTTP/1.1\r\n"));
  EXPECT_THAT(heard_, HasSubstr("\r\nAccept: application/x-protobuf\r\n"));
  EXPECT_THAT(heard_, HasSubstr("\r\nAuthorization: Bearer secret-secret-secret\r\n"));
}

TEST_F(AdminClientTest, SaysWhatTheNodeSaysIsWrong) {
  const auto what = [this](std::string_view body, std::string_view status) {
    return ask(http_answer(body, status)).error().what;
  };
  EXPECT_EQ(
      what(R"({"title":"x","status":404,"detail":"no peer\nis \u001b here"})", "404 Not Found"),
      path_ + ": no peer\nis \\u001b here");
}

TEST_F(AdminClientTest, SaysWhereTheAnswerIsSomethingElse) {
  EXPECT_EQ(ask(http_answer("\xff\xff")).error().what,
            path_ + ": the answer is not of this API: is a Siglane node there?");
}

TEST_F(AdminClientTest, SaysWhereThereIsNoProblemInAProblem) {
  EXPECT_EQ(ask(http_answer("[1,", "500 Oops")).error().what, path_ + ": HTTP status 500");
}

TEST_F(AdminClientTest, SaysThatTheNodeHungUp) {
  EXPECT_THAT(ask("").error().what, StartsWith(path_ + ": "));
}

TEST_F(AdminClientTest, SaysThatItIsNoHttp) {
  EXPECT_THAT(ask("\x05half a frame").error().what, StartsWith(path_ + ": "));
}

TEST_F(AdminClientTest, DoesNotWaitForEver) {
  std::atomic<bool> over = false;
  AnsweringSocket node(path_, [&](const std::string&) {
    while (!over) std::this_thread::yield();
    return std::string();
  });
  AdminClient client({.socket = path_});
  EXPECT_EQ(client.ask(peers(), 20ms).error().what, path_ + ": no answer in time");
  over = true;
}

TEST_F(AdminClientTest, SaysThatNobodyIsThere) {
  AdminClient client({.socket = path_});
  EXPECT_THAT(client.ask(peers(), 5s).error().what,
              HasSubstr("; is it running, with \"admin\": {\"socket\": ...} of this path"));
  AdminClient nowhere({.socket = std::string(200, 'x')});
  EXPECT_FALSE(nowhere.ask(peers(), 5s));
}

TEST_F(AdminClientTest, KeepsItsConnectionAndMakesANewOneWhereThatIsGone) {
  AdminClient client({.socket = path_});
  std::atomic<int> asked = 0;
  AnsweringSocket node(path_, [&asked](const std::string&) {
    ++asked;
    return http_answer(admin::Response().SerializeAsString());
  });
  EXPECT_TRUE(client.ask(peers(), 20s));
  EXPECT_TRUE(client.ask(peers(), 20s));
  node.hang_up();
  EXPECT_TRUE(client.ask(peers(), 20s));
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace siglane::ctl
