#include <array>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "tests/support/certificates.h"
#include "transport/secure/channel.h"

namespace siglane::transport {
namespace {

using siglane::testing::Authority;
using siglane::testing::CertificateOptions;
using siglane::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;
using State = SecureChannel::State;
using Role = SecureChannel::Role;

constexpr const char* kClientHost = "mme01.epc.example";
constexpr const char* kServerHost = "hss01.epc.example";

class SecureChannelTest : public ::testing::Test {
 protected:
  using ContextPtr = std::shared_ptr<const TlsContext>;

  ContextPtr context(const CertificateOptions& options,
                     const std::function<void(TlsConfig&)>& change = {}) {
    return context_of(authority_, options, change);
  }
  ContextPtr context_of(const Authority& authority, const CertificateOptions& options,
                        const std::function<void(TlsConfig&)>& change = {}) {
    TlsConfig config =
        authority.issue_files(directory_, "host" + std::to_string(hosts_++), options);
    if (change) change(config);
    auto loaded = TlsContext::load(config);
    EXPECT_TRUE(loaded) << loaded.error().what;
    return *loaded;
  }

  void begin(const std::string& expected_by_client = kServerHost) {
    if (!client_context_) client_context_ = context({.dns_names = {kClientHost}});
    if (!server_context_) server_context_ = context({.dns_names = {kServerHost}});
    client_ =
        std::make_unique<SecureChannel>(client_context_, Role::connecting, expected_by_client);
    server_ = std::make_unique<SecureChannel>(server_context_, Role::accepting);
  }

  // Moves what one has to send to the other, `most` bytes at a time.
  static bool carry(SecureChannel& from, SecureChannel& to, std::size_t most = 65536) {
    const bool any = !from.output().empty();
    while (!from.output().empty()) {
      const Bytes part = from.output().first(std::min(most, from.output().size()));
      to.receive(part);
      from.sent(part.size());
    }
    return any;
  }
  void handshake(std::size_t most = 65536) {
    while (carry(*client_, *server_, most) || carry(*server_, *client_, most)) {
    }
  }
  void open() {
    begin();
    handshake();
    ASSERT_EQ(client_->state(), State::open) << client_->problem();
    ASSERT_EQ(server_->state(), State::open) << server_->problem();
  }

  static std::string read_all(SecureChannel& channel) {
    std::string all;
    std::array<std::byte, 20000> space;
    while (const std::size_t got = channel.read(space)) all += as_text(Bytes(space).first(got));
    return all;
  }

  // A client of OpenSSL alone, that has none, with server_.
  void try_without_certificate() {
    SSL_CTX* bare = SSL_CTX_new(TLS_client_method());
    SSL* ssl = SSL_new(bare);
    BIO* to_ssl = BIO_new(BIO_s_mem());
    BIO* from_ssl = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, to_ssl, from_ssl);
    SSL_set_connect_state(ssl);
    for (int i = 0; i < 10; ++i) {
      SSL_do_handshake(ssl);
      std::array<std::byte, 20000> space;
      if (const int got = BIO_read(from_ssl, space.data(), space.size()); got > 0) {
        server_->receive(Bytes(space).first(static_cast<std::size_t>(got)));
      }
      const Bytes out = server_->output();
      BIO_write(to_ssl, out.data(), static_cast<int>(out.size()));
      server_->sent(out.size());
    }
    SSL_free(ssl);
    SSL_CTX_free(bare);
  }

