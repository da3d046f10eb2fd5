#include "apps/runtime/program.h"

#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace siglane::runtime {
namespace {

// In a process of its own, with all three closed: 0 if all is as it should be.
int status_with_closed_streams() {
  for (const int fd : {0, 1, 2}) close(fd);
  occupy_standard_descriptors();
  if (open("/dev/null", O_RDONLY) < 3) return 1;  // what is opened next is no standard stream
  char byte = 0;
  if (read(0, &byte, 1) != -1 || errno != EBADF) return 2;
  if (write(1, &byte, 1) != -1 || errno != EBADF) return 3;
  if (write(2, &byte, 1) != -1 || errno != EBADF) return 4;
  return 0;
}

TEST(StandardDescriptors, AreOccupiedAndUselessWhereTheyWereClosed) {
  EXPECT_EXIT(std::_Exit(status_with_closed_streams()), testing::ExitedWithCode(0), "");
}

int status_with_open_streams() {
  const int flags = fcntl(2, F_GETFL);
  occupy_standard_descriptors();
  return fcntl(2, F_GETFL) == flags ? 0 : 1;
}

TEST(StandardDescriptors, AreLeftAloneWhereTheyAreOpen) {
  EXPECT_EXIT(std::_Exit(status_with_open_streams()), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace siglane::runtime
