// The contract of sctp_peeloff(3) and sctp_peeloff_flags(3), as our wrappers keep it.
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/file_descriptor.h"
#include "transport/sctp/kernel/socket.h"

namespace siglane::transport {
namespace {

SocketAddress loopback(std::uint16_t port) {
  return *SocketAddress::parse("127.0.0.1", port);
}

FileDescriptor open_socket() {
  return FileDescriptor(open_one_to_many(std::array{loopback(0)}, {}, false).fd);
}

bool wait_readable(int fd) {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, 5000) > 0;
}

struct Read {
  ReceivedPiece piece;
  std::string bytes;
};
Read read_one(int fd) {
  EXPECT_TRUE(wait_readable(fd));
  std::array<char, 4096> space;
  std::array<iovec, 1> into{iovec{space.data(), space.size()}};
  Read read;
  read.piece = receive_piece(fd, into);
  read.bytes.assign(space.data(), read.piece.size);
  return read;
}

// The id that the next COMM_UP on `fd` tells.
SctpId wait_up(int fd) {
  for (int i = 0; i < 10; ++i) {
    const Read read = read_one(fd);
    if (!read.piece.is_notification) continue;
    auto parsed = parse_notification(as_bytes(read.bytes));
    if (!parsed) continue;
    const auto* changed = std::get_if<notification::AssociationChanged>(&*parsed);
    if (changed != nullptr && changed->change == notification::Change::comm_up) return changed->id;
  }
  ADD_FAILURE() << "no COMM_UP";
  return 0;
}

Message text(std::string_view payload) {
  Message message;
  message.payload = Buffer::copy_of(as_bytes(payload));
  return message;
}

class PeeloffCall : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(listen_on(server.get()), 0);
    const std::array peer{loopback(local_port(server.get()))};
    const ConnectResult connected = connect_association(client.get(), peer, 0);
    ASSERT_EQ(connected.error, 0);
    client_id = connected.id;
    id = wait_up(server.get());
    EXPECT_EQ(wait_up(client.get()), client_id);
  }

  void expect_refused(int fd, SctpId which, int error) {
    errno = 0;
    EXPECT_EQ(sctp_peeloff(fd, which), -1);
    EXPECT_EQ(errno, error);
    errno = 0;
    EXPECT_EQ(sctp_peeloff_flags(fd, which, SOCK_NONBLOCK | SOCK_CLOEXEC), -1);
    EXPECT_EQ(errno, error);
  }

  FileDescriptor server = open_socket(), client = open_socket();
  SctpId id = 0, client_id = 0;
};

bool is_nonblocking(int fd) {
  return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}
bool closes_on_exec(int fd) {
  return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

TEST_F(PeeloffCall, WithoutFlagsThePeeledSocketBlocksAndSurvivesExec) {
  ASSERT_TRUE(is_nonblocking(server.get()) && closes_on_exec(server.get()));
  const FileDescriptor peeled(sctp_peeloff(server.get(), id));
  ASSERT_TRUE(peeled.valid()) << std::strerror(errno);
  EXPECT_FALSE(is_nonblocking(peeled.get()));
  EXPECT_FALSE(closes_on_exec(peeled.get()));
}

TEST_F(PeeloffCall, NonblockIsSetByItsFlagAlone) {
  const FileDescriptor peeled(sctp_peeloff_flags(server.get(), id, SOCK_NONBLOCK));
  ASSERT_TRUE(peeled.valid()) << std::strerror(errno);
  EXPECT_TRUE(is_nonblocking(peeled.get()));
  EXPECT_FALSE(closes_on_exec(peeled.get()));
}

TEST_F(PeeloffCall, CloseOnExecIsSetByItsFlagAlone) {
  const FileDescriptor peeled(sctp_peeloff_flags(server.get(), id, SOCK_CLOEXEC));
  ASSERT_TRUE(peeled.valid()) << std::strerror(errno);
  EXPECT_FALSE(is_nonblocking(peeled.get()));
  EXPECT_TRUE(closes_on_exec(peeled.get()));
}

TEST_F(PeeloffCall, OtherFlagBitsChangeNothing) {
  const unsigned others = ~static_cast<unsigned>(SOCK_NONBLOCK | SOCK_CLOEXEC);
  const FileDescriptor peeled(sctp_peeloff_flags(server.get(), id, others));
  ASSERT_TRUE(peeled.valid()) << std::strerror(errno);
  EXPECT_FALSE(is_nonblocking(peeled.get()));
  EXPECT_FALSE(closes_on_exec(peeled.get()));
}

TEST_F(PeeloffCall, AClosedDescriptorIsEbadf) {
  const int closed = dup(server.get());
  close(closed);
  expect_refused(closed, id, EBADF);
  expect_refused(-1, id, EBADF);
}

TEST_F(PeeloffCall, APipeIsEnotsock) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const FileDescriptor one(ends[0]), other(ends[1]);
  expect_refused(one.get(), id, ENOTSOCK);
}

TEST_F(PeeloffCall, AnIdThatIsNotOfThisSocketIsEinval) {
  expect_refused(server.get(), 0, EINVAL);
  expect_refused(server.get(), -1, EINVAL);
  expect_refused(server.get(), id + 1000, EINVAL);
  expect_refused(server.get(), client_id, EINVAL);
}

TEST_F(PeeloffCall, AnAssociationPeeledAlreadyIsEinvalOnBothItsSockets) {
  const FileDescriptor peeled(sctp_peeloff_flags(server.get(), id, SOCK_CLOEXEC));
  ASSERT_TRUE(peeled.valid()) << std::strerror(errno);
  expect_refused(server.get(), id, EINVAL);
  expect_refused(peeled.get(), id, EINVAL);
}

TEST_F(PeeloffCall, AOneToOneSocketIsEinval) {
  const FileDescriptor one_to_one(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP));
  const SocketAddress peer = loopback(local_port(server.get()));
  ASSERT_EQ(::connect(one_to_one.get(), peer.raw(), peer.size()), 0);
  expect_refused(one_to_one.get(), 0, EINVAL);
  expect_refused(one_to_one.get(), wait_up(server.get()), EINVAL);
}

TEST_F(PeeloffCall, WhatWaitedOnTheSharedSocketIsReadFromThePeeledOneInOrder) {
  for (const char* payload : {"one", "two", "three"}) {
    ASSERT_EQ(send_message(client.get(), client_id, text(payload), {}), 0);
  }
  ASSERT_TRUE(wait_readable(server.get()));
  const FileDescriptor peeled(sctp_peeloff_flags(server.get(), id, SOCK_NONBLOCK | SOCK_CLOEXEC));
  ASSERT_TRUE(peeled.valid()) << std::strerror(errno);
  ASSERT_EQ(send_message(client.get(), client_id, text("four"), {}), 0);
  std::vector<std::string> got;
  while (got.size() < 4 && wait_readable(peeled.get())) {
    const Read read = read_one(peeled.get());
    if (!read.piece.is_notification) got.push_back(read.bytes);
  }
  EXPECT_EQ(got, (std::vector<std::string>{"one", "two", "three", "four"}));
}

}  // namespace
}  // namespace siglane::transport
