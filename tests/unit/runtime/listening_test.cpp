#include "apps/runtime/admin/listening.h"

#include <filesystem>
#include <fstream>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/raw_http.h"
#include "tests/support/temporary_directory.h"

namespace siglane::runtime {
namespace {

using siglane::testing::RawHttp;
using ::testing::HasSubstr;

class ListeningTest : public ::testing::Test {
 protected:
  ~ListeningTest() override {
    for (const int fd : open_) close(fd);
  }
  Result<int> listen_here(std::optional<gid_t> group = std::nullopt) {
    auto fd = listen_at(path_, group);
    if (fd) open_.push_back(*fd);
    return fd;
  }
  mode_t mode() const {
    struct stat status {};
    EXPECT_EQ(stat(path_.c_str(), &status), 0);
    return status.st_mode & 0777;
  }

  siglane::testing::TemporaryDirectory directory_;
  std::string path_ = directory_.path("node.sock");
  std::vector<int> open_;
};

TEST_F(ListeningTest, LetsOnlyItsOwnUserIn) {
  ASSERT_TRUE(listen_here());
  EXPECT_EQ(mode(), 0600u);
  EXPECT_TRUE(RawHttp(path_).connected());
}

TEST_F(ListeningTest, LetsAGroupInToo) {
  ASSERT_TRUE(listen_here(getegid()));
  EXPECT_EQ(mode(), 0660u);
}

TEST_F(ListeningTest, KnowsGroupsByName) {
  EXPECT_EQ(group_called("root"), 0u);
  EXPECT_THAT(group_called("no-such-group").error().what,
              HasSubstr("there is no group \"no-such-group\""));
}

TEST_F(ListeningTest, TakesOverASocketThatNobodyAnswers) {
  ASSERT_TRUE(listen_here());
  close(open_.back());
  open_.clear();
  ASSERT_TRUE(listen_here());
  EXPECT_TRUE(RawHttp(path_).connected());
}

TEST_F(ListeningTest, LeavesASocketAloneThatSomebodyAnswers) {
  ASSERT_TRUE(listen_here());
  const auto other = listen_here();
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().what, HasSubstr("another node answers there"));
  EXPECT_TRUE(RawHttp(path_).connected());
}

TEST_F(ListeningTest, LeavesOtherFilesAlone) {
  std::ofstream(path_) << "precious";
  const auto fd = listen_here();
  ASSERT_FALSE(fd);
  EXPECT_THAT(fd.error().what, HasSubstr("not a socket"));
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(ListeningTest, NamesWhatIsWrongWithThePath) {
  path_ = directory_.path("missing/node.sock");
  EXPECT_THAT(listen_here().error().what, HasSubstr("there is no directory"));
  path_ = directory_.path(std::string(108, 'x'));
  EXPECT_THAT(listen_here().error().what, HasSubstr("longer than 107 bytes"));
}

TEST_F(ListeningTest, SaysWhoHasAPort) {
  auto first = listen_on(*transport::SocketAddress::parse("127.0.0.1", 0));
  ASSERT_TRUE(first) << first.error().what;
  open_.push_back(*first);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ASSERT_EQ(getsockname(*first, reinterpret_cast<sockaddr*>(&bound), &size), 0);
  const auto second = listen_on(transport::SocketAddress::from(bound));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().what, HasSubstr("admin.http cannot listen on 127.0.0.1:"));
  EXPECT_THAT(second.error().what, HasSubstr("has it)"));
}

}  // namespace
}  // namespace siglane::runtime
