#include "apps/ctl/admin_client.h"

#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace siglane::ctl {
namespace {

using testing::HasSubstr;

// A listening socket whose answers are written by hand.
class HandMadeNode : public testing::Test {
 protected:
  HandMadeNode() {
    char name[] = "/tmp/siglane-ctl-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/node.sock";
  }
  ~HandMadeNode() override {
    if (fd_ >= 0) close(fd_);
    std::filesystem::remove_all(directory_);
  }
  void listen_here() {
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(fd_, 4), 0);
  }
  // Asks; whoever accepts says `answer` and hangs up.
  Result<admin::Response> ask_and_hear(const std::string& answer) {
    listen_here();
    auto client = AdminClient::connect(path_, 5s);
    if (!client) return tl::unexpected(client.error());
    const int accepted = accept(fd_, nullptr, nullptr);
    EXPECT_EQ(send(accepted, answer.data(), answer.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(answer.size()));
    shutdown(accepted, SHUT_WR);
    admin::Request request;
    request.mutable_peers();
    auto response = client->ask(request, 5s);
    close(accepted);
    return response;
  }

  std::string directory_, path_;
  int fd_ = -1;
};

TEST_F(HandMadeNode, GivesTheAnswer) {
  admin::Response answer;
  answer.set_node("n");
  answer.mutable_peers();
  const auto response = ask_and_hear(runtime::admin_frame(answer));
  ASSERT_TRUE(response) << response.error().what;
  EXPECT_EQ(response->node(), "n");
}

TEST_F(HandMadeNode, TurnsTheNodesErrorIntoItsOwn) {
  admin::Response answer;
  answer.mutable_error()->set_text("3 clients are connected");
  EXPECT_EQ(ask_and_hear(runtime::admin_frame(answer)).error().what,
            path_ + ": 3 clients are connected");
}

TEST_F(HandMadeNode, SaysThatTheNodeHungUp) {
  EXPECT_EQ(ask_and_hear("\x05half").error().what, path_ + ": the node has closed the connection");
}

TEST_F(HandMadeNode, SaysThatTheAnswerIsSomethingElse) {
  EXPECT_EQ(ask_and_hear("\x02\xff\xff").error().what, path_ + ": the answer is not of this API");
}

TEST_F(HandMadeNode, SaysThatTheAnswerCannotBe) {
  EXPECT_EQ(ask_and_hear("HTTP/1.1 400\r\n\xff\xff\xff\xff\xff").error().what,
            path_ + ": the node has closed the connection");  // 'H' is a length of 72 bytes
}

TEST_F(HandMadeNode, DoesNotWaitForEver) {
  listen_here();
  auto client = AdminClient::connect(path_, 5s);
  ASSERT_TRUE(client);
  admin::Request request;
  EXPECT_EQ(client->ask(request, 20ms).error().what, path_ + ": no answer in time");
}

TEST_F(HandMadeNode, DoesNotWaitForEverToBeLetIn) {
  listen_here();
  std::vector<AdminClient> before;
  for (;;) {
    auto client = AdminClient::connect(path_, 20ms);
    if (!client) {
      EXPECT_EQ(
          client.error().what,
          path_ +
              ": the node accepts no connection now: too many clients wait at its admin socket");
      break;
    }
    before.push_back(std::move(*client));
    ASSERT_LT(before.size(), 100u);
  }
}

TEST_F(HandMadeNode, SaysThatNobodyIsThere) {
  EXPECT_THAT(
      AdminClient::connect(path_, 5s).error().what,
      HasSubstr(path_ + ": no node answers here: No such file or directory; is it running"));
  listen_here();
  close(fd_);
  fd_ = -1;
  EXPECT_THAT(AdminClient::connect(path_, 5s).error().what,
              HasSubstr("no node answers here: Connection refused; is it running"));
  EXPECT_THAT(AdminClient::connect("", 5s).error().what,
              HasSubstr("is not a path of 1 to 107 bytes"));
}

}  // namespace
}  // namespace siglane::ctl
