#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/association.h"
#include "core/selector_table.h"
#include "protocols/m3ua/config.h"
#include "protocols/m3ua/parcels.h"

namespace siglane::m3ua {

// Which Application Server serves a label: built once from the config, never changed.
class RoutingRules {
 public:
  // `config` must have passed check().
  explicit RoutingRules(const M3uaConfig& config);

  // Index into application_servers; nothing: no route. `network`: the one that DATA comes from.
  std::optional<std::size_t> find(Network network, const MtpLabel& label) const;
  // Every AS that serves the destination in that network, for whatever SI or OPC.
  std::vector<std::size_t> serving(Network network, std::uint32_t dpc) const;
  // The destinations of one AS, in whatever network; ascending.
  const std::vector<std::uint32_t>& destinations_of(std::size_t as) const { return by_as_[as]; }
  // Those that a network has of a range; ascending.
  std::vector<std::uint32_t> destinations_in(Network network, AffectedPointCode range) const;
  // No network has more.
  std::size_t destinations_max(Network network) const;

 private:
  struct Rule {
    Network network;                                    // none: in every one
    std::array<std::uint64_t, 4> service_indicators{};  // a bit for each; all zero: any
    std::vector<std::uint32_t> opcs;                    // sorted; empty: any
    std::size_t as = 0;
    bool is_in(Network other) const { return !network || network == other; }
    bool any_si() const;
    bool matches(Network from, const MtpLabel& label) const;
    int specificity() const;
  };
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
  std::vector<AssociationId> active;  // override: one
  Carriers carriers{};                // by SLS, in override too
};

// What route() reads: an immutable snapshot (core/snapshot.h).
struct RouteTable {
  std::vector<std::shared_ptr<const AsView>> servers;  // by index of application_servers

  // RFC 4666 §4.5: a destination is available while an AS that serves it is active or pending.
  bool available(const RoutingRules& rules, Network network, std::uint32_t dpc) const;
};

}  // namespace siglane::m3ua
