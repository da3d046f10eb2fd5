#include "apps/runtime/admin_server.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

using testing::HasSubstr;

// A connected socket that never blocks.
class RawClient {
 public:
  explicit RawClient(const std::string& path)
      : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_) {}
  ~RawClient() {
    if (fd_ >= 0) close(fd_);
  }
  bool connected() const { return connected_; }
  void send_bytes(std::string_view bytes) {
    ASSERT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // What has arrived goes to `received`; true: the server has closed.
  bool take() {
    char space[65536];
    ssize_t n = 0;
    while ((n = recv(fd_, space, sizeof space, 0)) > 0) {
      received.append(as_bytes({space, static_cast<std::size_t>(n)}));
    }
    return n == 0 || (n < 0 && errno != EAGAIN);
  }

  AdminFrames received{1 << 24};

 private:
  int fd_;
  bool connected_ = false;
};

class AdminServerTest : public testing::Test {
 protected:
  AdminServerTest() {
    char name[] = "/tmp/siglane-admin-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/node.sock";
    loop_ = std::move(*transport::Loop::create());
  }
  ~AdminServerTest() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  Result<void> serve(AdminServerLimits limits = {}) {
    auto server = AdminServer::create(
        loop_->raw(), path_, limits, [this](const admin::Request& asked, AdminServer::Reply reply) {
          if (!answers_) return held_.push_back(std::move(reply));
          admin::Response response;
          response.set_node("n");
          if (asked.has_stats()) response.mutable_stats()->set_version(std::string(200'000, 'v'));
          reply(std::move(response));
        });
    if (!server) return tl::unexpected(server.error());
    server_ = std::move(*server);
    return {};
  }

  bool turn_until(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      loop_->run_once(false);
    }
    return true;
  }
  std::optional<admin::Response> answer(RawClient& client) {
    std::string message;
    const bool came = turn_until([&] {
      const bool closed = client.take();
      return client.received.next(message) == AdminFrames::Next::message || closed;
    });
    admin::Response response;
    if (!came || message.empty() || !response.ParseFromString(message)) return std::nullopt;
    return response;
  }
  bool closed(RawClient& client) {
    return turn_until([&] { return client.take(); });
  }
  static admin::Request request(std::uint64_t id) {
    admin::Request request;
    request.set_id(id);
    request.mutable_peers();
    return request;
  }

  std::string directory_, path_;
  std::unique_ptr<transport::Loop> loop_;
  bool answers_ = true;  // else replies are held
  std::vector<AdminServer::Reply> held_;
  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, AnswersEachRequestInOrderWithItsId) {
  ASSERT_TRUE(serve());
  RawClient client(path_);
  ASSERT_TRUE(client.connected());
  client.send_bytes(admin_frame(request(7)) + admin_frame(request(8)) + admin_frame(request(9)));
  for (std::uint64_t id : {7u, 8u, 9u}) {
    const auto response = answer(client);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->id(), id);
    EXPECT_EQ(response->node(), "n");
  }
}

TEST_F(AdminServerTest, TakesARequestThatComesByteByByte) {
  ASSERT_TRUE(serve());
  RawClient client(path_);
  for (const char byte : admin_frame(request(7))) {
    client.send_bytes({&byte, 1});
    for (int turn = 0; turn < 3; ++turn) loop_->run_once(false);
  }
  const auto response = answer(client);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->id(), 7u);
}

TEST_F(AdminServerTest, WaitsForASlowReaderWithOneAnswerAtATime) {
  ASSERT_TRUE(serve());
  RawClient client(path_);
  constexpr int kRequests = 50;
  for (int i = 1; i <= kRequests; ++i) {
    admin::Request stats;
    stats.set_id(static_cast<std::uint64_t>(i));
    stats.mutable_stats();
    client.send_bytes(admin_frame(stats));
  }
  for (int turns = 0; turns < 1000; ++turns) loop_->run_once(false);  // nobody reads
  for (int i = 1; i <= kRequests; ++i) {
    const auto response = answer(client);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->id(), static_cast<std::uint64_t>(i));
    EXPECT_EQ(response->stats().version().size(), 200'000u);
  }
}

