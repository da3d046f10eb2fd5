#include "apps/runtime/admin/door.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/runtime/admin/listening.h"
#include "apps/runtime/fact_log.h"
#include "tests/support/raw_http.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/turns.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

using siglane::testing::RawHttp;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr FactKind kHappened{"happened", Severity::info, "something"};

// Answers when it is told to.
class HandMadeNode final : public AdminNode {
 public:
  void ask(const admin::Request& request, Reply reply) override {
    asked.emplace_back(request, std::move(reply));
  }
  void look_alive(std::function<void()> then) override { looks.push_back(std::move(then)); }
  std::optional<std::string> not_ready() const override { return why_not_ready; }
  const FactLog& facts() const override { return log; }
  std::int64_t started_unix_ms() const override { return 1000; }
  void on_refused(const HttpClient&, unsigned status, std::string_view) override {
    refused.push_back(status);
  }

  void answer(std::size_t index, const std::string& name) {
    admin::Response response;
    response.set_node(name);
    asked[index].second(std::move(response));
  }
  void happen(int times = 1) {
    for (int i = 0; i < times; ++i) log.on_fact({}, Fact(kHappened), Instant());
  }

  std::vector<std::pair<admin::Request, Reply>> asked;
  std::vector<std::function<void()>> looks;
  std::optional<std::string> why_not_ready;
  std::vector<unsigned> refused;
  FactLog log{LogConfig(), 200, nullptr};
};

class DoorTest : public ::testing::Test {
 protected:
  DoorTest() : loop_(std::move(*transport::Loop::create())) {
    Gate gate;
    gate.listening_socket = *listen_at(path_, std::nullopt);
    gate.rules = {.without_token = Right::read, .owner = geteuid()};
    Gate strict;
    strict.listening_socket = *listen_at(strict_path_, std::nullopt);
    strict.rules = {.read_token = "read-token-123456"};
    std::vector<Gate> gates;
    gates.push_back(std::move(gate));
    gates.push_back(std::move(strict));
    door_ = std::move(*Door::open(*loop_, std::move(gates), node_, limits_));
  }
  bool turn_until(const std::function<bool()>& condition) {
    return siglane::testing::turn_until(*loop_, condition);
  }
  RawHttp::Answer answer(RawHttp& client) { return siglane::testing::answer(*loop_, client); }
  RawHttp::Answer get(std::string_view target) {
    RawHttp client(path_);
    client.get(target);
    return answer(client);
  }
  bool hears(RawHttp& client, std::string_view text) {
    return turn_until([&] {
      client.hear();
      return client.received().find(text) != std::string::npos;
    });
  }

  siglane::testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.path("a.sock"), strict_path_ = directory_.path("b.sock");
  static constexpr Door::Limits limits_{
      .questions_per_second_max = 20, .burst = 8, .alive_for = 1h};
  std::unique_ptr<transport::Loop> loop_;
  HandMadeNode node_;
  std::unique_ptr<Door> door_;
};

TEST_F(DoorTest, AsksTheNodeAndAnswers) {
  RawHttp client(path_);
  client.get("/v1/peers?limit=3");
  ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 1; }));
  EXPECT_EQ(node_.asked[0].first.peers().limit(), 3u);
  node_.answer(0, "hss");
  const auto found = answer(client);
  EXPECT_EQ(found.status, 200u);
  EXPECT_THAT(found.body, HasSubstr("\"node\":\"hss\""));
}

TEST_F(DoorTest, HoweverManyAskTheNodeMakesOneAnswerAtATime) {
  RawHttp first(path_), second(path_), third(path_), other(path_);
  first.get("/v1/peers");
  ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 1; }));
  second.get("/v1/peers");
  third.get("/v1/peers");
  other.get("/v1/peers?limit=1");
  ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 2; }));
  EXPECT_EQ(node_.asked[1].first.peers().limit(), 1u);
  node_.answer(0, "before");
  EXPECT_THAT(answer(first).body, HasSubstr("before"));
  // Who asked meanwhile gets what holds after that.
  ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 3; }));
  node_.answer(2, "after");
  EXPECT_THAT(answer(second).body, HasSubstr("after"));
  EXPECT_THAT(answer(third).body, HasSubstr("after"));
  EXPECT_EQ(node_.asked.size(), 3u);
}

TEST_F(DoorTest, AsksTheNodeAFewThingsAtATime) {
  std::vector<RawHttp> clients;
  for (int i = 1; i <= 6; ++i) {
    clients.emplace_back(path_).get("/v1/peers?limit=" + std::to_string(i));
  }
  ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 4; }));
  for (int turn = 0; turn < 50; ++turn) loop_->run_once(false);
  EXPECT_EQ(node_.asked.size(), 4u);
  for (std::size_t i = 0; i < 6; ++i) {
    ASSERT_TRUE(turn_until([&] { return node_.asked.size() > i; }));
    node_.answer(i, "n");
  }
  for (RawHttp& client : clients) EXPECT_EQ(answer(client).status, 200u);
}

TEST_F(DoorTest, AsksTheNodeSoManyThingsInASecond) {
  RawHttp client(path_);
  const Instant began = loop_->now();
  for (std::size_t i = 0; i < 8; ++i) {  // after a rest
    client.get("/v1/peers?limit=" + std::to_string(i));
    ASSERT_TRUE(turn_until([&] { return node_.asked.size() == i + 1; }));
    node_.answer(i, "n");
    ASSERT_EQ(answer(client).status, 200u);
  }
  client.get("/v1/peers?limit=8");
  ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 9; }));
  node_.answer(8, "n");
  ASSERT_EQ(answer(client).status, 200u);
  client.get("/v1/peers?limit=9");
  ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 10; }));
  EXPECT_GE(loop_->now() - began, 100ms);
}

