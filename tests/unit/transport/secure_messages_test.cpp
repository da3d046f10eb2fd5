// SecureChannel in messages mode: DTLS as RFC 6083 puts it on SCTP, over pipes that lose nothing.
#include <algorithm>
#include <array>
#include <deque>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "core/random.h"
#include "tests/support/certificates.h"
#include "transport/secure/channel.h"

namespace siglane::transport {
namespace {

using siglane::testing::Authority;
using siglane::testing::CertificateOptions;
using siglane::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;
using State = SecureChannel::State;
using Role = SecureChannel::Role;

using Packet = std::vector<std::byte>;

class SecureMessagesTest : public ::testing::Test {
 protected:
  std::shared_ptr<const TlsContext> context(const std::string& host, unsigned padding_names = 0) {
    TlsConfig config = authority_.issue_files(
        directory_, host, {.dns_names = {host}, .padding_names = padding_names});
    config.ciphers = ciphers_;
    auto loaded = TlsContext::load(config, TlsMode::messages);
    EXPECT_TRUE(loaded) << loaded.error().what;
    return *loaded;
  }
  void begin(unsigned padding_names = 0, const std::string& expected = "stp.example") {
    client_ = std::make_unique<SecureChannel>(context("asp.example", padding_names),
                                              Role::connecting, expected);
    server_ =
        std::make_unique<SecureChannel>(context("stp.example", padding_names), Role::accepting);
  }
  // All that one has to send, message by message.
  std::deque<Packet> packets_of(SecureChannel& channel) {
    std::deque<Packet> packets;
    while (!channel.output().empty()) {
      const Bytes message = channel.output();
      const auto record = dtls_record_at(message);
      EXPECT_TRUE(record && record->bytes == message.size()) << "a message is one record";
      packets.emplace_back(message.begin(), message.end());
      channel.sent(message.size());
    }
    return packets;
  }
  std::size_t carry(SecureChannel& from, SecureChannel& to) {
    const auto packets = packets_of(from);
    for (const Packet& packet : packets) to.receive(packet);
    return packets.size();
  }
  void handshake() {
    while (carry(*client_, *server_) + carry(*server_, *client_) > 0) {
    }
  }
  void open(unsigned padding_names = 0) {
    begin(padding_names);
    handshake();
    ASSERT_EQ(client_->state(), State::open) << client_->problem();
    ASSERT_EQ(server_->state(), State::open) << server_->problem();
  }
  static std::vector<std::string> read_all(SecureChannel& channel) {
    std::vector<std::string> all;
    std::array<std::byte, SecureChannel::kMessageBytesMax> space;
    while (const std::size_t got = channel.read(space)) {
      all.emplace_back(as_text(Bytes(space).first(got)));
    }
    return all;
  }

