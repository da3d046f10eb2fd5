#include "apps/runtime/admin/http_server.h"

#include <functional>
#include <list>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "apps/runtime/admin/listening.h"
#include "tests/support/raw_http.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/turns.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

using siglane::testing::RawHttp;
using ::testing::HasSubstr;

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() : loop_(std::move(*transport::Loop::create())) {}

  void serve(HttpLimits limits = {}) {
    auto listening = listen_at(path_, std::nullopt);
    ASSERT_TRUE(listening) << listening.error().what;
    auto server = HttpServer::create(
        *loop_, *listening, limits, nullptr, [this](const std::shared_ptr<HttpExchange>& exchange) {
          seen_.push_back(exchange->request());
          if (!answers_) return held_.push_back(exchange);
          exchange->answer(
              {.content_type = "text/plain", .body = body_ + exchange->request().body});
        });
    ASSERT_TRUE(server) << server.error().what;
    server_ = std::move(*server);
  }
  bool turn_until(const std::function<bool()>& condition) {
    return siglane::testing::turn_until(*loop_, condition);
  }
  RawHttp::Answer answer(RawHttp& client) { return siglane::testing::answer(*loop_, client); }
  bool closed(RawHttp& client) {
    return turn_until([&] { return client.hear(); });
  }

  siglane::testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.path("node.sock");
  std::unique_ptr<transport::Loop> loop_;
  bool answers_ = true;  // else exchanges are held
  std::string body_ = "good";
  std::vector<HttpRequest> seen_;
  std::vector<std::shared_ptr<HttpExchange>> held_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, HandsARequestOverAsItCame) {
  serve();
  RawHttp client(path_);
  client.say(
      "POST /v1/a%20b?x=1&y HTTP/1.1\r\nHost: h\r\nX-Thing: T\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(answer(client).body, "goodabc");
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_EQ(seen_[0].method, "POST");
  EXPECT_EQ(seen_[0].target, "/v1/a%20b?x=1&y");
  ASSERT_NE(seen_[0].header("x-thing"), nullptr);
  EXPECT_EQ(*seen_[0].header("x-thing"), "T");
  EXPECT_EQ(seen_[0].header("x-other"), nullptr);
  EXPECT_TRUE(seen_[0].client.is_local);
  EXPECT_EQ(seen_[0].client.uid, geteuid());
  EXPECT_EQ(seen_[0].client.pid, getpid());
}

TEST_F(HttpServerTest, TakesARequestThatComesByteByByte) {
  serve();
  RawHttp client(path_);
  for (const char byte : std::string("GET / HTTP/1.1\r\nHost: h\r\n\r\n")) {
    client.say({&byte, 1});
    for (int turn = 0; turn < 3; ++turn) loop_->run_once(false);
  }
  EXPECT_EQ(answer(client).status, 200u);
}

TEST_F(HttpServerTest, AnswersWhatIsPipelinedInOrder) {
  serve();
  RawHttp client(path_);
  for (int i = 0; i < 10; ++i) client.get("/" + std::to_string(i));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(answer(client).status, 200u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(seen_[i].target, "/" + std::to_string(i));
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(HttpServerTest, AnswersAHeadWithoutABody) {
  serve();
  RawHttp client(path_);
  client.say("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(turn_until([&] {
    client.hear();
    return client.received().ends_with("\r\n\r\n");
  }));
  EXPECT_THAT(client.received(), HasSubstr("Content-Length: 4"));
}

TEST_F(HttpServerTest, AnswersLaterWithoutWorkUntilThen) {
  serve();
  answers_ = false;
  RawHttp client(path_);
  client.get("/");
  ASSERT_TRUE(turn_until([&] { return held_.size() == 1; }));
  EXPECT_TRUE(held_[0]->is_open());
  for (int turn = 0; turn < 100; ++turn) loop_->run_once(false);
  EXPECT_FALSE(client.hear());
  EXPECT_EQ(client.received(), "");
  held_[0]->answer({.status = 404, .body = "late"});
  const auto found = answer(client);
  EXPECT_EQ(found.status, 404u);
  EXPECT_EQ(found.body, "late");
  EXPECT_TRUE(turn_until([&] { return !held_[0]->is_open(); }));
  held_[0]->answer({});  // no harm
}

TEST_F(HttpServerTest, SendsALargeAnswerToASlowReader) {
  serve();
  body_ = std::string(3'000'000, 'x');
  RawHttp client(path_), other(path_);
  client.get("/");
  ASSERT_TRUE(turn_until([&] { return seen_.size() == 1; }));
  for (int turn = 0; turn < 100; ++turn) loop_->run_once(false);  // nobody reads
  other.get("/");
  EXPECT_EQ(answer(other).status, 200u);
  EXPECT_EQ(answer(client).body.size(), 3'000'000u);
}

TEST_F(HttpServerTest, RefusesALargeBodyInWords) {
  serve({.body_bytes_max = 10});
  RawHttp client(path_);
  client.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nabcdefghijk");
  EXPECT_EQ(answer(client).status, 413u);
  EXPECT_TRUE(closed(client));
  EXPECT_TRUE(seen_.empty());
}

TEST_F(HttpServerTest, RefusesWhatIsNoHttp) {
  serve();
  for (const char* text :
       {"\r\n\r\n\r\n\x01\x02 \r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",  // without a Host
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"}) {
    RawHttp client(path_);
    client.say(text);
    client.half_close();
    EXPECT_TRUE(closed(client)) << text;
    EXPECT_THAT(client.received(), ::testing::Not(HasSubstr("200 OK"))) << text;
  }
  RawHttp endless(path_);
  endless.say("GET / HTTP/1.1\r\nHost: h\r\nX: ");
  const std::string more(10'000, 'x');
  EXPECT_TRUE(turn_until([&] {
    endless.say(more);
    return endless.hear();
  }));
}

TEST_F(HttpServerTest, AHalfClosedClientStillGetsItsAnswer) {
  serve();
  answers_ = false;
  RawHttp client(path_);
  client.get("/");
  client.half_close();
  ASSERT_TRUE(turn_until([&] { return held_.size() == 1; }));
  held_[0]->answer({.body = "here"});
  EXPECT_EQ(answer(client).body, "here");
}

TEST_F(HttpServerTest, EndsWhoSendsNothingOrOneByteAtATime) {
  serve({.request_time_max = 100ms});
  RawHttp idle(path_), slow(path_);
  ASSERT_TRUE(turn_until([&] { return server_->connections() == 2; }));
  EXPECT_TRUE(closed(idle));
  const std::string request = "GET /" + std::string(10'000, 'x');
  std::size_t sent = 0;
  EXPECT_TRUE(turn_until([&] {
    if (sent < request.size()) slow.say(request.substr(sent++, 1));
    return slow.hear();
  }));
  EXPECT_TRUE(turn_until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTest, EndsWhoTakesAnAnswerSlowly) {
  serve({.reading_time_max = 100ms});
  body_ = std::string(30'000'000, 'x');
  RawHttp slow(path_);
  slow.get("/");
  EXPECT_TRUE(turn_until([&] { return slow.hear(1); }));
  EXPECT_LT(slow.received().size(), 1'000'000u);
}

TEST_F(HttpServerTest, GivesUpWaitingForAnAnswer) {
  serve({.answer_time_max = 100ms});
  answers_ = false;
  RawHttp client(path_);
  client.get("/");
  EXPECT_EQ(answer(client).status, 504u);
  held_[0]->answer({.body = "too late"});
}

TEST_F(HttpServerTest, AnswersNothingMoreWhileTooMuchIsBeingRead) {
  serve({.answer_bytes_max = 1'000'000});
  body_ = std::string(5'000'000, 'x');
  RawHttp slow(path_), other(path_);
  slow.get("/");
  ASSERT_TRUE(turn_until([&] { return seen_.size() == 1; }));
  for (int turn = 0; turn < 20; ++turn) loop_->run_once(false);
  other.get("/");
  EXPECT_EQ(answer(other).status, 503u);
  EXPECT_EQ(answer(slow).body.size(), 5'000'000u);
}

TEST_F(HttpServerTest, LetsAClientInForTheOneThatHasBeenIdleLongest) {
  serve({.connections_max = 2});
  RawHttp first(path_);
  ASSERT_TRUE(turn_until([&] { return server_->connections() == 1; }));
  RawHttp second(path_);
  ASSERT_TRUE(turn_until([&] { return server_->connections() == 2; }));
  first.get("/");
  EXPECT_EQ(answer(first).status, 200u);
  RawHttp third(path_);
  third.get("/");
  EXPECT_EQ(answer(third).status, 200u);
  EXPECT_TRUE(closed(second));
  first.get("/");
  EXPECT_EQ(answer(first).status, 200u);
}

TEST_F(HttpServerTest, AnOwnerWithTooManyLosesOnesOfItsOwn) {
  serve({.connections_max = 8, .connections_of_one_max = 2});
  std::list<RawHttp> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(path_);
    ASSERT_TRUE(turn_until([&] { return server_->connections() == clients.size() || i == 2; }));
  }
  EXPECT_TRUE(closed(clients.front()));
  clients.back().get("/");
  EXPECT_EQ(answer(clients.back()).status, 200u);
}

TEST_F(HttpServerTest, LetsAClientInForAStreamIfNobodyIsIdle) {
  serve({.connections_max = 1});
  answers_ = false;
  RawHttp stream(path_);
  stream.get("/");
  ASSERT_TRUE(turn_until([&] { return held_.size() == 1; }));
  held_[0]->begin_stream({});
  for (int turn = 0; turn < 20; ++turn) loop_->run_once(false);
  answers_ = true;
  RawHttp client(path_);
  client.get("/");
  EXPECT_EQ(answer(client).status, 200u);
  EXPECT_TRUE(closed(stream));
  EXPECT_TRUE(turn_until([&] { return !held_[0]->is_open(); }));
}

TEST_F(HttpServerTest, TurnsAClientAwayIfAllOthersWaitForTheirAnswers) {
  serve({.connections_max = 1});
  answers_ = false;
  RawHttp waiting(path_);
  waiting.get("/");
  ASSERT_TRUE(turn_until([&] { return held_.size() == 1; }));
  RawHttp second(path_);
  second.get("/");
  const auto refused = answer(second);
  EXPECT_EQ(refused.status, 503u);
  EXPECT_THAT(refused.body, HasSubstr("too many clients"));
  EXPECT_TRUE(closed(second));
  held_.front()->answer({.body = "at last"});
  EXPECT_EQ(answer(waiting).body, "at last");
}

TEST_F(HttpServerTest, WithoutDescriptorsNewcomersWaitUntilThereAreSome) {
  serve();
  RawHttp client(path_);
  ASSERT_TRUE(client.connected());
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = dup(0);
  close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  client.get("/");
  for (int turn = 0; turn < 20; ++turn) loop_->run_once(false);
  EXPECT_EQ(server_->connections(), 0u);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(answer(client).status, 200u);
}

TEST_F(HttpServerTest, StreamsAsMuchAsIsRead) {
  serve();
  answers_ = false;
  RawHttp client(path_);
  client.get("/");
  ASSERT_TRUE(turn_until([&] { return held_.size() == 1; }));
  HttpExchange& stream = *held_[0];
  stream.begin_stream({.content_type = "text/event-stream"});
  stream.write("first\n");
  ASSERT_TRUE(turn_until([&] {
    client.hear();
    return client.received().find("first\n") != std::string::npos;
  }));
  EXPECT_TRUE(stream.is_drained());
  for (int turn = 0; turn < 100; ++turn) loop_->run_once(false);
  stream.write("second\n");
  ASSERT_TRUE(turn_until([&] {
    client.hear();
    return client.received().find("second\n") != std::string::npos;
  }));
  // Nobody reads: what does not fit the socket waits here, and is_drained() says so.
  std::size_t written = 0;
  for (; stream.is_drained() && written < 100'000'000; written += 100'000) {
    stream.write(std::string(100'000, 'x'));
    for (int turn = 0; turn < 20; ++turn) loop_->run_once(false);
  }
  EXPECT_LT(written, 100'000'000u);
  EXPECT_TRUE(turn_until([&] {
    client.hear();
    return stream.is_drained();
  }));
}

TEST_F(HttpServerTest, NoticesThatAStreamsClientHasGone) {
  serve();
  answers_ = false;
  {
    RawHttp client(path_);
    client.get("/");
    ASSERT_TRUE(turn_until([&] { return held_.size() == 1; }));
    held_[0]->begin_stream({});
  }
  EXPECT_TRUE(turn_until([&] { return !held_[0]->is_open(); }));
  EXPECT_TRUE(turn_until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTest, ServesTenThousandClientsInARow) {
  serve();
  for (int i = 0; i < 10'000; ++i) {
    RawHttp client(path_);
    ASSERT_TRUE(client.connected()) << i;
    client.get("/");
    ASSERT_EQ(answer(client).status, 200u) << i;
    seen_.clear();
  }
  EXPECT_TRUE(turn_until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTest, MayEndWhileClientsAreInTheMiddleOfSomething) {
  serve();
  answers_ = false;
  RawHttp idle(path_), asking(path_), waiting(path_), listening(path_);
  asking.say("GET / HT");
  waiting.get("/");
  listening.get("/");
  ASSERT_TRUE(turn_until([&] { return held_.size() == 2 && server_->connections() == 4; }));
  held_[1]->begin_stream({});
  for (int turn = 0; turn < 20; ++turn) loop_->run_once(false);
  server_.reset();
  for (RawHttp* client : {&idle, &asking, &waiting, &listening}) EXPECT_TRUE(closed(*client));
  for (const auto& exchange : held_) {
    EXPECT_FALSE(exchange->is_open());
    exchange->answer({});
    exchange->write("x");
  }
}

TEST_F(HttpServerTest, OverTcpTheAddressIsTheOwner) {
  auto address = *transport::SocketAddress::parse("127.0.0.1", 0);
  const auto listening = listen_on(address);
  ASSERT_TRUE(listening) << listening.error().what;
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ASSERT_EQ(getsockname(*listening, reinterpret_cast<sockaddr*>(&bound), &size), 0);
  address = transport::SocketAddress::from(bound);
  auto server = HttpServer::create(*loop_, *listening, {}, nullptr,
                                   [](const std::shared_ptr<HttpExchange>& exchange) {
                                     exchange->answer({.body = exchange->request().client.owner()});
                                   });
  ASSERT_TRUE(server) << server.error().what;
  RawHttp client(address.port());
  ASSERT_TRUE(turn_until([&] { return (*server)->connections() == 1; }));
  client.get("/");
  EXPECT_EQ(answer(client).body, "127.0.0.1");
}

}  // namespace
}  // namespace siglane::runtime
