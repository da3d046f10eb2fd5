#include "transport/transport_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace siglane::transport