  TemporaryDirectory directory_;
  Authority authority_;
  std::string ciphers_;
  std::unique_ptr<SecureChannel> client_, server_;
};

TEST_F(SecureMessagesTest, open_when_both_certificates_are_good) {
  open();
  EXPECT_THAT(client_->peer_names(), Optional(ElementsAre("stp.example")));
  EXPECT_THAT(server_->peer_names(), Optional(ElementsAre("asp.example")));
  EXPECT_THAT(client_->description(), HasSubstr("DTLSv1.2"));
}

TEST_F(SecureMessagesTest, open_with_certificates_larger_than_any_datagram) {
  open(1200);
}

TEST_F(SecureMessagesTest, refuse_a_certificate_of_somebody_else) {
  begin(0, "hss.example");
  handshake();
  EXPECT_EQ(client_->problem(),
            "the peer's certificate is that of stp.example, not of hss.example");
  EXPECT_EQ(server_->state(), State::failed);
}

TEST_F(SecureMessagesTest, keep_their_boundaries) {
  open();
  for (const std::size_t size : {1u, 2u, 1400u, 9000u, 16384u}) {
    const std::string text(size, 'x');
    ASSERT_TRUE(client_->write(as_bytes(text)));
    ASSERT_TRUE(client_->write(as_bytes("end")));
    EXPECT_EQ(carry(*client_, *server_), 2u);
    EXPECT_THAT(read_all(*server_), ElementsAre(text, "end")) << size;
  }
}

TEST_F(SecureMessagesTest, are_refused_when_they_do_not_fit_a_record) {
  open();
  EXPECT_FALSE(client_->write(as_bytes(std::string(16385, 'x'))));
  EXPECT_EQ(client_->state(), State::open);
  ASSERT_TRUE(client_->write(as_bytes("small")));
  carry(*client_, *server_);
  EXPECT_THAT(read_all(*server_), ElementsAre("small"));
}

TEST_F(SecureMessagesTest, may_come_several_to_a_packet) {
  open();
  Packet all;
  for (int i = 0; i < 32; ++i) {
    ASSERT_TRUE(client_->write(as_bytes(std::string(5000, 'x'))));
    for (const Packet& packet : packets_of(*client_)) {
      all.insert(all.end(), packet.begin(), packet.end());
    }
  }
  server_->receive(all);
  EXPECT_EQ(read_all(*server_).size(), 32u);
}

TEST_F(SecureMessagesTest, leave_nothing_behind_once_they_are_read) {
  open();
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(client_->write(as_bytes("small")));
    carry(*client_, *server_);
    ASSERT_THAT(read_all(*server_), ElementsAre("small"));
  }
  EXPECT_LT(client_->kept_bytes(), 10'000u);
  EXPECT_LT(server_->kept_bytes(), 10'000u);
}

TEST_F(SecureMessagesTest, have_one_secret_at_both_ends_for_sctp_auth) {
  open();
  std::array<std::byte, kSctpAuthKeyBytes> ours{}, theirs{}, zeros{};
  ASSERT_TRUE(client_->export_key(kDtlsOverSctpLabel, ours));
  ASSERT_TRUE(server_->export_key(kDtlsOverSctpLabel, theirs));
  EXPECT_EQ(ours, theirs);
  EXPECT_NE(ours, zeros);
  const auto first = ours;
  open();
  ASSERT_TRUE(client_->export_key(kDtlsOverSctpLabel, ours));
  EXPECT_NE(ours, first);
}

// The peer's last records may be authenticated by it already.
TEST_F(SecureMessagesTest, have_their_secret_before_the_last_records_of_the_handshake) {
  begin();
  std::array<std::byte, kSctpAuthKeyBytes> ours{}, theirs{};
  EXPECT_FALSE(client_->export_key(kDtlsOverSctpLabel, ours));
  carry(*client_, *server_);
  EXPECT_FALSE(server_->export_key(kDtlsOverSctpLabel, theirs));
  carry(*server_, *client_);
  ASSERT_TRUE(client_->export_key(kDtlsOverSctpLabel, ours));
  for (const Packet& packet : packets_of(*client_)) {
    if (std::to_integer<std::uint8_t>(packet.front()) == DtlsRecord::kChangeCipherSpec) break;
    server_->receive(packet);
  }
  ASSERT_EQ(server_->state(), State::handshaking);
  ASSERT_TRUE(server_->export_key(kDtlsOverSctpLabel, theirs));
  EXPECT_EQ(ours, theirs);
}

// The stack gives back what it could not send, and in clear it is of use.
TEST_F(SecureMessagesTest, can_be_read_again_by_who_has_sealed_them) {
  for (const char* ciphers : {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                              "ECDHE-ECDSA-CHACHA20-POLY1305"}) {
    ciphers_ = ciphers;
    open();
    ASSERT_THAT(client_->description(), HasSubstr(ciphers));
    for (SecureChannel* channel : {client_.get(), server_.get()}) {
      for (const std::size_t size : {1u, 100u, 16384u}) {
        const std::string text(size, 'x');
        ASSERT_TRUE(channel->write(as_bytes(text)));
        std::deque<Packet> packets = packets_of(*channel);
        Packet& packet = packets.front();
        const auto clear = channel->unseal(packet);
        ASSERT_TRUE(clear) << ciphers;
        EXPECT_EQ(as_text(*clear), text);
        packet.back() ^= std::byte{1};
        EXPECT_FALSE(channel->unseal(packet)) << "not what it has sealed";
        EXPECT_FALSE(channel->unseal(Bytes(packet).first(20)));
      }
    }
    ASSERT_TRUE(client_->write(as_bytes("for the server alone")));
    EXPECT_FALSE(server_->unseal(packets_of(*client_).front()));
    client_->close();
    EXPECT_FALSE(client_->unseal(packets_of(*client_).front())) << "an alert is no message";
  }
}

TEST_F(SecureMessagesTest, are_told_apart_by_the_tags_of_their_records) {
  open();
  std::vector<Packet> packets;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(client_->write(as_bytes(std::to_string(i))));
    packets.push_back(packets_of(*client_).front());
  }
  std::array<std::byte, SecureChannel::kMessageBytesMax> space;
  for (std::size_t i = packets.size(); i-- > 0;) {  // the last first
    server_->receive(packets[i], 7000 + i);
    while (const std::size_t got = server_->read(space)) {
      EXPECT_EQ(std::to_string(server_->tag() - 7000), as_text(Bytes(space).first(got)));
    }
  }
}

// Any order within an association's streams, far beyond DTLS's own window of 64.
TEST_F(SecureMessagesTest, are_all_read_whatever_their_order) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    open();
    std::vector<std::string> sent;
    std::vector<Packet> packets;
    for (int i = 0; i < 500; ++i) {
      sent.push_back(std::to_string(i));
      ASSERT_TRUE(client_->write(as_bytes(sent.back())));
      packets.push_back(packets_of(*client_).front());
    }
    Random random(seed);
    for (std::size_t i = packets.size(); i > 1; --i) {
      std::swap(packets[i - 1], packets[random.below(i)]);
    }
    std::vector<std::string> got;
    for (const Packet& packet : packets) {
      server_->receive(packet);
      for (std::string& text : read_all(*server_)) got.push_back(std::move(text));
    }
    EXPECT_EQ(server_->state(), State::open) << server_->problem() << ", seed " << seed;
    EXPECT_THAT(got, ::testing::UnorderedElementsAreArray(sent)) << "seed " << seed;
  }
}

