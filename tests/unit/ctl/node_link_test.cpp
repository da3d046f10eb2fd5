#include "apps/ctl/node_link.h"

#include <atomic>
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

using testing::ElementsAre;

// A node that has facts numbered 1, 2, ...; one client at a time.
class FactsNode {
 public:
  explicit FactsNode(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_, 4), 0);
    thread_ = std::thread([this] {
      for (int accepted = 0; (accepted = accept(fd_, nullptr, nullptr)) >= 0;) {
        client_ = accepted;
        while (answer_one(accepted)) continue;
        client_ = -1;
        close(accepted);
      }
    });
  }
  ~FactsNode() {
    shutdown(fd_, SHUT_RDWR);
    hang_up();
    thread_.join();
    close(fd_);
  }
  void hang_up() { shutdown(client_, SHUT_RDWR); }

  std::atomic<std::uint64_t> facts = 3;
  std::atomic<std::int64_t> started_unix_ms = 1000;

 private:
  // false: the client has gone.
  bool answer_one(int client) const {
    runtime::AdminFrames frames(4096);
    std::string message;
    while (frames.next(message) != runtime::AdminFrames::Next::message) {
      std::byte space[256];
      const ssize_t n = recv(client, space, sizeof space, 0);
      if (n <= 0) return false;
      frames.append({space, static_cast<std::size_t>(n)});
    }
    admin::Request request;
    EXPECT_TRUE(request.ParseFromString(message));
    admin::Response response;
    response.set_node_started_unix_ms(started_unix_ms);
    for (std::uint64_t n = request.facts().after() + 1; n <= facts; ++n) {
      response.mutable_facts()->add_fact()->set_number(n);
    }
    const std::string answer = runtime::admin_frame(response);
    return send(client, answer.data(), answer.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(answer.size());
  }

  int fd_;
  std::atomic<int> client_ = -1;
  std::thread thread_;
};

class NodeLinkTest : public testing::Test {
 protected:
  NodeLinkTest() {
    char name[] = "/tmp/siglane-link-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/node.sock";
  }
  ~NodeLinkTest() override { std::filesystem::remove_all(directory_); }

  // What a watcher sees: where the node has hung up, it asks again.
  static std::vector<std::uint64_t> new_facts(NodeLink& link) {
    admin::Request request;
    request.mutable_facts();
    auto response = link.ask(request, 20s);
    if (!response) response = link.ask(request, 20s);
    EXPECT_TRUE(response) << response.error().what;
    std::vector<std::uint64_t> numbers;
    if (!response) return numbers;
    for (const auto& fact : response->facts().fact()) numbers.push_back(fact.number());
    return numbers;
  }

  std::string directory_, path_;
};

TEST_F(NodeLinkTest, AsksForFactsThatItHasNotSeen) {
  FactsNode node(path_);
  NodeLink link(path_);
  EXPECT_THAT(new_facts(link), ElementsAre(1, 2, 3));
  EXPECT_THAT(new_facts(link), ElementsAre());
  node.facts = 5;
  EXPECT_THAT(new_facts(link), ElementsAre(4, 5));
}

TEST_F(NodeLinkTest, SeesAllFactsOfANodeThatWasRestarted) {
  NodeLink link(path_);
  FactsNode node(path_);
  EXPECT_THAT(new_facts(link), ElementsAre(1, 2, 3));
  node.started_unix_ms = 2000;
  node.facts = 2;
  node.hang_up();
  EXPECT_THAT(new_facts(link), ElementsAre(1, 2));
}

}  // namespace
}  // namespace siglane::ctl
