#include "core/host_name.h"

#include <string>

#include <gtest/gtest.h>

namespace siglane {
namespace {

TEST(HostName, IsMadeOfLabelsOfLettersDigitsAndHyphens) {
  for (std::string_view good :
       {"hss01.epc.mnc001.mcc001.3gppnetwork.org", "a", "A.b", "3gpp", "x--y.org", "1.2.3.4a"}) {
    EXPECT_TRUE(is_host_name(good)) << good;
  }
  for (std::string_view bad :
       {"", ".", "a.", ".a", "a..b", "-a.org", "a-.org", "a_b.org", "a b.org", "a/b", "*", "*.org",
        "a.org\n", "m\xc3\xbc.org", "a@b.org"}) {
    EXPECT_FALSE(is_host_name(bad)) << bad;
  }
}

TEST(HostName, IsNoIpAddress) {
  EXPECT_FALSE(is_host_name("10.0.0.1"));
  EXPECT_FALSE(is_host_name("::1"));
  EXPECT_FALSE(is_host_name("hss.1"));
}

TEST(HostName, KeepsTheLengthsOfTheDns) {
  const std::string label(63, 'x');
  EXPECT_TRUE(is_host_name(label));
  EXPECT_FALSE(is_host_name(label + "x"));
  const std::string longest = label + "." + label + "." + label + "." + label;  // 255 octets
  EXPECT_TRUE(is_host_name(longest));
  EXPECT_FALSE(is_host_name("a." + longest.substr(1)));
}

}  // namespace
}  // namespace siglane
