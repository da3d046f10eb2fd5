#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/component/usrsctp_fixture.h"
#include "tests/support/certificates.h"

// DTLS over SCTP (RFC 6083) on the stack in this process.
namespace siglane::transport {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

constexpr const char* kServer = "stp.example";
constexpr const char* kClient = "asp.example";

class UsrsctpDtlsTest : public UsrsctpTest {
 protected:
  UsrsctpDtlsTest() {
    tls_[true] = authority_.issue_files_for(kServer, directory_, "server");
    tls_[false] = authority_.issue_files_for(kClient, directory_, "client");
    sctp_.handshake_timeout = 5s;
  }
  void open_both() {
    server_ = open(config("server", 5000, 29101, true));
    client_ = open(config("client", 5001, 29102, false));
  }
  PeerConfig server_peer() {
    PeerConfig config = peer(5000, 29101);
    config.tls_identity = kServer;
    return config;
  }
  void join() {
    start();
    open_both();
    near_ = connect(client_, server_peer());
    ASSERT_TRUE(until([&] {
      far_ = other_than({near_});
      return (log(near_).up && far_ != AssociationId::none) || log(near_).down;
    }));
    ASSERT_FALSE(log(near_).down) << log(near_).down->detail;
  }
  std::vector<std::string> refused() const {
    std::vector<std::string> why;
    for (const auto& [about, one] : sink_.facts) {
      if (const auto* fact = std::get_if<fact::PeerRefused>(&one)) why.push_back(fact->why);
    }
    return why;
  }
  // Neither end is up in the eyes of who is above it; what the client hears.
  AssociationDown fail_to_connect() {
    near_ = connect(client_, server_peer());
    EXPECT_TRUE(until([&] { return log(near_).down.has_value(); }));
    EXPECT_FALSE(log(near_).up);
    return log(near_).down.value_or(AssociationDown{});
  }

  siglane::testing::TemporaryDirectory directory_;
  siglane::testing::Authority authority_;
};

TEST_F(UsrsctpDtlsTest, is_up_when_both_have_shown_who_they_are) {
  join();
  EXPECT_THAT(log(near_).up->certificate_names, Optional(ElementsAre(kServer)));
  EXPECT_THAT(log(far_).up->certificate_names, Optional(ElementsAre(kClient)));
  EXPECT_EQ(transport_->status(near_)->transport, TransportKind::usrsctp);
}

TEST_F(UsrsctpDtlsTest, carries_messages_both_ways_with_stream_and_protocol) {
  join();
  std::vector<std::pair<std::uint16_t, PayloadProtocol>> seen;
  sink_.on_received = [&](AssociationId id, const Message& message) {
    seen.emplace_back(static_cast<std::uint16_t>(message.stream), message.protocol);
    if (id != far_) return;
    Message reply = message;
    reply.protocol = PayloadProtocol::diameter;
    EXPECT_EQ(transport_->find(far_)->send(std::move(reply)), SendOutcome::accepted);
  };
  ASSERT_EQ(send(near_, "hello", 3), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return seen.size() == 2; }));
  EXPECT_THAT(seen, ElementsAre(std::pair(std::uint16_t{3}, PayloadProtocol::m3ua),
                                std::pair(std::uint16_t{3}, PayloadProtocol::diameter)));
  EXPECT_EQ(transport_->residence(far_)->count(), 1u);
}

TEST_F(UsrsctpDtlsTest, refuses_what_does_not_fit_a_record_and_goes_on) {
  join();
  EXPECT_EQ(send(near_, std::string(16385, 'x')), SendOutcome::refused);
  EXPECT_EQ(counters_.get(Counter::tls_messages_too_long), 1u);
  EXPECT_EQ(send(near_, std::string(16384, 'x')), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return log(far_).received.size() == 1; }));
  EXPECT_EQ(log(far_).received.front().size(), 16384u);
}

TEST_F(UsrsctpDtlsTest, closes_on_a_message_over_the_limit_in_clear) {
  limits_.message_bytes_max = 1000;
  join();
  ASSERT_EQ(send(near_, std::string(1000, 'x')), SendOutcome::accepted);
  ASSERT_EQ(send(near_, std::string(1001, 'x')), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return log(far_).down && log(near_).down; }));
  EXPECT_EQ(log(far_).received.size(), 1u);
  EXPECT_EQ(log(far_).down->cause, DownCause::protocol_error);
}

TEST_F(UsrsctpDtlsTest, closes_gracefully_only_after_everything_was_delivered) {
  join();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(send(near_, std::to_string(i)), SendOutcome::accepted);
  }
  close(near_, CloseMode::graceful);
  ASSERT_TRUE(until([&] { return log(near_).down && log(far_).down; }));
  ASSERT_EQ(log(far_).received.size(), 1000u);
  for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(log(far_).received[i], std::to_string(i));
  EXPECT_EQ(log(near_).down->cause, DownCause::local_close);
  EXPECT_EQ(log(far_).down->cause, DownCause::peer_shutdown) << log(far_).down->detail;
}

TEST_F(UsrsctpDtlsTest, gives_back_in_clear_what_was_queued) {
  join();
  ASSERT_EQ(send(near_, "never leaves"), SendOutcome::accepted);
  close(near_, CloseMode::abort);
  ASSERT_TRUE(until([&] { return log(near_).down && log(far_).down; }));
  EXPECT_THAT(log(near_).unsent, ElementsAre("never leaves"));
  EXPECT_EQ(log(far_).down->cause, DownCause::peer_abort);
}

