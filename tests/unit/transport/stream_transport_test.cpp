#include <cerrno>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/unit/transport/stream_side.h"
#include "transport/counters.h"
#include "transport/stream/transport.h"

namespace siglane::transport {
namespace {

using ::testing::HasSubstr;

// A plain blocking socket: the peer that does what no transport of ours would.
class RawPeer {
 public:
  explicit RawPeer(int fd) : fd_(fd) {}
  static RawPeer to(std::uint16_t port) {
    RawPeer peer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = SocketAddress::parse("127.0.0.1", port).value();
    EXPECT_EQ(::connect(peer.fd_.get(), address.raw(), address.size()), 0);
    const int on = 1;
    setsockopt(peer.fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return peer;
  }
  void write(std::string_view bytes) {
    ASSERT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // At most what is there; empty at the end of the stream.
  std::string read() {
    std::string bytes(65536, '\0');
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    at_end_ = got == 0;
    return bytes;
  }
  bool at_end() const { return at_end_; }
  // Ends its half of the stream, and reads on.
  void end_output() { ASSERT_EQ(::shutdown(fd_.get(), SHUT_WR), 0); }
  void reset() {
    const linger abort{1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    fd_.reset();
  }
  void close() { fd_.reset(); }
  int fd() const { return fd_.get(); }

 private:
  FileDescriptor fd_;
  bool at_end_ = false;
};

class StreamTransportTest : public ::testing::Test {
 protected:
  EndpointConfig endpoint(bool listening) {
    EndpointConfig config;
    config.name = listening ? "server" : "client";
    config.transport = TransportKind::tcp;
    config.addresses = {"127.0.0.1"};
    config.listening = listening;
    config.limits = limits_;
    config.associations_max = associations_max_;
    config.stream.close_timeout = close_timeout_;
    return config;
  }
  void listen(Side& side) {
    server_ = side.quietly([&] { return side.transport.open(endpoint(true), framing_); }).value();
    ASSERT_TRUE(side.until([&] { return side.sink.port() != 0; }));
    port_ = side.sink.port();
  }
  PeerConfig peer() {
    PeerConfig config;
    config.name = "peer";
    config.addresses = {"127.0.0.1"};
    config.port = port_;
    return config;
  }
  // A raw peer, and the association the server has for it.
  RawPeer connect_raw(Side& side, AssociationId& id) {
    std::vector<AssociationId> known;
    for (const auto& [old, log] : side.sink.logs) known.push_back(old);
    RawPeer raw = RawPeer::to(port_);
    EXPECT_TRUE(side.until([&] {
      id = side.sink.other_than(known);
      return id != AssociationId::none;
    }));
    return raw;
  }
  // Both ends on one side.
  void connect_both(Side& side) {
    listen(side);
    client_ = side.transport.open(endpoint(false), framing_).value();
    near_ = side.connect(client_, peer());
    ASSERT_TRUE(side.until([&] {
      far_ = side.sink.other_than({near_});
      return far_ != AssociationId::none && side.log(near_).up.has_value();
    }));
  }

  ShortFraming framing_;
  AssociationLimits limits_;
  std::size_t associations_max_ = 100;
  Duration close_timeout_ = 2s;
  EndpointId server_{}, client_{};
  std::uint16_t port_ = 0;
  AssociationId near_{}, far_{};
};

TEST_F(StreamTransportTest, comes_up_on_both_ends_and_says_who_is_there) {
  Side side;
  connect_both(side);
  const AssociationUp& up = *side.log(near_).up;
  EXPECT_TRUE(up.initiator);
  EXPECT_EQ(up.peer, "peer");
  EXPECT_EQ(up.local, client_);
  EXPECT_EQ(up.remote_port, port_);
  EXPECT_EQ(up.streams_out, 0) << "TCP has no streams";
  EXPECT_THAT(up.remote_addresses, ::testing::ElementsAre("127.0.0.1"));
  EXPECT_FALSE(side.log(far_).up->initiator);
  EXPECT_EQ(side.log(far_).up->local, server_);
  const auto status = side.transport.status(far_).value();
  EXPECT_EQ(status.local, "127.0.0.1:" + std::to_string(port_));
  EXPECT_EQ(status.endpoint, "server");
  EXPECT_EQ(status.transport, TransportKind::tcp);
  EXPECT_FALSE(status.peeled);
}

TEST_F(StreamTransportTest, cuts_messages_out_of_single_bytes) {
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  std::size_t expected = 0;
  for (const char byte : framed("hello") + framed("") + framed("world")) {
    raw.write({&byte, 1});
    // Each byte is seen by the transport before the next one is written.
    pollfd wait{raw.fd(), POLLOUT, 0};
    ::poll(&wait, 1, 0);
    side.loop->run_once(false);
    expected = side.log(id).received.size();
  }
  ASSERT_TRUE(side.until([&] { return side.log(id).received.size() == 3; }));
  EXPECT_LE(expected, 3u);
  EXPECT_THAT(side.log(id).received, ::testing::ElementsAre("hello", "", "world"));
}

TEST_F(StreamTransportTest, cuts_many_messages_out_of_one_read_and_keeps_the_rest) {
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  std::string bytes;
  for (int i = 0; i < 500; ++i) bytes += framed(std::to_string(i));
  const std::string last = framed("the end");
  raw.write(bytes + last.substr(0, 4));
  ASSERT_TRUE(side.until([&] { return side.log(id).received.size() == 500; }));
  raw.write(last.substr(4));
  ASSERT_TRUE(side.until([&] { return side.log(id).received.size() == 501; }));
  for (std::size_t i = 0; i < 500; ++i) ASSERT_EQ(side.log(id).received[i], std::to_string(i));
  EXPECT_EQ(side.log(id).received.back(), "the end");
}

TEST_F(StreamTransportTest, closes_on_a_message_over_the_limit_before_it_is_all_there) {
  limits_.message_bytes_max = 100;
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  raw.write(framed(std::string(99, 'x')).substr(0, 2));
  ASSERT_TRUE(side.until([&] { return side.log(id).down.has_value(); }));
  EXPECT_EQ(side.log(id).down->cause, DownCause::protocol_error);
  EXPECT_EQ(side.log(id).down->detail, "a message of 101 bytes exceeds message_bytes_max 100");
  EXPECT_EQ(side.counters.get(counter::messages_oversized), 1u);
  EXPECT_EQ(side.transport.find(id), nullptr);
}

TEST_F(StreamTransportTest, takes_a_message_of_exactly_the_limit) {
  limits_.message_bytes_max = 100;
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  raw.write(framed(std::string(98, 'x')));
  ASSERT_TRUE(side.until([&] { return side.log(id).received.size() == 1; }));
}

TEST_F(StreamTransportTest, closes_on_input_that_the_framing_does_not_accept) {
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  raw.write(framed("good") + std::string("\0\1", 2));
  ASSERT_TRUE(side.until([&] { return side.log(id).down.has_value(); }));
  EXPECT_THAT(side.log(id).received, ::testing::ElementsAre("good"));
  EXPECT_EQ(side.log(id).down->cause, DownCause::protocol_error);
  EXPECT_EQ(side.log(id).down->detail, "length 1 is less than the header");
}

TEST_F(StreamTransportTest, reports_a_refused_connect_as_a_lone_down) {
  Side side;
  // A port that was ours a moment ago and that nobody listens on.
  FileDescriptor probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto any_port = SocketAddress::parse("127.0.0.1", 0).value();
  ASSERT_EQ(::bind(probe.get(), any_port.raw(), any_port.size()), 0);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ASSERT_EQ(getsockname(probe.get(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
  port_ = SocketAddress::from(bound).port();
  client_ = side.transport.open(endpoint(false), framing_).value();
  const AssociationId id = side.connect(client_, peer());
  ASSERT_NE(side.transport.find(id), nullptr);
  EXPECT_EQ(side.send(id, "too early"), SendOutcome::refused);
  ASSERT_TRUE(side.until([&] { return side.log(id).down.has_value(); }));
  EXPECT_FALSE(side.log(id).up.has_value());
  EXPECT_EQ(side.log(id).down->cause, DownCause::refused);
  EXPECT_EQ(side.log(id).down->detail,
            "127.0.0.1:" + std::to_string(port_) + ": Connection refused");
}

TEST_F(StreamTransportTest, tries_every_address_of_a_peer) {
  Side side;
  listen(side);  // on 127.0.0.1 only
  client_ = side.transport.open(endpoint(false), framing_).value();
  PeerConfig config = peer();
  config.addresses = {"::1", "127.0.0.7", "127.0.0.1"};
  const AssociationId id = side.connect(client_, config);
  ASSERT_TRUE(side.until([&] { return side.log(id).up.has_value(); }));
  EXPECT_THAT(side.log(id).up->remote_addresses, ::testing::ElementsAre("127.0.0.1"));
  config.addresses = {"::1", "nonsense"};
  const AssociationId hopeless = side.connect(client_, config);
  ASSERT_TRUE(side.until([&] { return side.log(hopeless).down.has_value(); }));
  EXPECT_EQ(side.log(hopeless).down->cause, DownCause::unreachable);
  EXPECT_THAT(side.log(hopeless).down->detail, HasSubstr("\"nonsense\" is not an IP address"));
  EXPECT_THAT(side.log(hopeless).down->detail, HasSubstr("no address of that family"));
}

TEST_F(StreamTransportTest, reports_a_reset_after_everything_that_came_before_it) {
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  raw.write(framed("last words"));
  raw.reset();
  ASSERT_TRUE(side.until([&] { return side.log(id).down.has_value(); }));
  EXPECT_THAT(side.log(id).received, ::testing::ElementsAre("last words"));
  EXPECT_EQ(side.log(id).down->cause, DownCause::peer_abort);
  EXPECT_THAT(side.log(id).down->detail, HasSubstr("reset"));
}

TEST_F(StreamTransportTest, notices_a_reset_while_it_writes_and_gives_back_what_is_left) {
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  raw.write(framed("read me"));
  raw.reset();
  EXPECT_EQ(side.send(id, "too late"), SendOutcome::accepted);
  ASSERT_TRUE(side.until([&] { return side.log(id).down.has_value(); }));
  EXPECT_THAT(side.log(id).received, ::testing::ElementsAre("read me"));
  EXPECT_THAT(side.log(id).unsent, ::testing::ElementsAre(std::pair("too late", false)));
  EXPECT_EQ(side.log(id).down->cause, DownCause::peer_abort);
}

TEST_F(StreamTransportTest, tells_the_end_of_a_stream_in_mid_message_from_a_clean_one) {
  Side side;
  listen(side);
  AssociationId clean{}, cut{};
  RawPeer first = connect_raw(side, clean);
  first.write(framed("bye"));
  first.close();
  RawPeer second = connect_raw(side, cut);
  second.write(framed("bye").substr(0, 3));
  second.close();
  ASSERT_TRUE(side.until([&] { return side.log(clean).down && side.log(cut).down; }));
  EXPECT_EQ(side.log(clean).down->cause, DownCause::peer_shutdown);
  EXPECT_EQ(side.log(clean).down->detail, "");
  EXPECT_EQ(side.log(cut).down->cause, DownCause::peer_shutdown);
  EXPECT_EQ(side.log(cut).down->detail, "the stream ended in the middle of a message");
}

// The session here owes an answer: it does not close when it hears of the end.
TEST_F(StreamTransportTest, a_half_closed_peer_still_gets_what_is_sent) {
  Side side;
  side.sink.on_ending = nullptr;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  raw.write(framed("a request"));
  raw.end_output();
  ASSERT_TRUE(side.until([&] { return side.log(id).ending; }));
  EXPECT_THAT(side.log(id).received, ::testing::ElementsAre("a request"));
  for (int i = 0; i < 10; ++i) side.loop->run_once(false);
  EXPECT_FALSE(side.log(id).down.has_value());
  EXPECT_EQ(side.transport.seat(id), Seat::bound) << "no other loop would hear of its end";
  EXPECT_TRUE(std::holds_alternative<Gone>(side.transport.detach(id)));
  ASSERT_EQ(side.send(id, "its answer"), SendOutcome::accepted);
  side.close(id, CloseMode::graceful);
  std::string got;
  ASSERT_TRUE(side.spin_until([&] {
    got += raw.read();
    return raw.at_end() && side.log(id).down.has_value();
  }));
  EXPECT_EQ(got, framed("its answer"));
  EXPECT_EQ(side.log(id).down->cause, DownCause::peer_shutdown);
  EXPECT_EQ(side.log(id).down->detail, "");
}

TEST_F(StreamTransportTest, a_peer_that_ends_its_half_while_we_close_gets_all_that_was_sent) {
  limits_.send_queue_bytes_max = 50'000'000;
  limits_.send_queue_messages_max = 100'000;
  close_timeout_ = 60s;  // a busy machine may take long to read it all
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  const std::string filler(60'000, 'x');
  constexpr std::size_t kMessages = 500;  // far more than the sockets hold
  for (std::size_t i = 0; i < kMessages; ++i) {
    ASSERT_EQ(side.send(id, filler), SendOutcome::accepted);
  }
  side.close(id, CloseMode::graceful);
  for (int i = 0; i < 10; ++i) side.loop->run_once(false);
  ASSERT_GT(side.transport.status(id)->queued_bytes, 0u);
  raw.end_output();
  for (int i = 0; i < 10; ++i) side.loop->run_once(false);
  std::size_t got = 0;
  ASSERT_TRUE(side.spin_until([&] {
    got += raw.read().size();
    return raw.at_end();
  }));
  EXPECT_EQ(got, kMessages * framed(filler).size());
}

TEST_F(StreamTransportTest, notices_when_it_writes_that_a_half_closed_peer_is_gone) {
  Side side;
  side.sink.on_ending = nullptr;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  raw.write(framed("a request"));
  raw.close();  // with nothing unread: a FIN, as at the end of a process
  ASSERT_TRUE(side.until([&] { return side.log(id).ending; }));
  std::size_t sent = 0;
  ASSERT_TRUE(side.spin_until([&] {
    if (side.transport.find(id) != nullptr && sent < 1000) {
      if (side.send(id, "an answer") == SendOutcome::accepted) ++sent;
    }
    return side.log(id).down.has_value();
  }));
  EXPECT_EQ(side.log(id).down->cause, DownCause::peer_abort);
}

TEST_F(StreamTransportTest, does_not_wait_for_ever_for_a_half_closed_peer_that_does_not_read) {
  limits_.send_queue_bytes_max = 50'000'000;
  limits_.send_queue_messages_max = 100'000;
  close_timeout_ = 20ms;
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  const std::string filler(60'000, 'x');
  for (std::size_t i = 0; i < 500; ++i) ASSERT_EQ(side.send(id, filler), SendOutcome::accepted);
  raw.end_output();
  ASSERT_TRUE(side.until([&] { return side.log(id).down.has_value(); }));
  EXPECT_EQ(side.log(id).down->cause, DownCause::local_close);
  EXPECT_EQ(side.log(id).down->detail, "the peer did not read in time");
  EXPECT_FALSE(side.log(id).unsent.empty());
}

TEST_F(StreamTransportTest, holds_back_and_tells_congestion_when_the_peer_does_not_read) {
  limits_.send_queue_bytes_max = 200'000;
  limits_.send_queue_messages_max = 100'000;
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  const std::string filler(1000, 'x');
  std::size_t accepted = 0;
  // The sockets' own buffers fill first, however large the kernel makes them.
  bool refused = false;
  for (int turn = 0; turn < 10'000 && !refused; ++turn) {
    for (int i = 0; i < 50 && !refused; ++i) {
      refused = side.send(id, filler + std::to_string(accepted)) == SendOutcome::refused;
      if (!refused) ++accepted;
    }
    side.loop->run_once(false);
  }
  ASSERT_TRUE(refused);
  ASSERT_TRUE(side.until([&] { return !side.log(id).congestion.empty(); }));
  EXPECT_THAT(side.log(id).congestion, ::testing::ElementsAre(true));
  EXPECT_TRUE(side.transport.status(id)->congested);
  EXPECT_GT(side.transport.status(id)->queued_bytes, 190'000u);
  EXPECT_GT(side.counters.get(counter::send_blocked), 0u);

  std::string got;
  ASSERT_TRUE(side.spin_until([&] {
    got += raw.read();
    return side.log(id).congestion.size() == 2 && side.transport.status(id)->queued_bytes == 0;
  }));
  EXPECT_FALSE(side.log(id).congestion.back());
  side.close(id, CloseMode::graceful);
  ASSERT_TRUE(side.spin_until([&] {
    got += raw.read();
    return raw.at_end();
  }));
  // All that was accepted, in order.
  std::size_t at = 0;
  for (std::size_t i = 0; i < accepted; ++i) {
    const std::string expected = framed(filler + std::to_string(i));
    ASSERT_EQ(got.compare(at, expected.size(), expected), 0) << "message " << i;
    at += expected.size();
  }
  EXPECT_EQ(at, got.size());
}

TEST_F(StreamTransportTest, a_pause_makes_the_peer_wait_and_loses_nothing) {
  limits_.send_queue_bytes_max = 200'000;
  Side side;
  connect_both(side);
  side.transport.pause_input(far_);
  const std::string filler(1000, 'x');
  std::size_t accepted = 0;
  for (bool refused = false; !refused; side.loop->run_once(false)) {
    for (int i = 0; i < 50 && !refused; ++i) {
      refused = side.send(near_, filler + std::to_string(accepted)) == SendOutcome::refused;
      if (!refused) ++accepted;
    }
  }
  EXPECT_TRUE(side.log(far_).received.empty());
  side.transport.resume_input(far_);
  ASSERT_TRUE(side.until([&] { return side.log(far_).received.size() == accepted; }));
  for (std::size_t i = 0; i < accepted; ++i) {
    ASSERT_EQ(side.log(far_).received[i], filler + std::to_string(i));
  }
}

TEST_F(StreamTransportTest, closes_gracefully_only_after_everything_was_written) {
  Side side;
  connect_both(side);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(side.send(near_, std::to_string(i)), SendOutcome::accepted);
  }
  side.close(near_, CloseMode::graceful);
  side.close(near_, CloseMode::graceful);
  EXPECT_EQ(side.send(near_, "after the end"), SendOutcome::refused);
  ASSERT_TRUE(side.until([&] { return side.log(near_).down && side.log(far_).down; }));
  EXPECT_EQ(side.log(far_).received.size(), 1000u);
  EXPECT_EQ(side.log(near_).down->cause, DownCause::local_close);
  EXPECT_EQ(side.log(far_).down->cause, DownCause::peer_shutdown);
}

TEST_F(StreamTransportTest, gives_up_on_a_peer_that_does_not_end_its_stream) {
  close_timeout_ = 20ms;
  Side side;
  listen(side);
  AssociationId id{};
  RawPeer raw = connect_raw(side, id);
  side.close(id, CloseMode::graceful);
  ASSERT_TRUE(side.until([&] { return side.log(id).down.has_value(); }));
  EXPECT_EQ(side.log(id).down->cause, DownCause::local_close);
  EXPECT_EQ(side.log(id).down->detail, "the peer did not end the stream in time");
}

TEST_F(StreamTransportTest, aborts_with_a_reset_and_gives_back_what_was_queued) {
  Side side;
  connect_both(side);
  ASSERT_EQ(side.send(near_, "never leaves"), SendOutcome::accepted);
  side.close(near_, CloseMode::abort);
  ASSERT_TRUE(side.until([&] { return side.log(near_).down && side.log(far_).down; }));
  EXPECT_THAT(side.log(near_).unsent, ::testing::ElementsAre(std::pair("never leaves", false)));
  EXPECT_EQ(side.log(near_).down->cause, DownCause::local_close);
  EXPECT_EQ(side.log(far_).down->cause, DownCause::peer_abort);
}

TEST_F(StreamTransportTest, carries_thousands_of_small_messages_both_ways_in_order) {
  Side side;
  connect_both(side);
  constexpr std::size_t kMessages = 20'000;
  std::size_t next = 0, window = 0;
  side.sink.on_received = [&](AssociationId id, const Message& message) {
    if (id == far_) {  // echo
      Message reply = message;
      EXPECT_EQ(side.transport.find(far_)->send(std::move(reply)), SendOutcome::accepted);
    } else {
      --window;
    }
  };
  ASSERT_TRUE(side.until(
      [&] {
        while (next < kMessages && window < 500) {
          EXPECT_EQ(side.send(near_, std::to_string(next)), SendOutcome::accepted);
          ++next;
          ++window;
        }
        return side.log(near_).received.size() == kMessages;
      },
      30s));
  for (std::size_t i = 0; i < kMessages; ++i) {
    ASSERT_EQ(side.log(far_).received[i], std::to_string(i));
    ASSERT_EQ(side.log(near_).received[i], std::to_string(i));
  }
  // The echo said what caused it, so how long it stayed here was measured.
  const Histogram* residence = side.transport.residence(far_);
  ASSERT_NE(residence, nullptr);
  EXPECT_EQ(residence->count(), kMessages);
  EXPECT_EQ(side.transport.residence(near_), nullptr);
}

TEST_F(StreamTransportTest, refuses_connections_beyond_associations_max) {
  associations_max_ = 2;
  Side side;
  listen(side);
  AssociationId first{}, second{};
  RawPeer one = connect_raw(side, first);
  RawPeer two = connect_raw(side, second);
  RawPeer three = RawPeer::to(port_);
  ASSERT_TRUE(side.until(
      [&] { return side.counters.get(siglane::counter::associations_refused_limit) == 1; }));
  EXPECT_EQ(side.sink.logs.size(), 2u);
  EXPECT_EQ(side.sink.strangers.size(), 1u);
  one.close();
  ASSERT_TRUE(side.until([&] { return side.log(first).down.has_value(); }));
  AssociationId fourth{};
  RawPeer four = connect_raw(side, fourth);
  EXPECT_TRUE(side.log(fourth).up.has_value());
}

TEST_F(StreamTransportTest, takes_new_limits_also_of_connections_that_exist) {
  Side side;
  connect_both(side);
  limits_.message_bytes_max = 200'000;
  side.reconfigure(server_, endpoint(true));
  ASSERT_EQ(side.send(near_, std::string(150'000, 'x')), SendOutcome::accepted);
  ASSERT_TRUE(side.until([&] { return side.log(far_).received.size() == 1; }));

  limits_.send_queue_messages_max = 2;
  side.reconfigure(client_, endpoint(false));
  EXPECT_EQ(side.send(near_, "one"), SendOutcome::accepted);
  EXPECT_EQ(side.send(near_, "two"), SendOutcome::accepted);
  EXPECT_EQ(side.send(near_, "three"), SendOutcome::refused);
  ASSERT_TRUE(side.until([&] { return side.log(far_).received.size() == 3; }));

  limits_.message_bytes_max = 100;
  side.reconfigure(server_, endpoint(true));
  ASSERT_EQ(side.send(near_, std::string(200, 'x')), SendOutcome::accepted);
  ASSERT_TRUE(side.until([&] { return side.log(far_).down && side.log(near_).down; }));
  EXPECT_EQ(side.log(far_).down->cause, DownCause::protocol_error);
}

TEST_F(StreamTransportTest, tells_congestion_by_new_limits) {
  Side side;
  connect_both(side);
  side.transport.pause_input(far_);
  const std::string filler(1000, 'x');
  while (side.transport.status(near_)->queued_messages < 10) {
    ASSERT_EQ(side.send(near_, filler), SendOutcome::accepted);
    side.loop->run_once(false);
  }
  ASSERT_TRUE(side.log(near_).congestion.empty());
  limits_.send_queue_messages_max = 10;
  side.reconfigure(client_, endpoint(false));
  ASSERT_TRUE(side.until([&] { return !side.log(near_).congestion.empty(); }));
  EXPECT_TRUE(side.log(near_).congestion.back());
}

TEST_F(StreamTransportTest, lets_in_as_many_as_associations_max_is_now) {
  associations_max_ = 1;
  Side side;
  connect_both(side);
  RawPeer refused = RawPeer::to(port_);
  ASSERT_TRUE(side.until([&] { return side.sink.strangers.size() == 1; }));
  associations_max_ = 2;
  side.reconfigure(server_, endpoint(true));
  AssociationId id{};
  RawPeer let_in = connect_raw(side, id);
  associations_max_ = 1;
  side.reconfigure(server_, endpoint(true));
  RawPeer late = RawPeer::to(port_);
  ASSERT_TRUE(side.until([&] { return side.sink.strangers.size() == 2; }));
  EXPECT_FALSE(side.log(id).down) << "who is in stays";
  EXPECT_FALSE(side.log(far_).down);
}

TEST_F(StreamTransportTest, gives_a_connection_that_arrives_the_limits_of_where_it_is) {
  Side old_home, home, peer_side;
  EndpointConfig config = endpoint(true);
  config.pool = std::make_shared<EndpointPool>();
  config.pool->several = true;
  server_ = old_home.transport.open(config, framing_).value();
  ASSERT_EQ(home.transport.open(config, framing_).value(), server_);
  limits_.message_bytes_max = 100;
  home.reconfigure(server_, endpoint(true));

  ASSERT_TRUE(old_home.until([&] { return old_home.sink.port() != 0; }));
  port_ = old_home.sink.port();
  client_ = peer_side.transport.open(endpoint(false), framing_).value();
  const auto until = [&](auto done) {
    return peer_side.spin_until([&] {
      old_home.loop->run_once(false);
      home.loop->run_once(false);
      return done();
    });
  };
  // The kernel chooses which of the two sockets gets it.
  do {
    near_ = peer_side.connect(client_, peer());
    ASSERT_TRUE(until([&] { return peer_side.log(near_).up.has_value(); }));
    ASSERT_TRUE(until([&] {
      return old_home.sink.logs.size() + home.sink.logs.size() == peer_side.sink.logs.size();
    }));
  } while (old_home.sink.logs.empty());
  far_ = old_home.sink.other_than({});
  DetachOutcome outcome = old_home.transport.detach(far_);
  home.transport.adopt(std::move(std::get<Peeled>(outcome).cargo));
  ASSERT_EQ(peer_side.send(near_, std::string(200, 'x')), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return home.log(far_).down.has_value(); }));
  EXPECT_EQ(home.log(far_).down->cause, DownCause::protocol_error);
}

TEST_F(StreamTransportTest, closes_whom_its_shard_does_not_want) {
  Side side;
  listen(side);
  side.sink.on_arrival = [](Instant now) { return Welcome{false, now}; };
  RawPeer raw = RawPeer::to(port_);
  ASSERT_TRUE(side.spin_until([&] {
    pollfd end{raw.fd(), POLLIN, 0};
    return ::poll(&end, 1, 0) == 1;
  }));
  EXPECT_TRUE(side.sink.logs.empty());
  EXPECT_TRUE(side.sink.facts.size() == 1) << "that the endpoint is open, and nothing else";
}

TEST_F(StreamTransportTest, leaves_the_next_ones_waiting_for_as_long_as_its_shard_says) {
  Side side;
  listen(side);
  std::vector<Instant> arrivals;
  side.sink.on_arrival = [&](Instant now) {
    arrivals.push_back(now);
    return Welcome{true, now + 50ms};
  };
  const RawPeer one = RawPeer::to(port_), two = RawPeer::to(port_), three = RawPeer::to(port_);
  ASSERT_TRUE(side.until([&] { return side.sink.newcomers.size() == 3; }));
  EXPECT_GE(arrivals[1] - arrivals[0], 45ms);
  EXPECT_GE(arrivals[2] - arrivals[1], 45ms);
}

// Sets RLIMIT_NOFILE for as long as it lives.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t limit) {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit changed = before_;
    changed.rlim_cur = limit;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &changed), 0);
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(StreamTransportTest, turns_connections_away_when_descriptors_run_out) {
  Side side;
  listen(side);
  RawPeer raw = RawPeer::to(port_);
  {
    DescriptorLimit limit(200);
    std::vector<FileDescriptor> hoard;
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) hoard.emplace_back(fd);
    // The peer is not left hanging: it sees the end of its connection.
    ASSERT_TRUE(side.until([&] { return side.counters.get(counter::accepts_failed) > 0; }));
    pollfd wait{raw.fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, 5000), 1);
    EXPECT_EQ(raw.read(), "");
  }
  EXPECT_EQ(side.counters.get(counter::accepts_failed), 1u);
  EXPECT_TRUE(side.sink.logs.empty());
  ASSERT_NE(side.sink.fact(kNotice), nullptr);
  EXPECT_THAT(field(*side.sink.fact(kNotice), "text"), HasSubstr("out of file descriptors"));
  AssociationId id{};
  RawPeer later = connect_raw(side, id);
  EXPECT_TRUE(side.log(id).up.has_value());
}

TEST_F(StreamTransportTest, pauses_instead_of_spinning_when_it_cannot_even_turn_one_away) {
  Side side;
  listen(side);
  RawPeer raw = RawPeer::to(port_);
  {
    DescriptorLimit limit(0);
    ASSERT_TRUE(side.until([&] { return side.counters.get(counter::accepts_failed) > 1; }));
    EXPECT_EQ(side.counters.get(counter::accepts_failed), 2u);
  }
  ASSERT_TRUE(side.until([&] { return side.sink.logs.size() == 1; }));
}

TEST_F(StreamTransportTest, says_which_address_it_cannot_listen_on_and_why) {
  Side side;
  listen(side);
  EndpointConfig taken = endpoint(true);
  taken.port = port_;
  const auto again = side.transport.open(taken, framing_);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().what,
            "endpoint server: cannot listen on 127.0.0.1:" + std::to_string(port_) +
                " (tcp): Address already in use (another endpoint of this node has it)");
  EndpointConfig bad = endpoint(true);
  bad.addresses = {"10.0.0"};
  EXPECT_EQ(side.transport.open(bad, framing_).error().what,
            "endpoint server: \"10.0.0\" is not an IP address");
}

TEST_F(StreamTransportTest, moves_a_connection_with_its_half_read_input_and_unsent_output) {
  Side from;
  listen(from);
  AssociationId id{};
  RawPeer raw = connect_raw(from, id);
  const std::string frame = framed("half and half");
  raw.write(frame.substr(0, 7));
  ASSERT_TRUE(from.until([&] { return from.transport.status(id)->queued_messages == 0; }));
  from.loop->run_once(false);
  ASSERT_EQ(from.send(id, "not written yet"), SendOutcome::accepted);
  auto outcome = from.quietly([&] { return from.transport.detach(id); });
  ASSERT_TRUE(std::holds_alternative<Peeled>(outcome));
  EXPECT_EQ(from.transport.find(id), nullptr);

  Side to;
  to.sink.logs[id] = from.sink.logs[id];
  to.quietly([&] {
    to.transport.adopt(std::move(std::get<Peeled>(outcome).cargo));
    return 0;
  });
  raw.write(frame.substr(7) + framed("next"));
  ASSERT_TRUE(to.until([&] { return to.log(id).received.size() == 2; }));
  EXPECT_THAT(to.log(id).received, ::testing::ElementsAre("half and half", "next"));
  std::string got;
  ASSERT_TRUE(to.spin_until([&] {
    got += raw.read();
    return got.size() >= framed("not written yet").size();
  }));
  EXPECT_EQ(got, framed("not written yet"));
  EXPECT_TRUE(std::holds_alternative<Gone>(from.transport.detach(id)));
  EXPECT_TRUE(from.log(id).received.empty());
}

TEST_F(StreamTransportTest, moves_in_the_middle_of_a_read_to_another_thread_in_order) {
  Side from;
  listen(from);
  AssociationId id{};
  RawPeer raw = connect_raw(from, id);
  constexpr std::size_t kMessages = 2000;
  std::string bytes;
  for (std::size_t i = 0; i < kMessages; ++i) bytes += framed(std::to_string(i));
  std::unique_ptr<DetachedAssociation> cargo;
  // The shard decides to move it while it is given the 100th message of one read.
  from.sink.on_received = [&](AssociationId, const Message& message) {
    if (text_of(message) != "99") return;
    auto outcome = from.transport.detach(id);
    ASSERT_TRUE(std::holds_alternative<Peeled>(outcome));
    cargo = std::move(std::get<Peeled>(outcome).cargo);
  };
  raw.write(bytes);
  ASSERT_TRUE(from.until([&] { return cargo != nullptr; }));
  for (int i = 0; i < 3; ++i) from.loop->run_once(false);
  EXPECT_EQ(from.log(id).received.size(), 100u);

  std::vector<std::string> received = from.log(id).received;
  bool complete = false;
  std::thread other([&, cargo = std::move(cargo)]() mutable {
    Side to;
    to.transport.adopt(std::move(cargo));
    complete = to.until([&] { return to.log(id).received.size() == kMessages - 100; });
    received.insert(received.end(), to.log(id).received.begin(), to.log(id).received.end());
  });
  other.join();
  ASSERT_TRUE(complete);
  for (std::size_t i = 0; i < kMessages; ++i) ASSERT_EQ(received[i], std::to_string(i));
}

TEST_F(StreamTransportTest, aborts_a_connection_whose_cargo_is_dropped) {
  Side side;
  connect_both(side);
  { auto outcome = side.transport.detach(near_); }
  ASSERT_TRUE(side.until([&] { return side.log(far_).down.has_value(); }));
  EXPECT_EQ(side.log(far_).down->cause, DownCause::peer_abort);
  EXPECT_FALSE(side.log(near_).down.has_value());
}

TEST_F(StreamTransportTest, can_be_closed_and_moved_from_inside_its_own_events) {
  Side side;
  connect_both(side);
  side.sink.on_received = [&](AssociationId id, const Message&) {
    if (id == far_) side.transport.find(far_)->close(CloseMode::abort);
  };
  ASSERT_EQ(side.send(near_, "one"), SendOutcome::accepted);
  ASSERT_EQ(side.send(near_, "two"), SendOutcome::accepted);
  ASSERT_TRUE(side.until([&] { return side.log(far_).down.has_value(); }));
  EXPECT_THAT(side.log(far_).received, ::testing::ElementsAre("one"));
}

TEST_F(StreamTransportTest, speaks_ipv6_and_listens_on_both_families_when_no_address_is_given) {
  Side side;
  EndpointConfig config = endpoint(true);
  config.addresses.clear();
  server_ = side.transport.open(config, framing_).value();
  ASSERT_TRUE(side.until([&] { return side.sink.port() != 0; }));
  port_ = side.sink.port();
  config.listening = false;
  client_ = side.transport.open(config, framing_).value();
  PeerConfig four = peer(), six = peer();
  six.addresses = {"::1"};
  const AssociationId by_four = side.connect(client_, four), by_six = side.connect(client_, six);
  ASSERT_TRUE(side.until([&] { return side.log(by_four).up && side.log(by_six).up; }));
  ASSERT_TRUE(side.until([&] { return side.sink.logs.size() == 4; }));
  EXPECT_THAT(side.log(by_six).up->remote_addresses, ::testing::ElementsAre("::1"));
  std::vector<std::string> seen;
  for (const auto& [id, log] : side.sink.logs) {
    if (!log.up->initiator) seen.push_back(log.up->remote_addresses.front());
  }
  EXPECT_THAT(seen, ::testing::UnorderedElementsAre("127.0.0.1", "::1"));
}

}  // namespace
}  // namespace siglane::transport
