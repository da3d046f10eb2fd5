#include "apps/runtime/supervisor.h"

#include <cstdlib>
#include <functional>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/temporary_directory.h"

namespace siglane::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// In systemd's place.
class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() : loop_(std::move(*transport::Loop::create())) {
    const std::string path = directory_.path("notify");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~SupervisorTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
    close(fd_);
  }
  std::string heard() {
    char space[1024];
    const ssize_t n = recv(fd_, space, sizeof space, MSG_DONTWAIT);
    return n < 0 ? "" : std::string(space, static_cast<std::size_t>(n));
  }

  siglane::testing::TemporaryDirectory directory_;
  int fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  std::unique_ptr<transport::Loop> loop_;
};

TEST_F(SupervisorTest, HearsHowTheNodeStands) {
  Supervisor supervisor(*loop_, [](const std::function<void()>& then) { then(); });
  supervisor.ready("serving");
  EXPECT_EQ(heard(), "READY=1\nSTATUS=serving");
  supervisor.reloading();
  EXPECT_THAT(heard(), StartsWith("RELOADING=1\nMONOTONIC_USEC="));
  supervisor.stopping("SIGTERM");
  EXPECT_EQ(heard(), "STOPPING=1\nSTATUS=Stopping: SIGTERM");
}

TEST_F(SupervisorTest, HearsOfTheLoopsAsLongAsTheyTurn) {
  setenv("WATCHDOG_USEC", "2000", 1);
  std::optional<std::function<void()>> looks;
  Supervisor supervisor(*loop_, [&](std::function<void()> then) { looks = std::move(then); });
  while (!looks) loop_->run_once();
  EXPECT_EQ(heard(), "");  // they have not turned yet
  (*looks)();
  EXPECT_EQ(heard(), "WATCHDOG=1");
  looks.reset();
  while (!looks) loop_->run_once();
}

TEST_F(SupervisorTest, WithoutAWatchdogNobodyLooks) {
  int looks = 0;
  Supervisor supervisor(*loop_, [&](const std::function<void()>&) { ++looks; });
  loop_->run();  // which ends at once: no timer runs
  EXPECT_EQ(looks, 0);
}

TEST_F(SupervisorTest, WithoutASupervisorNothingHappens) {
  unsetenv("NOTIFY_SOCKET");
  Supervisor supervisor(*loop_, [](const std::function<void()>& then) { then(); });
  supervisor.ready("serving");
  supervisor.stopping("SIGTERM");
  EXPECT_EQ(heard(), "");
}

}  // namespace
}  // namespace siglane::runtime
