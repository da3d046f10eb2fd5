#include "apps/runtime/file_lock.h"

#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace siglane::runtime {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class FileLockTest : public ::testing::Test {
 protected:
  FileLockTest() : directory_(mkdtemp(name_)), file_(directory_ + "/a.db") {}
  ~FileLockTest() override { std::filesystem::remove_all(directory_); }

  char name_[32] = "/tmp/siglane-lock-XXXXXX";
  std::string directory_, file_;
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
  EXPECT_EQ(FileLock::take(directory_ + "/none/a.db").error().what,
            directory_ + "/none/a.db: No such file or directory");
}

}  // namespace
}  // namespace siglane::runtime
