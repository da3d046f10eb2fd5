#include "transport/transport_set.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/unit/transport/stream_side.h"

namespace siglane::transport {
namespace {

using ::testing::HasSubstr;

bool yes() {
  return true;
}
bool no() {
  return false;
}

EndpointConfig endpoint(TransportKind kind, std::uint16_t udp_port = 0) {
  EndpointConfig config;
  config.name = "s6a";
  config.transport = kind;
  config.udp_encapsulation_port = udp_port;
  return config;
}

TEST(ResolveTransport, takes_the_kernels_sctp_where_there_is_one) {
  const auto resolved = resolve_transport(endpoint(TransportKind::sctp, 9899), yes).value();
  EXPECT_EQ(resolved.kind, TransportKind::kernel_sctp);
  EXPECT_EQ(resolved.notice, "");
}

TEST(ResolveTransport, falls_back_to_usrsctp_where_it_has_a_udp_port_and_says_so) {
  const auto resolved = resolve_transport(endpoint(TransportKind::sctp, 9899), no).value();
  EXPECT_EQ(resolved.kind, TransportKind::usrsctp);
  EXPECT_EQ(resolved.notice,
            "endpoint s6a: this kernel has no SCTP, so SCTP runs in this process (usrsctp) over "
            "UDP port 9899 (RFC 6951)");
}

TEST(ResolveTransport, otherwise_names_both_ways_out) {
  const auto resolved = resolve_transport(endpoint(TransportKind::sctp), no);
  ASSERT_FALSE(resolved.has_value());
  EXPECT_THAT(resolved.error().what, HasSubstr("endpoint s6a"));
  EXPECT_THAT(resolved.error().what, HasSubstr("modprobe sctp"));
  EXPECT_THAT(resolved.error().what, HasSubstr("udp_encapsulation"));
}

TEST(ResolveTransport, never_replaces_a_transport_that_was_asked_for_by_name) {
  EXPECT_EQ(resolve_transport(endpoint(TransportKind::tcp), yes)->kind, TransportKind::tcp);
  EXPECT_EQ(resolve_transport(endpoint(TransportKind::usrsctp, 1), yes)->kind,
            TransportKind::usrsctp);
  EXPECT_EQ(resolve_transport(endpoint(TransportKind::kernel_sctp), yes)->kind,
            TransportKind::kernel_sctp);
  EXPECT_THAT(resolve_transport(endpoint(TransportKind::kernel_sctp, 1), no).error().what,
              HasSubstr("modprobe sctp"));
  EXPECT_THAT(resolve_transport(endpoint(TransportKind::usrsctp), yes).error().what,
              HasSubstr("udp_encapsulation"));
}

TEST(ResolveTransport, refuses_tls_without_a_certificate_instead_of_speaking_in_clear) {
  EXPECT_THAT(resolve_transport(endpoint(TransportKind::tls), yes).error().what,
              HasSubstr("needs \"tls\""));
}

struct TransportSetTest : ::testing::Test {
  TransportSetTest() {
    set.set_sink(sink);
    tls = authority.issue_files_for("hss.example", directory, "server");
  }
  EndpointConfig tls_endpoint() {
    EndpointConfig config = endpoint(TransportKind::tls);
    config.tls = tls;
    return config;
  }
  // The next notice.
  std::string told() {
    Timer deadline = loop->timer([this] { late = true; });
    deadline.start_after(5s);
    while (sink.fact(kNotice) == nullptr && !late) loop->run_once();
    const Fact* notice = sink.fact(kNotice);
    std::string text = notice == nullptr ? "" : field(*notice, "text");
    sink.facts.clear();
    return text;
  }

  siglane::testing::TemporaryDirectory directory;
  siglane::testing::Authority authority;
  TlsConfig tls;
  std::unique_ptr<Loop> loop = Loop::create().value();
  BufferPool buffers;
  Counters counters;
  ShortFraming framing;
  Recorder sink;
  TransportSet set{*loop, buffers, counters};
  bool late = false;
};

TEST_F(TransportSetTest, reconfigures_the_endpoint_that_is_named_and_no_other) {
  EndpointConfig config = tls_endpoint();
  config.name = "first";
  const EndpointId first = set.open(config, framing).value();
  config.name = "second";
  (void)set.open(config, framing).value();
  EXPECT_THAT(told(), HasSubstr("endpoint first: TLS with the certificate of hss.example"));
  config.name = "whatever";
  config.tls->key = directory.path("absent.key");
  set.reconfigure(first, config);
  set.reconfigure(next_endpoint_id(), config);
  EXPECT_TRUE(sink.facts.empty()) << "told within the call";
  EXPECT_THAT(told(), HasSubstr("endpoint first: kept the certificate it had"));
  EXPECT_TRUE(sink.facts.empty());
}

TEST_F(TransportSetTest, UsesCertificatesThatAreLoadedAlreadyAndReadsNoFile) {
  const EndpointConfig config = tls_endpoint();
  const EndpointId secure = set.open(config, framing).value();
  EndpointConfig clear = endpoint(TransportKind::tcp);
  clear.name = "clear";
  const EndpointId in_clear = set.open(clear, framing).value();
  EXPECT_THAT(told(), HasSubstr("hss.example"));
  authority.issue_files_for("renewed.example", directory, "server");
  const auto loaded = TlsContext::load(*config.tls).value();
  std::filesystem::remove(config.tls->key);
  set.use_credentials(secure, loaded);
  set.use_credentials(in_clear, loaded);
  EXPECT_EQ(told(), "endpoint s6a: from now on the " + loaded->summary());
  set.reconfigure(secure, config, loaded);
  EXPECT_THAT(told(), HasSubstr("endpoint s6a: from now on the certificate of renewed.example"));
}

}  // namespace
}  // namespace siglane::transport
