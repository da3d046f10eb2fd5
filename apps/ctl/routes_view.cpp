#include <cmath>

#include "apps/ctl/view_parts.h"
#include "apps/ctl/views.h"

namespace siglane::ctl {
namespace {

template <class Row>
std::string network_of(const Row& row) {
  return row.has_network_appearance() ? fmt::format("{}", row.network_appearance()) : "-";
}

// "2 of 3, 1 needed"
std::string active_text(const admin::ApplicationServer& server) {
  std::size_t active = 0;
  for (const auto& asp : server.asp()) active += asp.state() == "ASP-ACTIVE" ? 1 : 0;
  return fmt::format("{} of {}, {} needed", active, server.asp_size(), server.active_asps_min());
}

// "stp1 ASP-ACTIVE, stp2 ASP-DOWN"
std::string asps_text(const admin::ApplicationServer& server) {
  std::string text;
  for (const auto& asp : server.asp()) {
    text += (text.empty() ? "" : ", ") + asp.name() + " " + asp.state();
  }
  return or_dash(text);
}

std::string share_text(double share) {
  return fmt::format("{:.0f}%", std::round(share * 100));
}

std::string diameter_routes(const std::vector<admin::Response>& nodes, std::size_t width_max) {
  Table table({{"NODE", false, 8},
               {"REALM", false, 16},
               {"PEER", false, 12},
               {"STATE"},
               {"OPEN", true},
               {"ROLE"},
               {"APPLICATIONS", false, 12},
               {"HOST", false, 12, true}});
  bool any = false;
  for (const admin::Response& node : nodes) {
    for (const admin::DiameterRoute& route : node.routes().diameter()) {
      any = true;
      const bool own = route.peer().empty();
      table.add({node.node(), route.realm(), own ? "(this node)" : route.peer(), route.state(),
                 own ? "-" : fmt::format("{}", route.connections()),
                 own             ? "local"
                 : route.agent() ? "agent"
                                 : "member",
                 list_text(route.application()), or_dash(route.origin_host())});
    }
  }
  return any ? finish(std::move(table), nodes.size(), width_max) : "";
}

std::string m3ua_routes(const std::vector<admin::Response>& nodes, std::size_t width_max) {
  Table table({{"NODE", false, 8},
               {"DPC", true},
               {"NA", true},
               {"SI", false, 6},
               {"OPC", false, 12},
               {"AS", false, 12},
               {"STATE"}});
  bool any = false;
  for (const admin::Response& node : nodes) {
    for (const admin::M3uaRoute& route : node.routes().m3ua()) {
      any = true;
      table.add({node.node(), fmt::format("{}", route.destination_point_code()), network_of(route),
                 list_text(route.service_indicator()), list_text(route.originating_point_code()),
                 route.application_server(), route.state()});
    }
  }
  return any ? finish(std::move(table), nodes.size(), width_max) : "";
}

}  // namespace

std::string application_servers_view(const std::vector<admin::Response>& nodes,
                                     std::size_t width_max) {
  Table table({{"NODE", false, 8},
               {"AS", false, 12},
               {"RC", true},
               {"NA", true},
               {"MODE"},
               {"STATE"},
               {"ACTIVE"},
               {"HELD", true},
               {"ASPS", false, 20}});
  for (const admin::Response& node : nodes) {
    for (const auto& server : node.application_servers().application_server()) {
      table.add({node.node(), server.name(), fmt::format("{}", server.routing_context()),
                 network_of(server), server.traffic_mode(), server.state(), active_text(server),
                 fmt::format("{}", server.held_messages()), asps_text(server)});
    }
  }
  return finish(std::move(table), nodes.size(), width_max);
}

std::string routes_view(const std::vector<admin::Response>& nodes, std::size_t width_max) {
  const std::string diameter = diameter_routes(nodes, width_max);
  const std::string m3ua = m3ua_routes(nodes, width_max);
  if (diameter.empty() && m3ua.empty()) return "no routes\n";
  return diameter + (diameter.empty() || m3ua.empty() ? "" : "\n") + m3ua;
}

std::string route_lookup_view(const std::vector<admin::Response>& nodes, std::size_t width_max) {
  std::string text;
  for (const admin::Response& node : nodes) {
    if (nodes.size() > 1) text += (text.empty() ? "" : "\n") + shown(node.node()) + ":\n";
    text += shown(node.route_lookup().outcome()) + "\n";
    if (node.route_lookup().way_size() == 0) continue;
    Table table({{"", false}, {"WAY", false, 16}, {"SHARE", true}, {"WHY", false, 20}});
    for (const auto& way : node.route_lookup().way()) {
      table.add({way.chosen() ? "->" : "", way.name(), way.chosen() ? share_text(way.share()) : "-",
                 way.why()});
    }
    text += table.text(width_max);
  }
  return text;
}

}  // namespace siglane::ctl
