#include <gtest/gtest.h>

#include "tests/kernel/harness.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  siglane::kernel_test::need_kernel_sctp();
  return RUN_ALL_TESTS();
}
