#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/m3ua/control.h"
#include "protocols/m3ua/route_table.h"

// An operator's question: which way would this DATA go, and why not another?
namespace siglane::m3ua {

// What becomes of one route to the destination.
enum class RuleFate : std::uint8_t {
  wins,
  other_network,  // it holds for another network appearance
  other_service_indicator,
  other_originating_point_code,
  less_specific,  // it matches, but one that says more does too
  later_in_list,  // it matches, but one that says as much stands before it
};
std::string_view name_of(RuleFate fate);

// What becomes of the DATA.
enum class DataFate : std::uint8_t {
  no_route,       // dropped, and answered with DUNA
  as_not_active,  // dropped, and answered with DUNA
  held,           // until an ASP is active, or T(r) is over
  through_as,     // the AS passes it on to the ASP, behind what it still holds
  to_asp,         // straight to the ASP
  broadcast,      // to all active ASPs
};
std::string_view name_of(DataFate fate);

struct RuleExplanation {
  std::size_t route = 0;  // its index in the config
  std::string application_server;
  RuleFate fate{};
  std::string why;  // in words
};

struct RouteExplanation {
  std::vector<RuleExplanation> rules;  // those of the destination, in the order they are tried
  std::string application_server;      // of the rule that wins; empty: none does
  std::uint32_t routing_context = 0;   // its
  AsState state = AsState::down;       // its
  DataFate fate{};
  std::vector<std::string> asps;  // who get it: one, but of a broadcast
  std::string summary;            // all of that in a line
};

// `table`: as published. A shard may be about to follow it. Pure; any thread.
RouteExplanation explain(const Gateway& gateway, const RouteTable& table, Network network,
                         const MtpLabel& label);

}  // namespace siglane::m3ua