  TemporaryDirectory directory_;
  Authority authority_;
  int hosts_ = 0;
  ContextPtr client_context_, server_context_;
  std::unique_ptr<SecureChannel> client_, server_;
};

TEST_F(SecureChannelTest, opens_when_both_certificates_are_good) {
  open();
  EXPECT_THAT(client_->peer_names(), Optional(ElementsAre(kServerHost)));
  EXPECT_THAT(server_->peer_names(), Optional(ElementsAre(kClientHost)));
  EXPECT_EQ(client_->description(), "TLSv1.3 TLS_AES_256_GCM_SHA384");
}

TEST_F(SecureChannelTest, carries_bytes_both_ways_and_never_in_clear) {
  open();
  ASSERT_TRUE(client_->write(as_bytes("a request")));
  EXPECT_THAT(std::string(as_text(client_->output())), ::testing::Not(HasSubstr("request")));
  carry(*client_, *server_);
  EXPECT_EQ(read_all(*server_), "a request");
  ASSERT_TRUE(server_->write(as_bytes("an answer")));
  carry(*server_, *client_);
  EXPECT_EQ(read_all(*client_), "an answer");
}

TEST_F(SecureChannelTest, takes_its_input_byte_by_byte) {
  begin();
  handshake(1);
  ASSERT_EQ(server_->state(), State::open) << server_->problem();
  const std::string text(40000, 'x');
  ASSERT_TRUE(client_->write(as_bytes(text)));
  std::string got;
  while (!client_->output().empty()) {
    server_->receive(client_->output().first(1));
    client_->sent(1);
    got += read_all(*server_);
  }
  EXPECT_EQ(got, text);
}

TEST_F(SecureChannelTest, decrypts_no_more_than_one_record_ahead_of_its_owner) {
  open();
  ASSERT_TRUE(client_->write(as_bytes(std::string(100000, 'x'))));
  carry(*client_, *server_);
  std::array<std::byte, 20000> space;
  EXPECT_EQ(server_->read(space), SecureChannel::kMessageBytesMax);
  EXPECT_EQ(read_all(*server_).size(), 100000 - SecureChannel::kMessageBytesMax);
}

TEST_F(SecureChannelTest, sends_nothing_for_no_bytes) {
  open();
  EXPECT_TRUE(client_->write({}));
  EXPECT_TRUE(client_->output().empty());
}

TEST_F(SecureChannelTest, refuses_to_write_before_the_handshake_is_done) {
  begin();
  EXPECT_FALSE(client_->write(as_bytes("too early")));
  EXPECT_EQ(client_->state(), State::handshaking);
}

TEST_F(SecureChannelTest, reports_the_end_that_the_peer_announced) {
  open();
  ASSERT_TRUE(client_->write(as_bytes("last words")));
  client_->close();
  EXPECT_FALSE(client_->write(as_bytes("more")));
  carry(*client_, *server_);
  EXPECT_EQ(read_all(*server_), "last words");
  EXPECT_EQ(server_->state(), State::closed);
  server_->close();
  carry(*server_, *client_);
  read_all(*client_);
  EXPECT_EQ(client_->state(), State::closed);
}

TEST_F(SecureChannelTest, writes_after_the_peers_end_with_tls_1_3_and_not_with_tls_1_2) {
  for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    server_context_ = context({.dns_names = {kServerHost}});
    SSL_CTX_set_max_proto_version(server_context_->raw(), version);
    open();
    EXPECT_FALSE(server_->may_write_after_close()) << "it is not closed";
    client_->close();
    carry(*client_, *server_);
    read_all(*server_);
    ASSERT_EQ(server_->state(), State::closed);
    const bool may = version == TLS1_3_VERSION;
    EXPECT_EQ(server_->may_write_after_close(), may);
    EXPECT_EQ(server_->write(as_bytes("the answer")), may);
    carry(*server_, *client_);
    EXPECT_EQ(read_all(*client_), may ? "the answer" : "");
    server_->close();
    EXPECT_FALSE(server_->may_write_after_close());
  }
}

TEST_F(SecureChannelTest, says_its_own_end_once) {
  open();
  client_->close();
  carry(*client_, *server_);
  client_->close();
  EXPECT_TRUE(client_->output().empty());
}

TEST_F(SecureChannelTest, ignores_what_comes_after_the_peers_end) {
  open();
  client_->close();
  carry(*client_, *server_);
  read_all(*server_);
  server_->receive(as_bytes("garbage"));
  EXPECT_EQ(read_all(*server_), "");
  EXPECT_EQ(server_->state(), State::closed);
}

// --- Who it is -------------------------------------------------------------------------------

TEST_F(SecureChannelTest, refuses_a_certificate_of_somebody_else) {
  begin("hss02.epc.example");
  handshake();
  EXPECT_EQ(client_->state(), State::failed);
  EXPECT_EQ(client_->problem(),
            "the peer's certificate is that of hss01.epc.example, not of hss02.epc.example");
  EXPECT_EQ(server_->state(), State::failed);
  EXPECT_THAT(server_->problem(), HasSubstr("it does not accept our certificate"));
}

