#include "apps/runtime/outlet.h"

#include <array>
#include <csignal>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace siglane::runtime {
namespace {

using transport::FileDescriptor;

struct Ends {
  FileDescriptor read, write;
};
Ends a_pipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}
Ends a_socket() {
  std::array<int, 2> ends{};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

std::string everything(int fd) {
  std::string text;
  std::array<char, 65536> space;
  pollfd polled{fd, POLLIN, 0};
  while (poll(&polled, 1, 0) > 0) {
    const auto got = ::read(fd, space.data(), space.size());
    if (got <= 0) break;
    text.append(space.data(), static_cast<std::size_t>(got));
  }
  return text;
}

const std::string kLine = std::string(120, 'x') + '\n';
// More than a pipe or socket holds by default.
constexpr int kLinesMax = 100'000;

// How many lines go into what nobody reads.
int fill(Outlet& outlet) {
  int taken = 0;
  while (taken < kLinesMax && outlet.write(kLine)) ++taken;
  return taken;
}

class OutletTest : public ::testing::Test {
 protected:
  OutletTest() { std::signal(SIGPIPE, SIG_IGN); }
};

TEST_F(OutletTest, WritesAllOfALongText) {
  for (const auto make : {&a_pipe, &a_socket}) {
    Ends ends = make();
    Outlet outlet(ends.write.get());
    const std::string text(20'000, 't');
    EXPECT_TRUE(outlet.write(text));
    EXPECT_EQ(everything(ends.read.get()), text);
  }
}

TEST_F(OutletTest, DropsWhatNobodyReadsOnceItHurries) {
  for (const auto make : {&a_pipe, &a_socket}) {
    Ends ends = make();
    Outlet outlet(ends.write.get());
    outlet.hurry(0s);
    const int taken = fill(outlet);
    EXPECT_GT(taken, 10);
    EXPECT_LT(taken, kLinesMax);
    // And goes on when there is a reader again.
    EXPECT_FALSE(everything(ends.read.get()).empty());
    EXPECT_TRUE(outlet.write(kLine));
  }
}

TEST_F(OutletTest, WaitsForItsReaderUntilItHurries) {
  for (const auto make : {&a_pipe, &a_socket}) {
    Ends ends = make();
    Outlet outlet(ends.write.get());
    std::thread writer([&] { EXPECT_LT(fill(outlet), kLinesMax); });
    // Full: the writer waits, or is about to.
    pollfd polled{ends.write.get(), POLLOUT, 0};
    while (poll(&polled, 1, 0) > 0) std::this_thread::yield();
    outlet.hurry(0s);
    writer.join();
  }
}

TEST_F(OutletTest, LeavesTheFileOfOthersAsItIs) {
  Ends ends = a_pipe();
  Outlet outlet(ends.write.get());
  outlet.hurry(0s);
  fill(outlet);
  EXPECT_EQ(fcntl(ends.write.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(OutletTest, GivesUpAtOnceWhenItsReaderHasGone) {
  for (const auto make : {&a_pipe, &a_socket}) {
    Ends ends = make();
    Outlet outlet(ends.write.get());
    ends.read.reset();
    EXPECT_FALSE(outlet.write(kLine));
  }
}

}  // namespace
}  // namespace siglane::runtime