TEST_F(AdminServerTest, SaysWhatIsWrongWithARequestAndCloses) {
  ASSERT_TRUE(serve());
  RawClient client(path_);
  client.send_bytes("\x05\xff\xff\xff\xff\xff");
  const auto response = answer(client);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->error().code(), admin::Error::MALFORMED);
  EXPECT_TRUE(closed(client));
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(AdminServerTest, RefusesALargeRequestBeforeItIsThere) {
  ASSERT_TRUE(serve({.request_bytes_max = 10}));
  RawClient client(path_);
  client.send_bytes("\x0b");
  const auto response = answer(client);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->error().code(), admin::Error::TOO_LARGE);
  EXPECT_TRUE(closed(client));
}

TEST_F(AdminServerTest, LetsAClientInForTheOneThatHasBeenIdleLongest) {
  ASSERT_TRUE(serve({.clients_max = 2}));
  RawClient first(path_);
  ASSERT_TRUE(turn_until([&] { return server_->clients() == 1; }));
  RawClient second(path_);
  ASSERT_TRUE(turn_until([&] { return server_->clients() == 2; }));
  first.send_bytes(admin_frame(request(1)));
  ASSERT_TRUE(answer(first));
  RawClient third(path_);
  third.send_bytes(admin_frame(request(2)));
  EXPECT_TRUE(answer(third));
  EXPECT_TRUE(closed(second));
  EXPECT_EQ(server_->clients(), 2u);
  first.send_bytes(admin_frame(request(3)));
  EXPECT_TRUE(answer(first));
}

TEST_F(AdminServerTest, TurnsAClientAwayIfAllOthersWaitForTheirAnswers) {
  ASSERT_TRUE(serve({.clients_max = 1}));
  answers_ = false;
  RawClient waiting(path_);
  waiting.send_bytes(admin_frame(request(1)));
  ASSERT_TRUE(turn_until([&] { return held_.size() == 1; }));
  RawClient second(path_);
  const auto response = answer(second);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->error().code(), admin::Error::TOO_MANY_CLIENTS);
  EXPECT_TRUE(closed(second));
  held_.front()(admin::Response());
  EXPECT_TRUE(answer(waiting));
}

TEST_F(AdminServerTest, MayEndWhileClientsAreInTheMiddleOfSomething) {
  ASSERT_TRUE(serve());
  RawClient idle(path_), asking(path_);
  admin::Request stats;
  stats.mutable_stats();
  asking.send_bytes(admin_frame(stats) + admin_frame(stats) + "\x05");
  ASSERT_TRUE(turn_until([&] { return server_->clients() == 2; }));
  loop_->run_once(false);
  server_.reset();
  EXPECT_TRUE(closed(idle));
  EXPECT_TRUE(closed(asking));
}

TEST_F(AdminServerTest, LetsOnlyItsOwnUserIn) {
  ASSERT_TRUE(serve());
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(AdminServerTest, RemovesItsSocketFile) {
  ASSERT_TRUE(serve());
  EXPECT_TRUE(std::filesystem::exists(path_));
  server_.reset();
  loop_->run_once(false);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(AdminServerTest, TakesOverASocketThatNobodyAnswers) {
  const int left_behind = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(left_behind, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(left_behind);
  ASSERT_TRUE(serve());
  EXPECT_TRUE(RawClient(path_).connected());
}

TEST_F(AdminServerTest, LeavesASocketAloneThatSomebodyAnswers) {
  ASSERT_TRUE(serve());
  auto other = AdminServer::create(loop_->raw(), path_, {},
                                   [](const admin::Request&, const AdminServer::Reply&) {});
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().what, HasSubstr("another node answers there"));
  EXPECT_TRUE(RawClient(path_).connected());
}

TEST_F(AdminServerTest, LeavesOtherFilesAlone) {
  std::ofstream(path_) << "precious";
  const auto served = serve();
  ASSERT_FALSE(served);
  EXPECT_THAT(served.error().what, HasSubstr("not a socket"));
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(AdminServerTest, NamesWhatIsWrongWithThePath) {
  path_ = directory_ + "/missing/node.sock";
  EXPECT_THAT(serve().error().what, HasSubstr("there is no directory " + directory_ + "/missing"));
  path_ = directory_ + "/" + std::string(108, 'x');
  EXPECT_THAT(serve().error().what, HasSubstr("longer than 107 bytes"));
}

}  // namespace
}  // namespace siglane::runtime
