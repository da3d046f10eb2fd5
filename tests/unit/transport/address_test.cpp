#include "transport/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace siglane::transport {
namespace {

TEST(SocketAddress, prints_what_it_parsed_in_canonical_form) {
  EXPECT_EQ(SocketAddress::parse("127.0.0.1", 3868)->text_with_port(), "127.0.0.1:3868");
  EXPECT_EQ(SocketAddress::parse("2001:DB8:0:0::1", 2905)->text_with_port(), "[2001:db8::1]:2905");
  EXPECT_EQ(SocketAddress::parse("::1", 0)->text(), "::1");
}

TEST(SocketAddress, takes_a_mapped_address_for_the_ipv4_address_it_is) {
  const auto mapped = SocketAddress::parse("::ffff:10.1.2.3", 5).value();
  EXPECT_EQ(mapped.family(), AF_INET);
  EXPECT_EQ(mapped.text(), "10.1.2.3");
  EXPECT_EQ(mapped.port(), 5);
  EXPECT_EQ(mapped, SocketAddress::parse("10.1.2.3", 5).value());
  EXPECT_EQ(mapped.hash(), SocketAddress::parse("10.1.2.3", 5)->hash());
}

TEST(SocketAddress, quotes_what_is_not_an_address) {
  for (const char* bad : {"", "10.0.0", "localhost", "10.0.0.256", "::1::", "10.0.0.1:80"}) {
    const auto result = SocketAddress::parse(bad, 1);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ(result.error().what, "\"" + std::string(bad) + "\" is not an IP address");
  }
}

TEST(SocketAddress, differs_by_family_address_and_port) {
  const auto base = SocketAddress::parse("127.0.0.1", 1).value();
  EXPECT_NE(base, base.with_port(2));
  EXPECT_NE(base, SocketAddress::parse("127.0.0.2", 1).value());
  EXPECT_NE(base, SocketAddress::any(AF_INET6, 1));
  EXPECT_EQ(SocketAddress::any(AF_INET6, 1).text(), "::");
  EXPECT_FALSE(SocketAddress{}.valid());
}

}  // namespace
}  // namespace siglane::transport
