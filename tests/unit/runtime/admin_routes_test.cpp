#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "apps/runtime/admin/routes.h"

namespace siglane::runtime {
namespace {

constexpr diameter::ApplicationId kS6a{16777251};

std::string text_of(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  printer.PrintToString(message, &text);
  return text;
}

// --- M3UA ---------------------------------------------------------------------------------------

m3ua::M3uaConfig gateway() {
  m3ua::M3uaConfig config;
  config.asps = {{"a", {}}, {"b", {}}, {"c", {}}};
  config.application_servers = {{.name = "hlr",
                                 .routing_context = 101,
                                 .network_appearance = 7,
                                 .asps = {"a", "b", "c"},
                                 .active_asps_min = 2},
                                {.name = "msc", .routing_context = 102, .asps = {"a"}}};
  config.routes = {{.destination_point_code = 200, .application_server = "hlr"},
                   {.destination_point_code = 100, .application_server = "msc"},
                   {.destination_point_code = 100,
                    .service_indicators = {3, 5},
                    .originating_point_codes = {9},
                    .application_server = "hlr"}};
  return config;
}

std::shared_ptr<const m3ua::AsView> view(AssociationId coordinator,
                                         std::vector<AssociationId> active) {
  auto made = std::make_shared<m3ua::AsView>();
  made->coordinator = coordinator;
  made->active = std::move(active);
  return made;
}

TEST(AdminRoutes, AnAspHasAnotherStateInEachApplicationServer) {
  m3ua::RouteTable table;
  table.servers = {nullptr, view(AssociationId{1}, {AssociationId{10}}),
                   view(AssociationId{2}, {})};
  const M3uaStates states{.servers = {{"hlr", {AssociationId{1}, "AS-ACTIVE", 5}},
                                      {"msc", {AssociationId{2}, "AS-INACTIVE", 0}}},
                          .asps = {{"a", {AssociationId{10}, "ASP-ACTIVE", 0}},
                                   {"b", {AssociationId{11}, "ASP-DOWN", 0}}}};
  admin::ApplicationServers servers;
  add_servers(gateway(), table, states, servers);
  ASSERT_EQ(servers.application_server_size(), 2);
  EXPECT_EQ(text_of(servers.application_server(0)),
            R"(name: "hlr" routing_context: 101 network_appearance: 7 traffic_mode: "loadshare" )"
            R"(state: "AS-ACTIVE" asp { name: "a" state: "ASP-ACTIVE" } )"
            R"(asp { name: "b" state: "ASP-DOWN" } asp { name: "c" state: "ASP-DOWN" } )"
            R"(active_asps_min: 2 held_messages: 5 )");
  EXPECT_EQ(text_of(servers.application_server(1)),
            R"(name: "msc" routing_context: 102 traffic_mode: "loadshare" state: "AS-INACTIVE" )"
            R"(asp { name: "a" state: "ASP-INACTIVE" } active_asps_min: 1 )");
}

TEST(AdminRoutes, RoutesOfAGatewayStandInTheOrderInWhichTheyAreTried) {
  admin::Routes routes;
  const M3uaStates states{.servers = {{"hlr", {AssociationId{1}, "AS-ACTIVE", 0}}}, .asps = {}};
  add_routes(gateway(), states, routes);
  EXPECT_EQ(
      text_of(routes),
      R"(m3ua { destination_point_code: 100 service_indicator: 3 service_indicator: 5 )"
      R"(originating_point_code: 9 application_server: "hlr" state: "AS-ACTIVE" } )"
      R"(m3ua { destination_point_code: 100 application_server: "msc" state: "AS-DOWN" } )"
      R"(m3ua { destination_point_code: 200 application_server: "hlr" state: "AS-ACTIVE" } )");
}

// --- Diameter -----------------------------------------------------------------------------------

diameter::DiameterConfig dra() {
  diameter::DiameterConfig config;
  config.origin_host = "dra.a.example";
  config.origin_realm = "a.example";
  config.peers = {{"hss", "hss.b.example", "b.example", {}},
                  {"ipx", "ipx.c.example", "c.example", {"*"}},
                  {"mme", "mme.b.example", "b.example", {}},
                  {"pcrf", "pcrf.b.example", "", {}}};
  return config;
}

diameter::OpenPeer open(std::string name, std::string host, std::string realm) {
  diameter::OpenPeer peer;
  peer.name = std::move(name);
  peer.origin_host = std::move(host);
  peer.realm = std::move(realm);
  peer.applications = {kS6a};
  return peer;
}

admin::Routes routes_of(const diameter::RouteTable& table, const std::string& blocked = {}) {
  admin::Routes routes;
  add_routes(
      dra(), table, [&](const std::string& peer) { return peer == blocked; }, routes);
  return routes;
}

std::vector<std::string> lines_of(const admin::Routes& routes) {
  std::vector<std::string> lines;
  for (const admin::DiameterRoute& row : routes.diameter()) {
    std::string line = row.realm() + " " + (row.peer().empty() ? "-" : row.peer()) + " " +
                       row.state() + " " + std::to_string(row.connections()) +
                       (row.agent() ? " agent" : "");
    for (const std::string& application : row.application()) line += " " + application;
    lines.push_back(line);
  }
  return lines;
}

using Lines = std::vector<std::string>;

TEST(AdminRoutes, APeerIsARouteToItsRealmAndToThoseItIsAnAgentFor) {
  diameter::RouteTable table;
  table.peers = {
      open("hss", "hss.b.example", "b.example"), open("hss", "hss.b.example", "b.example"),
      open("ipx", "ipx.c.example", "c.example"), open("pcrf", "pcrf.b.example", "b.example"),
      open("stranger", "x.d.example", "d.example")};
  table.peers[2].relay = true;
  table.applications = {{ShardId{0}, kS6a, AssociationId{1}}, {ShardId{1}, kS6a, AssociationId{2}}};
  EXPECT_EQ(lines_of(routes_of(table)),
            (Lines{"* ipx open 1 agent S6a any", "a.example - open 0 S6a",
                   "b.example hss open 2 S6a", "b.example mme down 0", "b.example pcrf open 1 S6a",
                   "c.example ipx open 1 S6a any", "d.example stranger open 1 S6a"}));
}

TEST(AdminRoutes, APeerThatTakesNothingSaysWhy) {
  diameter::RouteTable table;
  using Reason = diameter::IdlePeer::Reason;
  table.idle = {{open("mme", "mme.b.example", "b.example"), Reason::blocked},
                {open("pcrf", "pcrf.b.example", "b.example"), Reason::suspect}};
  table.suspects = {"hss", "pcrf"};
  EXPECT_EQ(
      lines_of(routes_of(table, "ipx")),
      (Lines{"* ipx blocked 0 agent", "b.example hss suspect 0", "b.example mme blocked 1 S6a",
             "b.example pcrf suspect 1 S6a", "c.example ipx blocked 0"}));
}

TEST(AdminRoutes, APeerIsOpenWhileOneOfItsConnectionsTakesRequests) {
  diameter::RouteTable table;
  table.peers = {open("hss", "hss.b.example", "b.example")};
  table.idle = {{open("hss", "hss.b.example", "b.example"), diameter::IdlePeer::Reason::suspect}};
  EXPECT_EQ(lines_of(routes_of(table))[1], "b.example hss open 2 S6a");
}

}  // namespace
}  // namespace siglane::runtime