TEST_F(SecureChannelTest, refuses_a_certificate_of_an_unknown_authority) {
  const Authority other("another authority");
  client_context_ = context_of(other, {.dns_names = {kClientHost}}, [this](TlsConfig& config) {
    config.ca = directory_.write("first.ca", authority_.certificate());
  });
  begin();
  handshake();
  EXPECT_EQ(server_->state(), State::failed);
  EXPECT_THAT(server_->problem(), AllOf(HasSubstr(kClientHost), HasSubstr("is refused"),
                                        HasSubstr("local issuer certificate")));
  read_all(*client_);
  EXPECT_EQ(client_->state(), State::failed);
  EXPECT_EQ(client_->problem(),
            "the peer refused: unknown CA (it does not trust who issued our certificate)");
}

TEST_F(SecureChannelTest, refuses_a_certificate_that_has_expired) {
  server_context_ = context({.dns_names = {kServerHost}, .from = -48h, .until = -24h});
  begin();
  handshake();
  EXPECT_THAT(client_->problem(), HasSubstr("certificate has expired"));
  EXPECT_THAT(server_->problem(), HasSubstr("our certificate has expired"));
}

TEST_F(SecureChannelTest, refuses_a_peer_that_shows_no_certificate) {
  begin();
  try_without_certificate();
  EXPECT_EQ(server_->state(), State::failed);
  EXPECT_EQ(server_->problem(), "peer did not return a certificate");
}

TEST_F(SecureChannelTest, accepts_a_peer_without_certificate_where_none_is_required) {
  server_context_ = context({.dns_names = {kServerHost}},
                            [](TlsConfig& config) { config.require_peer_certificate = false; });
  begin();
  handshake();
  EXPECT_EQ(server_->state(), State::open);
  // One that shows a certificate all the same is known by it.
  EXPECT_THAT(server_->peer_names(), Optional(ElementsAre(kClientHost)));
}

TEST_F(SecureChannelTest, wants_to_see_whom_it_expects_also_where_others_need_no_certificate) {
  server_context_ = context({.dns_names = {kServerHost}},
                            [](TlsConfig& config) { config.require_peer_certificate = false; });
  begin();
  server_ = std::make_unique<SecureChannel>(server_context_, Role::accepting, kClientHost);
  try_without_certificate();
  EXPECT_EQ(server_->state(), State::failed);
  EXPECT_EQ(server_->problem(), "peer did not return a certificate");
  server_ = std::make_unique<SecureChannel>(server_context_, Role::accepting);
  try_without_certificate();
  EXPECT_EQ(server_->state(), State::open) << server_->problem();
}

TEST_F(SecureChannelTest, keeps_to_the_context_it_began_with) {
  open();
  server_context_ = context({.dns_names = {"new.epc.example"}});
  ASSERT_TRUE(server_->write(as_bytes("still here")));
  carry(*server_, *client_);
  EXPECT_EQ(read_all(*client_), "still here");
  begin("new.epc.example");
  handshake();
  EXPECT_EQ(client_->state(), State::open) << client_->problem();
}

// --- What peers may do wrong -----------------------------------------------------------------

TEST_F(SecureChannelTest, says_so_when_the_peer_does_not_speak_tls) {
  begin();
  server_->receive(as_bytes(std::string("\x01\x00\x00\x14 a CER in clear", 20)));
  EXPECT_EQ(server_->state(), State::failed);
  EXPECT_THAT(server_->problem(), HasSubstr("does the peer speak TLS?"));
}

TEST_F(SecureChannelTest, fails_on_a_record_that_was_tampered_with) {
  open();
  ASSERT_TRUE(client_->write(as_bytes("a request")));
  std::vector<std::byte> record(client_->output().begin(), client_->output().end());
  record.back() ^= std::byte{1};
  server_->receive(record);
  EXPECT_EQ(read_all(*server_), "");
  EXPECT_EQ(server_->state(), State::failed);
  EXPECT_THAT(server_->problem(), HasSubstr("bad record mac"));
  EXPECT_FALSE(server_->output().empty()) << "the alert";
}

