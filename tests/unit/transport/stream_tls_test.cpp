// The stream transport with TLS, over loopback.
#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/support/certificates.h"
#include "tests/unit/transport/stream_side.h"
#include "transport/counters.h"

namespace siglane::transport {
namespace {

using siglane::testing::Authority;
using siglane::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

// A plain TCP peer.
class ClearPeer {
 public:
  explicit ClearPeer(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto address = SocketAddress::parse("127.0.0.1", port).value();
    EXPECT_EQ(::connect(fd_.get(), address.raw(), address.size()), 0);
  }
  void write(std::string_view bytes) {
    ASSERT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void close() { fd_.reset(); }

 private:
  FileDescriptor fd_;
};

// No part of it is like another.
std::string numbered(std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += std::to_string(text.size()) + ' ';
  text.resize(bytes);
  return text;
}

class StreamTlsTest : public ::testing::Test {
 protected:
  EndpointConfig endpoint(bool listening) {
    EndpointConfig config;
    config.name = listening ? "server" : "client";
    config.transport = TransportKind::tls;
    config.addresses = {"127.0.0.1"};
    config.listening = listening;
    config.limits = limits_;
    config.stream.handshake_timeout = handshake_timeout_;
    config.tls = listening ? server_tls_ : client_tls_;
    return config;
  }
  void listen(Side& side) {
    server_ = side.quietly([&] { return side.transport.open(endpoint(true), framing_); }).value();
    ASSERT_TRUE(side.until([&] { return side.sink.port() != 0; }));
    EXPECT_EQ(field(*side.sink.fact(kEndpointOpened), "transport"), "tls");
    port_ = side.sink.port();
  }
  PeerConfig peer() {
    PeerConfig config;
    config.name = "hss";
    config.tls_identity = "hss01.epc.example";
    config.addresses = {"127.0.0.1"};
    config.port = port_;
    return config;
  }
  void connect_both(Side& side) {
    listen(side);
    client_ = side.transport.open(endpoint(false), framing_).value();
    near_ = side.connect(client_, peer());
    ASSERT_TRUE(side.until([&] {
      far_ = side.sink.other_than({near_});
      return far_ != AssociationId::none && side.log(near_).up.has_value();
    }));
  }
  // One end on each side, so that one can stand still.
  void connect_apart(Side& server, Side& client) {
    listen(server);
    client_ = client.transport.open(endpoint(false), framing_).value();
    near_ = client.connect(client_, peer());
    ASSERT_TRUE(
        both(server, client, [&] { return !server.sink.logs.empty() && client.log(near_).up; }));
    far_ = server.sink.other_than({});
  }
  template <class Done>
  [[nodiscard]] static bool both(Side& one, Side& other, Done done) {
    return one.spin_until([&] {
      other.loop->run_once(false);
      return done();
    });
  }
  // Messages of many times what a channel may hold.
  void allow_large_messages() {
    limits_.message_bytes_max = limits_.send_queue_bytes_max = std::size_t{16} << 20;
  }
  // Until the socket takes no more: the other side stands still.
  [[nodiscard]] static bool write_until_blocked(Side& side) {
    return side.spin_until([&] { return side.counters.get(counter::send_blocked) > 0; });
  }
  std::string refusal(Side& side) {
    EXPECT_TRUE(side.until([&] { return !side.sink.refused.empty(); }));
    return side.sink.refused.empty() ? "" : side.sink.refused.front().detail;
  }

