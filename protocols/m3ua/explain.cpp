#include "protocols/m3ua/explain.h"

#include <algorithm>
#include <optional>

#include "protocols/m3ua/text.h"

namespace siglane::m3ua {
namespace {

using Rule = RoutingRules::Rule;

// Lists of a route may be long.
constexpr std::size_t kShownMax = 4;

template <class Values>
std::string list_of(const Values& values) {
  std::string text;
  std::size_t shown = 0;
  for (const auto value : values) {
    if (shown == kShownMax) return text + " and " + std::to_string(values.size() - shown) + " more";
    if (shown++ > 0) text += ", ";
    text += std::to_string(value);
  }
  return text;
}

std::string name_of_network(const Network& network) {
  return network ? "network appearance " + std::to_string(*network) : "the default network";
}

// What a route demands besides its destination.
std::string demands_of(const RouteConfig& route) {
  std::string text;
  const auto add = [&text](const std::string& demand) {
    text += (text.empty() ? "" : ", ") + demand;
  };
  if (route.network_appearance) add(name_of_network(route.network_appearance));
  if (!route.service_indicators.empty()) add("SI " + list_of(route.service_indicators));
  if (!route.originating_point_codes.empty()) add("OPC " + list_of(route.originating_point_codes));
  return text.empty() ? "whatever network, SI and OPC" : text;
}

RuleFate fate_of(const Rule& rule, const Rule* winner, Network network, const MtpLabel& label) {
  switch (rule.match(network, label)) {
    case Rule::Match::all:
      break;
    case Rule::Match::other_network:
      return RuleFate::other_network;
    case Rule::Match::other_service_indicator:
      return RuleFate::other_service_indicator;
    case Rule::Match::other_originating_point_code:
      return RuleFate::other_originating_point_code;
  }
  if (winner == nullptr) return RuleFate::wins;
  return rule.specificity() < winner->specificity() ? RuleFate::less_specific
                                                    : RuleFate::later_in_list;
}

std::string reason_of(RuleFate fate, const RouteConfig& route, Network network,
                      const MtpLabel& label, const RouteConfig* winner) {
  switch (fate) {
    case RuleFate::wins:
      return "it matches: " + demands_of(route);
    case RuleFate::other_network:
      return "it is for " + name_of_network(route.network_appearance) +
             ", and this DATA comes from " + name_of_network(network);
    case RuleFate::other_service_indicator:
      return "it is for SI " + list_of(route.service_indicators) + ", not SI " +
             std::to_string(label.si);
    case RuleFate::other_originating_point_code:
      return "it is for OPC " + list_of(route.originating_point_codes) + ", not OPC " +
             std::to_string(label.opc);
    case RuleFate::less_specific:
      return "it matches (" + demands_of(route) + "), but the route to " +
             winner->application_server + " says more: " + demands_of(*winner);
    case RuleFate::later_in_list:
      return "it matches (" + demands_of(route) + "), but the route to " +
             winner->application_server + " says as much and stands before it";
  }
  return {};
}

std::string name_of_asp(const Gateway& gateway, const AsView& view, AssociationId id) {
  const auto at = std::ranges::find(view.asps, id, &std::pair<AssociationId, std::uint32_t>::first);
  const bool known = at != view.asps.end() && at->second < gateway.asp_names.size();
  return known ? gateway.asp_names[at->second] : "unknown";
}

// Where an AS that is to have the DATA lets it go.
void follow(const Gateway& gateway, const AsView& view, bool broadcast, const MtpLabel& label,
            RouteExplanation& answer) {
  switch (view.state) {
    case AsState::down:
    case AsState::inactive:
      answer.fate = DataFate::as_not_active;
      return;
    case AsState::pending:
      answer.fate = DataFate::held;
      return;
    case AsState::active:
      break;
  }
  if (broadcast) {
    answer.fate = DataFate::broadcast;
    for (const AssociationId id : view.active) {
      answer.asps.push_back(name_of_asp(gateway, view, id));
    }
    return;
  }
  answer.fate = view.through_coordinator ? DataFate::through_as : DataFate::to_asp;
  answer.asps.push_back(name_of_asp(gateway, view, view.carriers[label.sls]));
}

std::string summary_of(const RouteExplanation& answer, Network network, const MtpLabel& label) {
  std::string text = describe(label, network, std::nullopt) + ": ";
  if (answer.fate == DataFate::no_route) {
    return text + (answer.rules.empty() ? "no route has this DPC" : "no route matches") +
           "; dropped, and answered with DUNA";
  }
  text += answer.application_server + " (RC " + std::to_string(answer.routing_context) + ") is " +
          std::string(name_of(answer.state)) + "; ";
  switch (answer.fate) {
    case DataFate::no_route:
      break;
    case DataFate::as_not_active:
      return text + "dropped, and answered with DUNA";
    case DataFate::held:
      return text + "held until one of its ASPs is active, or T(r) is over";
    case DataFate::through_as:
      return text + "held for a moment, behind what is held already, and then sent to " +
             answer.asps.front();
    case DataFate::to_asp:
      return text + "SLS " + std::to_string(label.sls) + " is carried by " + answer.asps.front();
    case DataFate::broadcast: {
      text += "broadcast to ";
      for (std::size_t i = 0; i < answer.asps.size(); ++i) {
        text += (i > 0 ? ", " : "") + answer.asps[i];
      }
      return text;
    }
  }
  return text;
}

}  // namespace

std::string_view name_of(RuleFate fate) {
  switch (fate) {
    case RuleFate::wins:
      return "wins";
    case RuleFate::other_network:
      return "other network";
    case RuleFate::other_service_indicator:
      return "other SI";
    case RuleFate::other_originating_point_code:
      return "other OPC";
    case RuleFate::less_specific:
      return "less specific";
    case RuleFate::later_in_list:
      return "later in the list";
  }
  return "unknown";
}

std::string_view name_of(DataFate fate) {
  switch (fate) {
    case DataFate::no_route:
      return "no route";
    case DataFate::as_not_active:
      return "AS not active";
    case DataFate::held:
      return "held";
    case DataFate::through_as:
      return "through the AS";
    case DataFate::to_asp:
      return "to an ASP";
    case DataFate::broadcast:
      return "broadcast";
  }
  return "unknown";
}

RouteExplanation explain(const Gateway& gateway, const RouteTable& table, Network network,
                         const MtpLabel& label) {
  RouteExplanation answer;
  const Rule* winner = nullptr;
  for (const Rule& rule : gateway.rules.rules_to(label.dpc)) {
    const RouteConfig& route = gateway.config.routes[rule.route()];
    const RouteConfig* before =
        winner != nullptr ? &gateway.config.routes[winner->route()] : nullptr;
    const RuleFate fate = fate_of(rule, winner, network, label);
    answer.rules.push_back({rule.route(), route.application_server, fate,
                            reason_of(fate, route, network, label, before)});
    if (fate == RuleFate::wins) winner = &rule;
  }
  if (winner != nullptr) {
    const ApplicationServerConfig& as = gateway.servers[winner->as()].config;
    const AsView& view = *table.servers[winner->as()];
    answer.application_server = as.name;
    answer.routing_context = as.routing_context;
    answer.state = view.state;
    follow(gateway, view, as.traffic_mode == TrafficMode::broadcast, label, answer);
  }
  answer.summary = summary_of(answer, network, label);
  return answer;
}

}  // namespace siglane::m3ua
