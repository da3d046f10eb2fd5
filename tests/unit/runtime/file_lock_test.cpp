#include "apps/runtime/file_lock.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temporary_directory.h"

namespace siglane::runtime {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class FileLockTest : public ::testing::Test {
 protected:
  testing::TemporaryDirectory directory_;
  std::string file_ = directory_.path("a.db");
};

TEST_F(FileLockTest, IsHeldByOneUntilItIsGone) {
  {
    const auto first = FileLock::take(file_);
    ASSERT_TRUE(first.has_value());
    const auto second = FileLock::take(file_);
    ASSERT_FALSE(second.has_value());
    EXPECT_THAT(second.error().what, HasSubstr(file_ + ": "));
    EXPECT_THAT(second.error().what, EndsWith("process " + std::to_string(getpid()) + ", uses it"));
  }
  EXPECT_TRUE(FileLock::take(file_).has_value());
}

TEST_F(FileLockTest, MakesAFileThatOnlyItsOwnerReads) {
  ASSERT_TRUE(FileLock::take(file_).has_value());
  struct stat status {};
  ASSERT_EQ(stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(FileLockTest, SaysWhatIsWrongWithItsPath) {
  EXPECT_EQ(FileLock::take(directory_.path("none/a.db")).error().what,
            directory_.path("none/a.db") + ": No such file or directory");
}

}  // namespace
}  // namespace siglane::runtime
