#include "transport/port_holder.h"

#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/file_descriptor.h"

namespace siglane::transport {
namespace {

using ::testing::HasSubstr;

SocketAddress at(std::string_view text, std::uint16_t port = 0) {
  return SocketAddress::parse(text, port).value();
}

// A socket of this process, and where it came to be.
struct Bound {
  Bound(int type, const SocketAddress& address, bool listening)
      : fd(::socket(address.family(), type | SOCK_CLOEXEC, 0)) {
    EXPECT_EQ(::bind(fd.get(), address.raw(), address.size()), 0);
    if (listening) {
      EXPECT_EQ(::listen(fd.get(), 1), 0);
    }
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size);
    port = SocketAddress::from(storage).port();
  }
  FileDescriptor fd;
  std::uint16_t port = 0;
};

std::string our_name() {
  std::string name;
  std::ifstream comm("/proc/self/comm");
  std::getline(comm, name);
  return name;
}

TEST(PortHolder, IsTheProgramThatListensThere) {
  for (const char* address : {"127.0.0.1", "::1"}) {
    const Bound bound(SOCK_STREAM, at(address), true);
    const auto holder = port_holder(PortProtocol::tcp, at(address, bound.port));
    ASSERT_TRUE(holder.has_value()) << address;
    EXPECT_EQ(holder->pid, getpid());
    EXPECT_EQ(holder->program, our_name());
    EXPECT_FALSE(port_holder(PortProtocol::udp, at(address, bound.port)));
  }
}

TEST(PortHolder, OfUdpIsWhoeverIsBound) {
  const Bound bound(SOCK_DGRAM, at("127.0.0.1"), false);
  const auto holder = port_holder(PortProtocol::udp, at("127.0.0.1", bound.port));
  ASSERT_TRUE(holder.has_value());
  EXPECT_EQ(holder->pid, getpid());
}

TEST(PortHolder, IsFoundByAWildcardOnEitherSide) {
  const Bound specific(SOCK_STREAM, at("127.0.0.3"), true);
  EXPECT_TRUE(port_holder(PortProtocol::tcp, at("0.0.0.0", specific.port)));
  EXPECT_TRUE(port_holder(PortProtocol::tcp, at("::", specific.port)));
  EXPECT_FALSE(port_holder(PortProtocol::tcp, at("127.0.0.4", specific.port)));
  const Bound everywhere(SOCK_STREAM, SocketAddress::any(0), true);
  EXPECT_TRUE(port_holder(PortProtocol::tcp, at("127.0.0.4", everywhere.port)));
  EXPECT_TRUE(port_holder(PortProtocol::tcp, at("::1", everywhere.port)));
}

TEST(PortHolder, IsNobodyWhereNobodyListens) {
  const Bound only_bound(SOCK_STREAM, at("127.0.0.1"), false);
  EXPECT_FALSE(port_holder(PortProtocol::tcp, at("127.0.0.1", only_bound.port)));
  EXPECT_THAT(in_use_by(PortProtocol::tcp, at("127.0.0.1", only_bound.port)),
              HasSubstr("does another node run here?"));
}

TEST(PortHolder, IsSaidInWords) {
  const Bound bound(SOCK_STREAM, at("127.0.0.1"), true);
  EXPECT_EQ(in_use_by(PortProtocol::tcp, at("127.0.0.1", bound.port)),
            " (another endpoint of this node has it)");
  EXPECT_EQ(program_name(getpid()), our_name());
  EXPECT_EQ(program_name(-1), "");
}

}  // namespace
}  // namespace siglane::transport
