#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/association.h"
#include "core/selector_table.h"
#include "protocols/m3ua/config.h"
#include "protocols/m3ua/parcels.h"

namespace siglane::m3ua {

// Which Application Server serves a label: built once from a config, never changed. An AS is known
// by its place (Gateway::servers).
class RoutingRules {
 public:
  // A route, as it is matched.
  class Rule {
   public:
    enum class Match : std::uint8_t {
      all,
      // The first thing in which they differ:
      other_network,
      other_service_indicator,
      other_originating_point_code,
    };
    // `as`: the place of its AS. `index`: of the route in the config.
    Rule(const RouteConfig& route, std::size_t as, std::size_t index);

    std::size_t as() const { return as_; }
    std::size_t route() const { return route_; }
    bool is_in(Network other) const { return !network_ || network_ == other; }
    bool any_si() const { return service_indicators_ == decltype(service_indicators_){}; }
    bool any_opc() const { return opcs_.empty(); }
    Match match(Network from, const MtpLabel& label) const;
    int specificity() const;
    // Do they say the same? Where they stand in the config does not matter.
    bool operator==(const Rule& other) const {
      return network_ == other.network_ && service_indicators_ == other.service_indicators_ &&
             opcs_ == other.opcs_ && as_ == other.as_;
    }

   private:
    Network network_;                                    // none: in every one
    std::array<std::uint64_t, 4> service_indicators_{};  // a bit for each; all zero: any
    std::vector<std::uint32_t> opcs_;                    // sorted; empty: any
    std::size_t as_ = 0, route_ = 0;
  };

  RoutingRules() = default;  // none
  // `config` must have passed check(). Each AS has its index in it as its place.
  explicit RoutingRules(const M3uaConfig& config);
  // `places`: of each of its application_servers, all below `places_end`.
  RoutingRules(const M3uaConfig& config, std::span<const std::size_t> places,
               std::size_t places_end);

  // The place of the AS; nothing: no route. `network`: the one that DATA comes from.
  std::optional<std::size_t> find(Network network, const MtpLabel& label) const;
  // All for that destination, in the order in which they are tried: the first that matches wins.
  std::span<const Rule> rules_to(std::uint32_t dpc) const;
  // The destinations whose rules are not the same in both; ascending.
  std::vector<std::uint32_t> changed_since(const RoutingRules& before) const;
  // Every AS that serves the destination in that network, for whatever SI or OPC.
  std::vector<std::size_t> serving(Network network, std::uint32_t dpc) const;
  // The destinations of one AS, in whatever network; ascending.
  std::span<const std::uint32_t> destinations_of(std::size_t as) const {
    return as < by_as_.size() ? std::span(by_as_[as]) : std::span<const std::uint32_t>();
  }
  // Those that a network has of a range; ascending.
  std::vector<std::uint32_t> destinations_in(Network network, AffectedPointCode range) const;
  // No network has more.
  std::size_t destinations_max(Network network) const;

 private:
  std::unordered_map<std::uint32_t, std::vector<Rule>> by_dpc_;  // most specific first
  std::vector<std::vector<std::uint32_t>> by_as_;
  // By the network of their routes: "none" has those of the routes that hold in every network.
  std::map<Network, std::vector<std::uint32_t>> destinations_;
};

// One AS as the routes see it: its AS session publishes a new one at every change.
struct AsView {
  AssociationId coordinator{};
  AsState state = AsState::down;
  // DATA goes through the AS session, which holds it (AS-PENDING), still has earlier DATA to drain,
  // or broadcasts it, and not straight to an ASP. Never differs from what the AS session does.
  bool through_coordinator = true;
  // A reroute is under way on this shard, so whatever the state is, it holds the DATA: what follows
  // may be another state, of which the ASPs have been told already.
  bool rerouting = false;
  std::vector<AssociationId> active;  // override: one
  // Who they are, in whatever order: their places (Gateway::asp_names).
  std::vector<std::pair<AssociationId, std::uint32_t>> asps;
  Carriers carriers{};  // by SLS, in override too

  bool takes_data() const {
    return rerouting || state == AsState::active || state == AsState::pending;
  }
};

// What route() reads: an immutable snapshot (core/snapshot.h).
struct RouteTable {
  std::vector<std::shared_ptr<const AsView>> servers;  // by place

  // RFC 4666 §4.5: a destination is available while an AS that serves it is active or pending.
  bool available(const RoutingRules& rules, Network network, std::uint32_t dpc) const;
};

}  // namespace siglane::m3ua
