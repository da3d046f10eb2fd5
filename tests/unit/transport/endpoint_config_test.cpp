#include "transport/endpoint_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificates.h"

namespace siglane::transport {
namespace {

using siglane::testing::Authority;
using siglane::testing::TemporaryDirectory;
using ::testing::HasSubstr;

TEST(ReconfiguredEndpoint, has_what_may_change_and_keeps_what_may_not) {
  EndpointConfig open;
  open.name = "s6a";
  open.addresses = {"127.0.0.1"};
  open.port = 3868;
  open.listening = true;
  open.sockets = 2;
  open.pool = std::make_shared<EndpointPool>();
  EndpointConfig changed;
  changed.name = "another";
  changed.transport = TransportKind::tcp;
  changed.addresses = {"127.0.0.2"};
  changed.port = 3869;
  changed.sockets = 1;
  changed.udp_encapsulation_port = 9899;
  changed.associations_max = 7;
  changed.limits.message_bytes_max = 1000;
  changed.sctp.rto_max = 4s;
  changed.stream.close_timeout = 1s;
  changed.tls = TlsConfig{};
  const auto next = reconfigured(open, nullptr, changed);
  EXPECT_EQ(next.config.associations_max, 7u);
  EXPECT_EQ(next.config.limits.message_bytes_max, 1000u);
  EXPECT_EQ(next.config.sctp, changed.sctp);
  EXPECT_EQ(next.config.stream.close_timeout, Duration{1s});
  EXPECT_EQ(next.config.name, "s6a");
  EXPECT_EQ(next.config.transport, TransportKind::sctp);
  EXPECT_EQ(next.config.addresses, open.addresses);
  EXPECT_EQ(next.config.port, 3868);
  EXPECT_TRUE(next.config.listening);
  EXPECT_EQ(next.config.sockets, 2);
  EXPECT_EQ(next.config.udp_encapsulation_port, 0);
  EXPECT_EQ(next.config.pool, open.pool);
  EXPECT_FALSE(next.config.tls) << "it was opened in clear";
  EXPECT_EQ(next.tls, nullptr);
  EXPECT_EQ(next.problem, "");
}

struct ReconfiguredCertificates : ::testing::Test {
  ReconfiguredCertificates() {
    open.tls = authority.issue_files_for("old.example", directory, "old");
    tls = TlsContext::load(*open.tls, TlsMode::messages).value();
    changed.tls = authority.issue_files_for("new.example", directory, "new");
  }
  TemporaryDirectory directory;
  Authority authority;
  EndpointConfig open, changed;
  std::shared_ptr<const TlsContext> tls;
};

TEST_F(ReconfiguredCertificates, are_those_of_the_new_files) {
  changed.tls->require_sctp_auth = false;
  const auto next = reconfigured(open, tls, changed);
  EXPECT_EQ(next.problem, "");
  EXPECT_THAT(next.tls->summary(), HasSubstr("new.example"));
  EXPECT_EQ(next.tls->mode(), TlsMode::messages);
  EXPECT_EQ(next.config.tls->certificate, changed.tls->certificate);
  EXPECT_TRUE(next.config.tls->require_sctp_auth) << "the open socket has asked for it";
}

TEST_F(ReconfiguredCertificates, are_read_again_where_only_the_files_have_changed) {
  authority.issue_files_for("renewed.example", directory, "old");
  const auto next = reconfigured(open, tls, open);
  EXPECT_THAT(next.tls->summary(), HasSubstr("renewed.example"));
}

TEST_F(ReconfiguredCertificates, stay_where_the_new_ones_cannot_be_used) {
  changed.tls->key = directory.path("absent.key");
  changed.associations_max = 7;
  const auto next = reconfigured(open, tls, changed);
  EXPECT_EQ(next.problem, "kept the certificate it had: key file " + changed.tls->key +
                              ": No such file or directory");
  EXPECT_EQ(next.tls, tls);
  EXPECT_EQ(next.config.tls->key, open.tls->key);
  EXPECT_EQ(next.config.associations_max, 7u) << "the rest is as wanted";
}

TEST_F(ReconfiguredCertificates, stay_where_the_new_policy_does_not_fit_the_transport) {
  changed.tls->minimum_version = TlsVersion::tls_1_3;
  EXPECT_THAT(reconfigured(open, tls, changed).problem, HasSubstr("minimum_version 1.3"));
}

TEST_F(ReconfiguredCertificates, stay_where_the_new_config_has_none) {
  changed.tls.reset();
  const auto next = reconfigured(open, tls, changed);
  EXPECT_EQ(next.tls, tls);
  EXPECT_EQ(next.config.tls->key, open.tls->key);
  EXPECT_EQ(next.problem, "");
}

}  // namespace
}  // namespace siglane::transport