// The client is done first and may send on any stream, before its Finished has come on stream 0.
TEST_F(SecureMessagesTest, may_overtake_the_end_of_the_handshake) {
  begin();
  std::deque<Packet> last_flight;
  while (client_->state() == State::handshaking || server_->state() == State::handshaking) {
    for (const Packet& packet : packets_of(*client_)) server_->receive(packet);
    last_flight = packets_of(*server_);
    if (server_->state() == State::open) break;
    for (const Packet& packet : last_flight) client_->receive(packet);
  }
  ASSERT_EQ(server_->state(), State::open);
  ASSERT_EQ(client_->state(), State::handshaking);
  ASSERT_TRUE(server_->write(as_bytes("early")));
  carry(*server_, *client_);
  EXPECT_THAT(read_all(*client_), ElementsAre());
  for (const Packet& packet : last_flight) client_->receive(packet);
  ASSERT_EQ(client_->state(), State::open) << client_->problem();
  EXPECT_THAT(read_all(*client_), ElementsAre("early"));
}

TEST_F(SecureMessagesTest, are_not_overtaken_by_the_peers_end) {
  open();
  ASSERT_TRUE(client_->write(as_bytes("last words")));
  const auto words = packets_of(*client_);
  client_->close();
  carry(*client_, *server_);
  EXPECT_THAT(read_all(*server_), ElementsAre());
  EXPECT_EQ(server_->state(), State::open);
  server_->receive(words.front());
  EXPECT_THAT(read_all(*server_), ElementsAre("last words"));
  EXPECT_EQ(server_->state(), State::closed);
}

TEST_F(SecureMessagesTest, end_the_channel_when_one_is_forged_or_comes_twice) {
  open();
  ASSERT_TRUE(client_->write(as_bytes("a request")));
  Packet packet = packets_of(*client_).front();
  server_->receive(packet);
  EXPECT_THAT(read_all(*server_), ElementsAre("a request"));
  server_->receive(packet);
  EXPECT_THAT(read_all(*server_), ElementsAre());
  EXPECT_EQ(server_->problem(), "a DTLS record came twice, or was forged");

  open();
  ASSERT_TRUE(client_->write(as_bytes("a request")));
  packet = packets_of(*client_).front();
  packet.back() ^= std::byte{1};
  server_->receive(packet);
  read_all(*server_);
  EXPECT_EQ(server_->state(), State::failed);
}

TEST_F(SecureMessagesTest, must_be_records) {
  begin();
  server_->receive(as_bytes("an ASP Up in clear"));
  EXPECT_THAT(server_->problem(), HasSubstr("does the peer speak DTLS?"));
}

TEST_F(SecureMessagesTest, never_go_out_a_second_time_by_themselves) {
  begin();
  EXPECT_EQ(packets_of(*client_).size(), 1u);
  client_->receive({});
  EXPECT_TRUE(client_->output().empty());
}

}  // namespace
}  // namespace siglane::transport
