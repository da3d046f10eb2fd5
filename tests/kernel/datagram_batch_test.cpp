// DatagramBatch on an interface that is slower than its sender.
#include "transport/datagram_batch.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/kernel/harness.h"
#include "transport/file_descriptor.h"

namespace siglane::kernel_test {
namespace {

using transport::DatagramBatch;
using transport::FileDescriptor;
using transport::SocketAddress;

TEST(DatagramBatch, KeepsWhatTheSocketHasNoRoomFor) {
  ASSERT_EQ(std::system("tc qdisc add dev lo root netem delay 50ms"), 0);
  const auto address = SocketAddress::parse("127.0.0.1", 7000).value();
  const FileDescriptor sender(::socket(AF_INET, SOCK_DGRAM, 0));
  const FileDescriptor receiver(::socket(AF_INET, SOCK_DGRAM, 0));
  const int smallest = 1, large = 1 << 20;
  ASSERT_EQ(::setsockopt(sender.get(), SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest), 0);
  ASSERT_EQ(::setsockopt(receiver.get(), SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large), 0);
  ASSERT_EQ(::bind(receiver.get(), address.raw(), address.size()), 0);
  DatagramBatch batch(sender.get());
  std::vector<std::string> sent;
  for (char c = 'a'; c <= 'z'; ++c) {  // no two of one size
    sent.emplace_back(std::string(static_cast<std::size_t>(1000 + c), c));
    ASSERT_TRUE(batch.add(address, as_bytes(sent.back())));
  }
  batch.send();
  EXPECT_FALSE(batch.empty());
  for (int waits = 0; !batch.empty() && waits < 100; ++waits) {
    pollfd writable{sender.get(), POLLOUT, 0};
    ASSERT_EQ(::poll(&writable, 1, 10'000), 1);
    batch.send();
  }
  for (const std::string& expected : sent) {
    pollfd readable{receiver.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&readable, 1, 10'000), 1);
    std::string space(2000, '\0');
    const ssize_t got = ::recv(receiver.get(), space.data(), space.size(), 0);
    EXPECT_EQ(space.substr(0, static_cast<std::size_t>(got)), expected);
  }
  // And what it has no room for itself is lost, and said to be.
  const std::string packet(1400, 'x');
  std::size_t kept = 0;
  while (kept < 1000 && batch.add(address, as_bytes(packet))) ++kept;
  EXPECT_LT(kept, 1000u);
  ASSERT_EQ(std::system("tc qdisc delete dev lo root"), 0);
}

}  // namespace
}  // namespace siglane::kernel_test
