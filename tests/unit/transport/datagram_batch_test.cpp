#include "transport/sctp/usrsctp/datagram_batch.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "transport/file_descriptor.h"

namespace siglane::transport {
namespace {

using testing::ElementsAre;

// A UDP socket on loopback.
class Udp {
 public:
  explicit Udp(const char* address = "127.0.0.1") : Udp(SocketAddress::parse(address, 0).value()) {}
  explicit Udp(const SocketAddress& at) {
    fd_ = FileDescriptor(::socket(at.family(), SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP));
    EXPECT_EQ(::bind(fd(), at.raw(), at.size()), 0);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    EXPECT_EQ(::getsockname(fd(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
    address_ = SocketAddress::from(bound);
    set(SOL_SOCKET, SO_RCVBUF, 1 << 20);
  }
  int fd() const { return fd_.get(); }
  const SocketAddress& address() const { return address_; }
  void set(int level, int option, int value) {
    EXPECT_EQ(::setsockopt(fd(), level, option, &value, sizeof value), 0);
  }
  // What each read has brought; with UDP_GRO, several datagrams.
  std::vector<std::string> read_all() {
    std::vector<std::string> all;
    std::vector<char> space(1 << 16);
    for (;;) {
      const ssize_t got = ::recv(fd(), space.data(), space.size(), 0);
      if (got < 0) return all;
      all.emplace_back(space.data(), static_cast<std::size_t>(got));
    }
  }

 private:
  FileDescriptor fd_;
  SocketAddress address_;
};

void add(DatagramBatch& batch, const Udp& to, const std::string& packet) {
  EXPECT_TRUE(batch.add(to.address(), as_bytes(packet)));
}

class DatagramBatchTest : public testing::TestWithParam<const char*> {
 protected:
  Udp sender{GetParam()}, one{GetParam()}, other{GetParam()};
  DatagramBatch batch{sender.fd()};
};
INSTANTIATE_TEST_SUITE_P(Families, DatagramBatchTest, testing::Values("127.0.0.1", "::1"));

TEST_P(DatagramBatchTest, SendsEachInOrder) {
  for (const char* packet : {"aaaa", "bbbb", "cc", "dddd", "eeeeee", "ffffff"}) {
    add(batch, one, packet);
  }
  add(batch, other, "gggggg");
  add(batch, one, "hhhhhh");
  EXPECT_FALSE(batch.empty());
  EXPECT_THAT(one.read_all(), ElementsAre());
  batch.send();
  EXPECT_TRUE(batch.empty());
  EXPECT_THAT(one.read_all(),
              ElementsAre("aaaa", "bbbb", "cc", "dddd", "eeeeee", "ffffff", "hhhhhh"));
  EXPECT_THAT(other.read_all(), ElementsAre("gggggg"));
}

TEST_P(DatagramBatchTest, SendsThoseOfOneSizeAsOne) {
  one.set(IPPROTO_UDP, UDP_GRO, 1);
  for (const char* packet : {"aaaa", "bbbb", "cc", "dddd", "eeeeee"}) add(batch, one, packet);
  batch.send();
  EXPECT_THAT(one.read_all(), ElementsAre("aaaabbbbcc", "dddd", "eeeeee"));
}

TEST_P(DatagramBatchTest, SendsSinglyOnceItIsTold) {
  one.set(IPPROTO_UDP, UDP_GRO, 1);
  batch.send_singly();
  for (const char* packet : {"aaaa", "bbbb", "cc"}) add(batch, one, packet);
  batch.send();
  EXPECT_THAT(one.read_all(), ElementsAre("aaaa", "bbbb", "cc"));
}

// Each by itself, where they do not fit the way to that peer: the network fragments them.
TEST(DatagramBatchRefused, SendsThoseOfThatPeerOneByOne) {
  Udp sender("::1"), receiver("::1");
  DatagramBatch batch(sender.fd());
  sender.set(IPPROTO_IPV6, IPV6_MTU, 1280);
  const std::vector<std::string> large = {std::string(1400, 'a'), std::string(1400, 'b'),
                                          std::string(1300, 'c')};
  for (const std::string& packet : large) add(batch, receiver, packet);
  batch.send();
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(receiver.read_all(), large);
  receiver.set(IPPROTO_UDP, UDP_GRO, 1);
  for (const char* packet : {"aaaa", "bbbb"}) add(batch, receiver, packet);
  batch.send();
  EXPECT_THAT(receiver.read_all(), ElementsAre("aaaabbbb"));
}

TEST_P(DatagramBatchTest, SendsWhatItHasNoRoomFor) {
  const auto packet = [](int number) {
    return std::to_string(number) + std::string(1400 - std::to_string(number).size(), '.');
  };
  std::vector<std::string> sent;
  for (int i = 0; i < 150; ++i) {
    sent.push_back(packet(i));
    add(batch, one, sent.back());
  }
  batch.send();
  EXPECT_EQ(one.read_all(), sent);
}

TEST_P(DatagramBatchTest, LetsABurstGoBeforeItIsTold) {
  const std::string packet(1400, 'x');
  std::size_t added = 0;
  while (added < 100 && one.read_all().empty()) {
    add(batch, one, packet);
    ++added;
  }
  EXPECT_EQ(added, 24u);  // 32 KiB hold 23
  batch.send();
  EXPECT_EQ(one.read_all().size(), 1u);
}

TEST_P(DatagramBatchTest, SendsToManyAtOnce) {
  std::vector<Udp> many;
  for (int i = 0; i < 100; ++i) many.emplace_back(GetParam());
  for (const Udp& to : many) add(batch, to, to.address().text_with_port());
  batch.send();
  for (Udp& to : many) EXPECT_THAT(to.read_all(), ElementsAre(to.address().text_with_port()));
}

// Between two sockets that count what nobody has read, which UDP on loopback does not.
class FullSocket : public testing::Test {
 protected:
  FullSocket() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends.data()), 0);
    near_ = FileDescriptor(ends[0]);
    far_ = FileDescriptor(ends[1]);
    const int smallest = 1;
    EXPECT_EQ(::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest), 0);
  }
  void read_all() {
    std::vector<char> space(4096);
    for (ssize_t got = 0; (got = ::recv(far_.get(), space.data(), space.size(), 0)) > 0;) {
      came_.emplace_back(space.data(), static_cast<std::size_t>(got));
    }
  }