TEST_F(DoorTest, ChangesAreMadeOneByOne) {
  RawHttp first(path_), second(path_);
  const std::string text =
      "POST /v1/peers/mme1/peel HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
  first.say(text);
  second.say(text);
  ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 2; }));
  node_.answer(1, "second");
  node_.answer(0, "first");
  EXPECT_EQ(answer(first).status, 200u);
  EXPECT_EQ(answer(second).status, 200u);
}

TEST_F(DoorTest, AnAnswerThatNobodyWaitsForAnyMoreIsNotMadeAgain) {
  {
    RawHttp gone(path_);
    gone.get("/v1/peers");
    ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 1; }));
  }
  node_.answer(0, "x");
  EXPECT_EQ(node_.asked.size(), 1u);
  RawHttp client(path_);
  client.get("/v1/peers");
  ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 2; }));
}

TEST_F(DoorTest, RefusesWhoMayNotAndTellsTheNode) {
  RawHttp client(strict_path_);
  client.get("/v1/peers");
  EXPECT_EQ(answer(client).status, 401u);
  client.say("GET /v1/peers HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer wrong\r\n\r\n");
  EXPECT_EQ(answer(client).status, 401u);
  client.say(
      "POST /v1/reload HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer read-token-123456\r\n"
      "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(answer(client).status, 403u);
  EXPECT_THAT(node_.refused, ::testing::ElementsAre(401u, 401u, 403u));
  EXPECT_TRUE(node_.asked.empty());
}

TEST_F(DoorTest, HoweverManyAskWhetherItLivesTheLoopsTurnOnceForThem) {
  RawHttp first(strict_path_), second(strict_path_);  // and need no token
  first.get("/livez");
  second.get("/livez");
  ASSERT_TRUE(turn_until([&] { return node_.looks.size() == 1; }));
  for (int turn = 0; turn < 50; ++turn) loop_->run_once(false);
  ASSERT_EQ(node_.looks.size(), 1u);
  node_.looks[0]();
  EXPECT_EQ(answer(first).body, "alive\n");
  EXPECT_EQ(answer(second).body, "alive\n");
  first.get("/livez");  // they turned lately enough
  EXPECT_EQ(answer(first).body, "alive\n");
  EXPECT_EQ(node_.looks.size(), 1u);
}

TEST_F(DoorTest, AnybodyMayKnowWhetherItServes) {
  RawHttp client(strict_path_);
  client.get("/readyz");
  EXPECT_EQ(answer(client).body, "ready\n");
  node_.why_not_ready = "stopping";
  client.get("/readyz");
  const auto found = answer(client);
  EXPECT_EQ(found.status, 503u);
  EXPECT_EQ(found.body, "stopping\n");
}

TEST_F(DoorTest, SaysWhatIsWrong) {
  EXPECT_EQ(get("/v1/nothing").status, 404u);
  EXPECT_EQ(get("/v1/peers?limit=x").status, 400u);
  EXPECT_THAT(get("/v1").body, HasSubstr("/v1/associations"));
  EXPECT_TRUE(node_.refused.empty());
}

TEST_F(DoorTest, StreamsWhatHappens) {
  node_.happen(3);
  RawHttp client(path_);
  client.get("/v1/events");
  ASSERT_TRUE(hears(client, "text/event-stream"));
  node_.happen();
  ASSERT_TRUE(hears(client, "id: 1000-4\nevent: fact\ndata: {\"number\":4,"));
  EXPECT_THAT(client.received(), Not(HasSubstr("\"number\":3,")));
}

TEST_F(DoorTest, AStreamGoesOnWhereItBrokeOff) {
  node_.happen(3);
  RawHttp client(path_);
  client.say("GET /v1/events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 1000-1\r\n\r\n");
  ASSERT_TRUE(hears(client, "\"number\":3,"));
  EXPECT_THAT(client.received(), HasSubstr("\"number\":2,"));
  EXPECT_THAT(client.received(), Not(HasSubstr("\"number\":1,")));
  // Of a node that has been restarted since: all is new.
  RawHttp other(path_);
  other.say("GET /v1/events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 999-70\r\n\r\n");
  ASSERT_TRUE(hears(other, "\"number\":1,"));
}

TEST_F(DoorTest, ASlowReaderIsToldHowMuchItMissed) {
  RawHttp client(path_);
  client.get("/v1/events?after=0");
  node_.happen(1000);  // of which 200 are kept
  ASSERT_TRUE(hears(client, "event: missed\ndata: {\"facts\":800}\n"));
  ASSERT_TRUE(hears(client, "\"number\":1000,"));
}

TEST_F(DoorTest, MayEndWhileTheNodeOwesAnswers) {
  RawHttp client(path_);
  client.get("/v1/peers");
  ASSERT_TRUE(turn_until([&] { return node_.asked.size() == 1; }));
  door_.reset();
  node_.answer(0, "late");
  EXPECT_TRUE(turn_until([&] { return client.hear(); }));
}

}  // namespace
}  // namespace siglane::runtime