TEST_F(UsrsctpDtlsTest, does_not_connect_to_somebody_else) {
  tls_[true] = authority_.issue_files_for("other.example", directory_, "other");
  start();
  open_both();
  const AssociationDown down = fail_to_connect();
  EXPECT_EQ(down.cause, DownCause::tls_failed);
  EXPECT_EQ(down.detail,
            "DTLS: the peer's certificate is that of other.example, not of stp.example");
  ASSERT_TRUE(until([&] { return !refused().empty(); }));
  EXPECT_THAT(refused(), ElementsAre(HasSubstr("DTLS: the peer refused")));
  EXPECT_EQ(sink_.logs.size(), 1u) << "nobody heard of the server's end";
  EXPECT_EQ(counters_.get(Counter::tls_handshakes_failed), 2u);
}

TEST_F(UsrsctpDtlsTest, refuses_a_peer_that_speaks_in_clear) {
  tls_[true]->require_sctp_auth = false;
  tls_[false].reset();
  start();
  open_both();
  near_ = connect(client_, server_peer());
  ASSERT_TRUE(until([&] { return log(near_).up.has_value(); }));
  ASSERT_EQ(send(near_, "an ASP Up in clear"), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return log(near_).down && !refused().empty(); }));
  EXPECT_EQ(log(near_).down->cause, DownCause::peer_abort);
  EXPECT_THAT(refused(), ElementsAre(HasSubstr("does the peer speak DTLS?")));
  EXPECT_EQ(sink_.logs.size(), 1u);
}

TEST_F(UsrsctpDtlsTest, gives_up_on_a_peer_that_says_nothing) {
  sctp_.handshake_timeout = 200ms;
  tls_[true]->require_sctp_auth = false;
  tls_[false].reset();
  start();
  open_both();
  near_ = connect(client_, server_peer());
  ASSERT_TRUE(until([&] { return !refused().empty(); }));
  EXPECT_THAT(refused(), ElementsAre("DTLS: no handshake within handshake_timeout_ms"));
}

TEST_F(UsrsctpDtlsTest, does_not_go_on_in_clear_with_a_peer_that_has_no_dtls) {
  sctp_.handshake_timeout = 200ms;
  tls_[false]->require_sctp_auth = false;
  tls_[true].reset();
  start();
  open_both();
  const AssociationDown down = fail_to_connect();
  EXPECT_EQ(down.cause, DownCause::tls_failed);
  EXPECT_EQ(down.detail, "DTLS: no handshake within handshake_timeout_ms");
}

TEST_F(UsrsctpDtlsTest, refuses_a_peer_whose_chunks_are_not_authenticated) {
  tls_[false].reset();
  start();
  open_both();
  near_ = connect(client_, server_peer());
  ASSERT_TRUE(until([&] { return log(near_).down && !refused().empty(); }));
  EXPECT_THAT(refused(), ElementsAre(HasSubstr("SCTP-AUTH, RFC 4895")));
}

TEST_F(UsrsctpDtlsTest, makes_one_secure_association_of_two_connects_at_once) {
  start();
  server_ = open(config("server", 5000, 29101, true));
  EndpointConfig listens_too = config("client", 5001, 29102, true);
  listens_too.tls = tls_[false];
  client_ = open(listens_too);
  near_ = connect(client_, server_peer());
  PeerConfig back = peer(5001, 29102);
  back.tls_identity = kClient;
  far_ = connect(server_, back);
  ASSERT_TRUE(until([&] { return log(near_).up && log(far_).up; }));
  EXPECT_THAT(log(near_).up->certificate_names, Optional(ElementsAre(kServer)));
  EXPECT_THAT(log(far_).up->certificate_names, Optional(ElementsAre(kClient)));
  ASSERT_EQ(send(near_, "hello"), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return log(far_).received.size() == 1; }));
}

TEST_F(UsrsctpDtlsTest, names_the_file_that_it_cannot_read) {
  tls_[true]->key = directory_.path("absent.key");
  start();
  const auto opened = transport_->open(config("server", 5000, 29101, true), framing_);
  ASSERT_FALSE(opened.has_value());
  EXPECT_THAT(opened.error().what, AllOf(HasSubstr("endpoint server: key file"),
                                         HasSubstr("absent.key: No such file or directory")));
}

TEST_F(UsrsctpDtlsTest, shows_a_new_certificate_after_a_reload) {
  join();
  close(near_, CloseMode::graceful);
  ASSERT_TRUE(until([&] { return log(near_).down && log(far_).down; }));
  authority_.issue_files_for("renewed.example", directory_, "server");
  transport_->reload_credentials();
  PeerConfig renewed = server_peer();
  renewed.tls_identity = "renewed.example";
  const AssociationId again = connect(client_, renewed);
  ASSERT_TRUE(until([&] { return log(again).up.has_value(); }));
  EXPECT_THAT(log(again).up->certificate_names, Optional(ElementsAre("renewed.example")));
}

TEST_F(UsrsctpDtlsTest, keeps_an_association_as_it_is_when_it_is_peeled_off) {
  join();
  ASSERT_EQ(send(near_, "before"), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return log(far_).received.size() == 1; }));
  ASSERT_TRUE(peel(far_));
  ASSERT_EQ(send(near_, "after"), SendOutcome::accepted);
  ASSERT_EQ(send(far_, "and back"), SendOutcome::accepted);
  ASSERT_TRUE(
      until([&] { return log(far_).received.size() == 2 && log(near_).received.size() == 1; }));
  EXPECT_THAT(log(far_).received, ElementsAre("before", "after"));
  close(far_, CloseMode::graceful);
  ASSERT_TRUE(until([&] { return log(near_).down && log(far_).down; }));
  EXPECT_EQ(log(near_).down->cause, DownCause::peer_shutdown) << log(near_).down->detail;
}

}  // namespace
}  // namespace siglane::transport