  TemporaryDirectory directory_;
  Authority authority_;
  TlsConfig server_tls_ = authority_.issue_files_for("hss01.epc.example", directory_, "server");
  TlsConfig client_tls_ = authority_.issue_files_for("mme01.epc.example", directory_, "client");
  ShortFraming framing_;
  AssociationLimits limits_;
  Duration handshake_timeout_ = 5s;
  EndpointId server_{}, client_{};
  std::uint16_t port_ = 0;
  AssociationId near_{}, far_{};
};

TEST_F(StreamTlsTest, comes_up_on_both_ends_and_says_what_the_certificates_name) {
  Side side;
  connect_both(side);
  EXPECT_THAT(side.log(near_).up->certificate_names, Optional(ElementsAre("hss01.epc.example")));
  EXPECT_THAT(side.log(far_).up->certificate_names, Optional(ElementsAre("mme01.epc.example")));
  EXPECT_EQ(side.transport.status(far_)->transport, TransportKind::tls);
}

TEST_F(StreamTlsTest, carries_thousands_of_messages_both_ways_in_order) {
  Side side;
  connect_both(side);
  constexpr std::size_t kMessages = 3000;
  for (std::size_t i = 0; i < kMessages; ++i) {
    const std::string text = std::to_string(i) + std::string(i % 700, 'x');
    ASSERT_EQ(side.send(near_, text), SendOutcome::accepted);
    ASSERT_EQ(side.send(far_, text), SendOutcome::accepted);
  }
  ASSERT_TRUE(side.until(
      [&] {
        return side.log(near_).received.size() == kMessages &&
               side.log(far_).received.size() == kMessages;
      },
      20s));
  for (std::size_t i = 0; i < kMessages; ++i) {
    const std::string text = std::to_string(i) + std::string(i % 700, 'x');
    ASSERT_EQ(side.log(near_).received[i], text);
    ASSERT_EQ(side.log(far_).received[i], text);
  }
}

TEST_F(StreamTlsTest, carries_messages_larger_than_a_record) {
  Side side;
  connect_both(side);
  const std::string large(60000, 'L');
  ASSERT_EQ(side.send(near_, large), SendOutcome::accepted);
  ASSERT_EQ(side.send(near_, "small"), SendOutcome::accepted);
  ASSERT_TRUE(side.until([&] { return side.log(far_).received.size() == 2; }));
  EXPECT_EQ(side.log(far_).received[0], large);
  EXPECT_EQ(side.log(far_).received[1], "small");
}

TEST_F(StreamTlsTest, carries_messages_larger_than_its_channel_may_hold_both_ways_in_order) {
  allow_large_messages();
  Side side;
  connect_both(side);
  const std::vector<std::string> sent = {"before", numbered(5 * SecureChannel::kOutputBytesMax),
                                         "between", numbered(2 * SecureChannel::kOutputBytesMax),
                                         "behind"};
  for (const std::string& text : sent) {
    ASSERT_EQ(side.send(near_, text), SendOutcome::accepted);
    ASSERT_EQ(side.send(far_, text), SendOutcome::accepted);
  }
  ASSERT_TRUE(side.until(
      [&] {
        return side.log(near_).received.size() == sent.size() &&
               side.log(far_).received.size() == sent.size();
      },
      20s));
  // Not EXPECT_EQ, which would print them.
  EXPECT_TRUE(side.log(near_).received == sent);
  EXPECT_TRUE(side.log(far_).received == sent);
  EXPECT_EQ(side.transport.status(near_)->queued_bytes, 0u);
}

TEST_F(StreamTlsTest, counts_residence_when_the_stack_has_all_of_a_message) {
  Side side;
  connect_both(side);
  EXPECT_EQ(side.transport.residence(near_), nullptr);
  ASSERT_EQ(side.send(near_, "hello", Loop::fresh_now()), SendOutcome::accepted);
  ASSERT_TRUE(side.until([&] { return side.log(far_).received.size() == 1; }));
  ASSERT_NE(side.transport.residence(near_), nullptr);
  EXPECT_EQ(side.transport.residence(near_)->count(), 1u);
}

TEST_F(StreamTlsTest, ends_well_with_close_notify_after_everything_was_written) {
  Side side;
  connect_both(side);
  const std::string text(50000, 'x');
  for (int i = 0; i < 10; ++i) ASSERT_EQ(side.send(near_, text), SendOutcome::accepted);
  side.close(near_, CloseMode::graceful);
  ASSERT_TRUE(side.until([&] { return side.log(near_).down && side.log(far_).down; }));
  EXPECT_EQ(side.log(far_).received.size(), 10u);
  EXPECT_EQ(side.log(far_).down->cause, DownCause::peer_shutdown);
  EXPECT_EQ(side.log(far_).down->detail, "");
  EXPECT_EQ(side.log(near_).down->cause, DownCause::local_close);
  EXPECT_EQ(side.log(near_).down->detail, "");
}

TEST_F(StreamTlsTest, a_peer_that_has_said_close_notify_still_gets_what_is_sent) {
  Side side;
  connect_both(side);
  side.sink.on_ending = nullptr;
  ASSERT_EQ(side.send(near_, "a request"), SendOutcome::accepted);
  side.close(near_, CloseMode::graceful);
  ASSERT_TRUE(side.until([&] { return side.log(far_).ending; }));
  EXPECT_FALSE(side.log(far_).down);
  ASSERT_EQ(side.send(far_, "its answer"), SendOutcome::accepted);
  side.close(far_, CloseMode::graceful);
  ASSERT_TRUE(side.until([&] { return side.log(near_).down && side.log(far_).down; }));
  EXPECT_THAT(side.log(near_).received, ElementsAre("its answer"));
  EXPECT_EQ(side.log(near_).down->cause, DownCause::local_close);
  EXPECT_EQ(side.log(far_).down->cause, DownCause::peer_shutdown);
  EXPECT_EQ(side.log(far_).down->detail, "");
}

TEST_F(StreamTlsTest, says_close_notify_behind_all_of_a_large_message) {
  allow_large_messages();
  Side side;
  connect_both(side);
  const std::string large = numbered(5 * SecureChannel::kOutputBytesMax);
  ASSERT_EQ(side.send(near_, large), SendOutcome::accepted);
  side.close(near_, CloseMode::graceful);
  ASSERT_TRUE(side.until([&] { return side.log(near_).down && side.log(far_).down; }));
  EXPECT_TRUE(side.log(far_).received == std::vector{large});
  EXPECT_EQ(side.log(far_).down->cause, DownCause::peer_shutdown);
  EXPECT_EQ(side.log(far_).down->detail, "");
  EXPECT_EQ(side.log(near_).down->cause, DownCause::local_close);
  EXPECT_EQ(side.log(near_).down->detail, "");
}

TEST_F(StreamTlsTest, refuses_a_server_that_is_not_the_configured_peer) {
  Side side;
  listen(side);
  client_ = side.transport.open(endpoint(false), framing_).value();
  PeerConfig other = peer();
  other.tls_identity = "hss02.epc.example";
  near_ = side.connect(client_, other);
  ASSERT_TRUE(side.until([&] { return side.log(near_).down.has_value(); }));
  EXPECT_FALSE(side.log(near_).up.has_value());
  EXPECT_EQ(side.log(near_).down->cause, DownCause::tls_failed);
  EXPECT_EQ(side.log(near_).down->detail,
            "TLS: the peer's certificate is that of hss01.epc.example, not of hss02.epc.example");
  EXPECT_THAT(refusal(side), HasSubstr("it does not accept our certificate"));
  EXPECT_EQ(side.sink.logs.size(), 1u) << "nobody hears of the accepted side";
}

TEST_F(StreamTlsTest, refuses_a_client_of_another_authority_before_anybody_hears_of_it) {
  const Authority stranger("a stranger");
  client_tls_ = stranger.issue_files_for("mme01.epc.example", directory_, "stranger");
  client_tls_.ca = server_tls_.ca;
  Side side;
  listen(side);
  client_ = side.transport.open(endpoint(false), framing_).value();
  near_ = side.connect(client_, peer());
  EXPECT_THAT(refusal(side), HasSubstr("mme01.epc.example"));
  // With TLS 1.3 the client has been up for a moment: it is told only after its last flight.
  ASSERT_TRUE(side.until([&] { return side.log(near_).down.has_value(); }));
  EXPECT_EQ(side.log(near_).down->cause, DownCause::tls_failed);
  EXPECT_THAT(side.log(near_).down->detail, HasSubstr("it does not trust who issued"));
  EXPECT_EQ(side.sink.logs.size(), 1u);
  EXPECT_EQ(side.counters.get(counter::tls_handshakes_failed), 1u);
}

TEST_F(StreamTlsTest, refuses_a_peer_that_speaks_in_clear) {
  Side side;
  listen(side);
  ClearPeer clear(port_);
  clear.write(framed("hello in clear"));
  EXPECT_THAT(refusal(side), HasSubstr("does the peer speak TLS?"));
  EXPECT_TRUE(side.sink.logs.empty());
}

TEST_F(StreamTlsTest, does_not_wait_for_a_handshake_for_ever) {
  handshake_timeout_ = 50ms;
  Side side;
  listen(side);
  ClearPeer silent(port_);
  EXPECT_EQ(refusal(side), "TLS: no handshake within handshake_timeout_ms");
  EXPECT_TRUE(side.sink.logs.empty());
}

TEST_F(StreamTlsTest, says_that_a_peer_left_during_the_handshake) {
  Side side;
  listen(side);
  ClearPeer leaving(port_);
  leaving.close();
  EXPECT_EQ(refusal(side), "TLS: the connection ended during the handshake");
}

// Carries bytes between a client and the server, until told to cut the stream.
class Middle {
 public:
  explicit Middle(std::uint16_t server_port)
      : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
        server_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto any = SocketAddress::parse("127.0.0.1", 0).value();
    EXPECT_EQ(::bind(listening_.get(), any.raw(), any.size()), 0);
    EXPECT_EQ(::listen(listening_.get(), 1), 0);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&bound), &size);
    port_ = SocketAddress::from(bound).port();
    const auto server = SocketAddress::parse("127.0.0.1", server_port).value();
    EXPECT_EQ(::connect(server_.get(), server.raw(), server.size()), 0);
  }
  std::uint16_t port() const { return port_; }
  void carry() {
    if (!client_.valid()) {
      client_ = FileDescriptor(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    pass(client_.get(), server_.get());
    pass(server_.get(), client_.get());
  }
  void cut() {
    server_.reset();
    client_.reset();
  }

 private:
  static void pass(int from, int to) {
    std::string bytes(65536, '\0');
    const ssize_t got = ::recv(from, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got > 0) {
      EXPECT_EQ(::send(to, bytes.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL), got);
    }
  }
  FileDescriptor listening_, server_, client_;
  std::uint16_t port_ = 0;
};

TEST_F(StreamTlsTest, tells_a_stream_that_was_cut_off_from_one_that_ended) {
  Side side;
  listen(side);
  client_ = side.transport.open(endpoint(false), framing_).value();
  Middle middle(port_);
  PeerConfig through = peer();
  through.port = middle.port();
  near_ = side.connect(client_, through);
  ASSERT_TRUE(side.spin_until([&] {
    middle.carry();
    far_ = side.sink.other_than({near_});
    return far_ != AssociationId::none && side.log(near_).up.has_value();
  }));
  middle.cut();
  ASSERT_TRUE(side.until([&] { return side.log(near_).down && side.log(far_).down; }));
  EXPECT_EQ(side.log(far_).down->cause, DownCause::peer_abort);
  EXPECT_EQ(side.log(far_).down->detail, "TLS: the stream was cut off, without close_notify");
}

TEST_F(StreamTlsTest, gives_back_what_the_socket_did_not_take) {
  Side side;
  connect_both(side);
  const std::string text(60000, 'x');
  // Nobody reads: the loop does not turn until the queue has more than the socket takes.
  std::size_t accepted = 0;
  while (side.send(near_, text) == SendOutcome::accepted) ++accepted;
  ASSERT_GT(accepted, 10u);
  side.close(near_, CloseMode::abort);
  ASSERT_TRUE(side.until([&] { return side.log(near_).down.has_value(); }));
  EXPECT_EQ(side.log(near_).unsent.size(), accepted);
}

TEST_F(StreamTlsTest, tells_of_a_message_given_back_whether_a_part_of_it_was_sent) {
  allow_large_messages();
  Side side, peer_side;
  connect_apart(side, peer_side);
  const std::string large = numbered(15 * SecureChannel::kOutputBytesMax);
  ASSERT_EQ(side.send(far_, large), SendOutcome::accepted);
  ASSERT_EQ(side.send(far_, "behind"), SendOutcome::accepted);
  ASSERT_TRUE(write_until_blocked(side));
  side.close(far_, CloseMode::abort);
  ASSERT_TRUE(side.until([&] { return side.log(far_).down.has_value(); }));
  const auto& unsent = side.log(far_).unsent;
  ASSERT_EQ(unsent.size(), 2u);
  EXPECT_TRUE(unsent[0] == std::pair(large, true));
  EXPECT_EQ(unsent[1], std::pair(std::string("behind"), false));
}

TEST_F(StreamTlsTest, moves_in_the_middle_of_a_message_that_it_writes) {
  allow_large_messages();
  Side from, to, peer_side;
  connect_apart(from, peer_side);
  const std::vector<std::string> sent = {"before", numbered(15 * SecureChannel::kOutputBytesMax),
                                         "behind"};
  for (const std::string& text : sent) ASSERT_EQ(from.send(far_, text), SendOutcome::accepted);
  ASSERT_TRUE(write_until_blocked(from));
  ASSERT_GE(from.transport.status(far_)->queued_messages, 2u);
  auto outcome = from.quietly([&] { return from.transport.detach(far_); });
  ASSERT_TRUE(std::holds_alternative<Peeled>(outcome));
  to.quietly([&] {
    to.transport.adopt(std::move(std::get<Peeled>(outcome).cargo));
    return 0;
  });
  ASSERT_TRUE(
      both(to, peer_side, [&] { return peer_side.log(near_).received.size() == sent.size(); }));
  EXPECT_TRUE(peer_side.log(near_).received == sent);
  EXPECT_TRUE(from.log(far_).unsent.empty());
  EXPECT_EQ(to.transport.status(far_)->queued_bytes, 0u);
}

TEST_F(StreamTlsTest, survives_a_move_to_another_thread_in_the_middle_of_a_read) {
  Side from, peer_side;
  connect_apart(from, peer_side);
  constexpr std::size_t kMessages = 2000;
  std::unique_ptr<DetachedAssociation> cargo;
  from.sink.on_received = [&](AssociationId, const Message& message) {
    if (text_of(message) != "99") return;
    ASSERT_EQ(from.transport.find(far_)->send(message_of("unsent when it moved")),
              SendOutcome::accepted);
    auto outcome = from.transport.detach(far_);
    ASSERT_TRUE(std::holds_alternative<Peeled>(outcome));
    cargo = std::move(std::get<Peeled>(outcome).cargo);
  };
  for (std::size_t i = 0; i < kMessages; ++i) {
    ASSERT_EQ(peer_side.send(near_, std::to_string(i)), SendOutcome::accepted);
  }
  ASSERT_TRUE(both(from, peer_side, [&] { return cargo != nullptr; }));
  EXPECT_EQ(from.log(far_).received.size(), 100u);

  std::vector<std::string> received = from.log(far_).received;
  std::atomic<bool> answered{false};
  bool complete = false;
  std::thread other([&, cargo = std::move(cargo)]() mutable {
    Side to;
    to.transport.adopt(std::move(cargo));
    complete =
        to.spin_until([&] { return to.log(far_).received.size() == kMessages - 100 && answered; });
    received.insert(received.end(), to.log(far_).received.begin(), to.log(far_).received.end());
  });
  answered = peer_side.spin_until([&] { return !peer_side.log(near_).received.empty(); });
  other.join();
  ASSERT_TRUE(complete);
  ASSERT_EQ(received.size(), kMessages);
  for (std::size_t i = 0; i < kMessages; ++i) ASSERT_EQ(received[i], std::to_string(i));
  EXPECT_THAT(peer_side.log(near_).received, ElementsAre("unsent when it moved"));
}

TEST_F(StreamTlsTest, can_be_closed_and_moved_at_its_first_event) {
  Side side;
  listen(side);
  client_ = side.transport.open(endpoint(false), framing_).value();
  side.sink.on_received = [&](AssociationId id, const Message&) {
    if (id != near_) side.transport.find(id)->close(CloseMode::abort);
  };
  near_ = side.connect(client_, peer());
  ASSERT_TRUE(side.until([&] { return side.log(near_).up.has_value(); }));
  ASSERT_EQ(side.send(near_, "one"), SendOutcome::accepted);
  ASSERT_EQ(side.send(near_, "two"), SendOutcome::accepted);
  ASSERT_TRUE(side.until([&] { return side.log(near_).down.has_value(); }));
  EXPECT_THAT(side.log(side.sink.other_than({near_})).received, ElementsAre("one"));
}

TEST_F(StreamTlsTest, serves_new_handshakes_with_renewed_certificates) {
  Side side;
  connect_both(side);
  const siglane::testing::Credentials renewed =
      authority_.issue({.dns_names = {"hss01.epc.example", "hss.epc.example"}});
  directory_.write("server.crt", renewed.certificate);
  directory_.write("server.key", renewed.key);
  side.sink.facts.clear();
  side.reconfigure(server_, endpoint(true));
  ASSERT_TRUE(side.until([&] { return side.sink.fact(kNotice) != nullptr; }));
  EXPECT_THAT(field(*side.sink.fact(kNotice), "text"),
              HasSubstr("endpoint server: from now on the certificate of hss01.epc.example, "
                        "hss.epc.example, good until"));
  const AssociationId again = side.connect(client_, peer());
  ASSERT_TRUE(side.until([&] { return side.log(again).up.has_value(); }));
  EXPECT_THAT(side.log(again).up->certificate_names,
              Optional(ElementsAre("hss01.epc.example", "hss.epc.example")));
  // The one of before goes on.
  ASSERT_EQ(side.send(near_, "still here"), SendOutcome::accepted);
  ASSERT_TRUE(side.until([&] { return side.log(far_).received.size() == 1; }));
}

TEST_F(StreamTlsTest, keeps_its_certificate_when_the_new_one_cannot_be_loaded) {
  Side side;
  listen(side);
  directory_.write("server.key", "half a key");
  side.sink.facts.clear();
  side.reconfigure(server_, endpoint(true));
  ASSERT_TRUE(side.until([&] { return side.sink.fact(kNotice) != nullptr; }));
  EXPECT_THAT(field(*side.sink.fact(kNotice), "text"),
              HasSubstr("endpoint server: kept the certificate it had: key file " +
                        directory_.path("server.key")));
  client_ = side.transport.open(endpoint(false), framing_).value();
  near_ = side.connect(client_, peer());
  ASSERT_TRUE(side.until([&] { return side.log(near_).up.has_value(); }));
}

TEST_F(StreamTlsTest, serves_new_handshakes_with_other_files) {
  Side side;
  connect_both(side);
  server_tls_ = authority_.issue_files(directory_, "another",
                                       {.dns_names = {"hss01.epc.example", "hss02.epc.example"}});
  side.reconfigure(server_, endpoint(true));
  const AssociationId again = side.connect(client_, peer());
  ASSERT_TRUE(side.until([&] { return side.log(again).up.has_value(); }));
  EXPECT_THAT(side.log(again).up->certificate_names,
              Optional(ElementsAre("hss01.epc.example", "hss02.epc.example")));
}

TEST_F(StreamTlsTest, does_not_open_an_endpoint_without_a_usable_certificate) {
  Side side;
  server_tls_.key = directory_.path("absent.key");
  EXPECT_EQ(side.transport.open(endpoint(true), framing_).error().what,
            "endpoint server: key file " + server_tls_.key + ": No such file or directory");
}

}  // namespace
}  // namespace siglane::transport