  FileDescriptor near_, far_;
  const SocketAddress anywhere_ = SocketAddress::parse("127.0.0.1", 7000).value();
  std::vector<std::string> came_;
};

TEST_F(FullSocket, IsGivenTheRestWhenItHasRoom) {
  DatagramBatch batch(near_.get());
  std::vector<std::string> sent;
  for (std::size_t i = 0; i < 40; ++i) {
    sent.emplace_back(1000 + i, static_cast<char>('A' + i));
    ASSERT_TRUE(batch.add(anywhere_, as_bytes(sent.back())));
  }
  batch.send();
  EXPECT_FALSE(batch.empty());
  for (int rounds = 0; rounds < 40 && !batch.empty(); ++rounds) {
    read_all();
    batch.send();
  }
  read_all();
  EXPECT_EQ(came_, sent);
}

TEST_F(FullSocket, LosesWhatThereIsNoRoomForHereEither) {
  DatagramBatch batch(near_.get());
  batch.send_singly();
  const std::string packet(1400, 'x');
  std::size_t accepted = 0;
  while (accepted < 1000 && batch.add(anywhere_, as_bytes(packet))) ++accepted;
  EXPECT_GT(accepted, 60u);
  EXPECT_LT(accepted, 200u);
}

// One that cannot be sent is lost, and no other.
TEST_P(DatagramBatchTest, GoesOnBehindOneThatIsTooLarge) {
  add(batch, one, "before");
  add(batch, one, std::string(65'535, 'x'));
  add(batch, one, "after");
  batch.send();
  EXPECT_THAT(one.read_all(), ElementsAre("before", "after"));
}

// The kernel says so at the next call, which sends nothing.
TEST_P(DatagramBatchTest, LosesNothingMoreToAPeerThatWasAway) {
  auto peer = std::make_unique<Udp>(GetParam());
  const SocketAddress at = peer->address();
  ASSERT_EQ(::connect(sender.fd(), at.raw(), at.size()), 0);
  batch.socket_is_connected();
  peer.reset();
  ASSERT_TRUE(batch.add(at, as_bytes("lost")));
  batch.send();
  peer = std::make_unique<Udp>(at);
  for (const char* packet : {"one", "another"}) ASSERT_TRUE(batch.add(at, as_bytes(packet)));
  batch.send();
  EXPECT_THAT(peer->read_all(), ElementsAre("one", "another"));
}

}  // namespace
}  // namespace siglane::transport
