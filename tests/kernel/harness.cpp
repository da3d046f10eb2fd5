#include "tests/kernel/harness.h"

#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace siglane::kernel_test {
namespace {

class KernelEnvironment final : public ::testing::Environment {
  void SetUp() override {
    if (PeerProcess::is_this_one()) return;  // lives where who started it does
    ASSERT_TRUE(transport::kernel_has_sctp())
        << "this kernel has no SCTP: run it under scripts/with-kernel-sctp";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0)
        << "needs root, for a network namespace of its own: " << std::strerror(errno);
    bring_loopback_up();
  }

  static void bring_loopback_up() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    ASSERT_EQ(ioctl(fd, SIOCGIFFLAGS, &request), 0) << std::strerror(errno);
    request.ifr_flags |= IFF_UP;
    ASSERT_EQ(ioctl(fd, SIOCSIFFLAGS, &request), 0) << std::strerror(errno);
    close(fd);
  }
};

}  // namespace

void need_kernel_sctp() {
  default_stack = Stack::kernel;
  ::testing::AddGlobalTestEnvironment(new KernelEnvironment);
}

}  // namespace siglane::kernel_test
