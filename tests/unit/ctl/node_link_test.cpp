#include "apps/ctl/node_link.h"

#include <atomic>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/runtime/admin/api.h"
#include "tests/support/http_answer.h"
#include "tests/support/temporary_directory.h"

namespace siglane::ctl {
namespace {

using ::testing::ElementsAre;

// A node that has facts numbered 1, 2, ...
class FactsNode {
 public:
  explicit FactsNode(const std::string& path)
      : socket_(path, [this](const std::string& request) { return answer(request); }) {}
  void hang_up() { socket_.hang_up(); }

  std::atomic<std::uint64_t> facts = 3;
  std::atomic<std::int64_t> started_unix_ms = 1000;

 private:
  std::string answer(const std::string& request) const {
    runtime::HttpRequest heard;
    heard.method = "GET";
    heard.target = request.substr(4, request.find(" HTTP") - 4);
    const auto call = runtime::api_call(heard);
    EXPECT_TRUE(call) << request;
    admin::Response response;
    response.set_node_started_unix_ms(started_unix_ms);
    for (std::uint64_t n = call->request.facts().after() + 1; n <= facts; ++n) {
      response.mutable_facts()->add_fact()->set_number(n);
    }
    return siglane::testing::http_answer(response.SerializeAsString());
  }

  siglane::testing::AnsweringSocket socket_;
};

class NodeLinkTest : public ::testing::Test {
 protected:
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

  siglane::testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.path("node.sock");
};

TEST_F(NodeLinkTest, AsksForFactsThatItHasNotSeen) {
  FactsNode node(path_);
  NodeLink link({.socket = path_});
  EXPECT_THAT(new_facts(link), ElementsAre(1, 2, 3));
  EXPECT_THAT(new_facts(link), ElementsAre());
  node.facts = 5;
  EXPECT_THAT(new_facts(link), ElementsAre(4, 5));
}

TEST_F(NodeLinkTest, SeesAllFactsOfANodeThatWasRestarted) {
  NodeLink link({.socket = path_});
  FactsNode node(path_);
  EXPECT_THAT(new_facts(link), ElementsAre(1, 2, 3));
  node.started_unix_ms = 2000;
  node.facts = 2;
  node.hang_up();
  EXPECT_THAT(new_facts(link), ElementsAre(1, 2));
}

}  // namespace
}  // namespace siglane::ctl
