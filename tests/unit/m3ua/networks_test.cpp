#include "protocols/m3ua/networks.h"

#include <gtest/gtest.h>

namespace siglane::m3ua {
namespace {

M3uaConfig servers() {
  M3uaConfig config;
  config.asps = {{"a", {}}};
  for (const char* name : {"plain", "sccp", "foreign"}) {
    ApplicationServerConfig as;
    as.name = name;
    as.routing_context = static_cast<std::uint32_t>(config.application_servers.size() + 1);
    as.asps = {"a"};
    config.application_servers.push_back(as);
  }
  return config;
}

TEST(Networks, AnAppearanceThatTheConfigDoesNotNameIsInvalidWhereItNamesOne) {
  M3uaConfig config = servers();
  EXPECT_EQ(Networks(config).of({}, 5).value(), Network(5));
  config.application_servers[2].network_appearance = 8;
  config.routes = {{100, 9, {}, {}, "plain"}};
  const Networks networks(config);
  EXPECT_EQ(networks.of({}, {}).value(), Network());
  EXPECT_EQ(networks.of({}, 8).value(), Network(8));
  EXPECT_EQ(networks.of({}, 9).value(), Network(9));
  EXPECT_EQ(networks.of({}, 5).error(), ErrorCode::invalid_network_appearance);
  EXPECT_EQ(networks.of(8, {}).value(), Network(8));
  EXPECT_EQ(networks.of(8, 8).value(), Network(8));
  EXPECT_EQ(networks.of(8, 9).error(), ErrorCode::invalid_network_appearance);
}

TEST(Networks, APointCodeFitsItsNetworkOrNot) {
  M3uaConfig config = servers();
  config.networks = {{8, 14}, {{}, 16}};
  config.application_servers[2].network_appearance = 9;
  ASSERT_TRUE(check(config));
  const Networks networks(config);
  EXPECT_TRUE(networks.fits(8, 0x3fff));
  EXPECT_FALSE(networks.fits(8, 0x4000));
  EXPECT_TRUE(networks.fits({}, 0xffff));
  EXPECT_FALSE(networks.fits({}, 0x1'0000));
  EXPECT_TRUE(networks.fits(9, 0xff'ffff));
  EXPECT_FALSE(networks.fits(9, 0x100'0000));
  EXPECT_TRUE(networks.fits(8, AffectedPointCode{14, 0x3fff}));
  EXPECT_FALSE(networks.fits(8, AffectedPointCode{15, 0}));
  EXPECT_FALSE(networks.fits(9, AffectedPointCode{25, 0}));
}

}  // namespace
}  // namespace siglane::m3ua