TEST_F(SecureChannelTest, finds_no_tls_version_in_common) {
  client_context_ = context({.dns_names = {kClientHost}});
  SSL_CTX_set_max_proto_version(client_context_->raw(), TLS1_2_VERSION);
  server_context_ = context({.dns_names = {kServerHost}}, [](TlsConfig& config) {
    config.minimum_version = TlsVersion::tls_1_3;
  });
  begin();
  handshake();
  EXPECT_THAT(server_->problem(), HasSubstr("unsupported protocol"));
  EXPECT_EQ(client_->problem(),
            "the peer refused: protocol version (no TLS version suits both sides)");
}

TEST_F(SecureChannelTest, refuses_renegotiation) {
  server_context_ = context({.dns_names = {kServerHost}});
  SSL_CTX_set_max_proto_version(server_context_->raw(), TLS1_2_VERSION);
  begin();
  handshake();
  ASSERT_EQ(server_->description().substr(0, 7), "TLSv1.2");
  // A ClientHello inside the channel: a peer that wants other keys, or other names.
  SSL_CTX* renegotiating = client_context_->raw();
  SSL_CTX_clear_options(renegotiating, SSL_OP_NO_RENEGOTIATION);
  SSL* ssl = SSL_new(renegotiating);
  BIO* to_ssl = BIO_new(BIO_s_mem());
  BIO* from_ssl = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, to_ssl, from_ssl);
  SSL_set_connect_state(ssl);
  SecureChannel server(server_context_, Role::accepting);
  const auto exchange = [&] {
    std::array<std::byte, 20000> space;
    int got = 0;
    while ((got = BIO_read(from_ssl, space.data(), space.size())) > 0) {
      server.receive(Bytes(space).first(static_cast<std::size_t>(got)));
      read_all(server);
    }
    const Bytes out = server.output();
    BIO_write(to_ssl, out.data(), static_cast<int>(out.size()));
    server.sent(out.size());
  };
  for (int i = 0; i < 10 && SSL_do_handshake(ssl) != 1; ++i) exchange();
  exchange();
  ASSERT_EQ(server.state(), State::open) << server.problem();
  ASSERT_EQ(SSL_renegotiate(ssl), 1);
  for (int i = 0; i < 10; ++i) {
    SSL_do_handshake(ssl);
    exchange();
  }
  EXPECT_NE(SSL_renegotiate_pending(ssl), 0) << "it still waits";
  SSL_free(ssl);
}

TEST_F(SecureChannelTest, takes_session_tickets_that_come_after_the_handshake) {
  begin();
  SSL_CTX_set_num_tickets(server_context_->raw(), 2);
  SSL_CTX_clear_options(server_context_->raw(), SSL_OP_NO_TICKET);
  server_ = std::make_unique<SecureChannel>(server_context_, Role::accepting);
  handshake();
  EXPECT_EQ(read_all(*client_), "");
  EXPECT_EQ(client_->state(), State::open) << client_->problem();
  ASSERT_TRUE(server_->write(as_bytes("after the tickets")));
  carry(*server_, *client_);
  EXPECT_EQ(read_all(*client_), "after the tickets");
}

TEST_F(SecureChannelTest, bounds_what_it_holds_for_an_owner_that_does_not_read) {
  open();
  const std::string text(16384, 'x');
  for (int i = 0; i < 80; ++i) {
    ASSERT_TRUE(client_->write(as_bytes(text)));
    carry(*client_, *server_);
  }
  EXPECT_EQ(server_->state(), State::failed);
  EXPECT_THAT(server_->problem(), HasSubstr("faster than is read"));
}

TEST_F(SecureChannelTest, bounds_what_it_holds_for_a_peer_that_does_not_read) {
  open();
  const std::string text(16384, 'x');
  bool written = true;
  for (int i = 0; i < 80 && written; ++i) written = client_->write(as_bytes(text));
  EXPECT_FALSE(written);
  EXPECT_THAT(client_->problem(), HasSubstr("does not read"));
  EXPECT_LE(client_->output().size(), SecureChannel::kOutputBytesMax);
}

}  // namespace
}  // namespace siglane::transport
