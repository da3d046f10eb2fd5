#include "apps/runtime/newcomer_budget.h"

#include <algorithm>

#include <fmt/format.h>

namespace siglane::runtime {
namespace {

// Databases and their logs, certificates that are read again, connects that fail and are tried
// again, and what a peel must never lack (transport/peeling/descriptor_reserve.h).
constexpr std::size_t kOwnNeeds = 96;
// Newcomers that have lost their places and are not closed yet.
constexpr std::size_t kLeaving = 128;
// Otherwise no peer would get in.
constexpr std::size_t kPlacesMin = 16;

// Half of an endpoint's associations is the least that is left for peers, if there are so many.
std::size_t room_on(const EndpointConfig& endpoint, std::size_t peers) {
  const std::size_t all = endpoint.associations_max;
  const std::size_t leaving = std::min(kLeaving, all / 4);
  return std::max<std::size_t>(1, all - std::min(peers, all / 2) - leaving);
}

}  // namespace

NewcomerBudget budget_newcomers(std::optional<std::size_t> descriptors_left,
                                const NodeConfig& config, const Newcomers::Places& wanted) {
  NewcomerBudget budget{wanted.anybody, {}};
  bool over_tcp = false;
  for (const auto& [endpoint, module] : config.endpoints) {
    if (!endpoint.listening) continue;
    over_tcp |= !is_sctp(endpoint.transport);
    budget.places = std::min(budget.places, room_on(endpoint, config.peers.size()));
  }
  if (!over_tcp || !descriptors_left) return budget;

  // A peer has one connection, or one association that may be peeled off.
  const std::size_t clients = config.admin.clients_max * (config.admin.http ? 2 : 1);
  std::size_t needed = config.peers.size() + wanted.kept + clients + kOwnNeeds + kLeaving;
  if (config.admission.accept_unknown_peers) needed += config.peeloff.peeled_max;
  const std::size_t left = *descriptors_left;
  const std::size_t rest = left > needed ? left - needed : 0;
  if (rest >= budget.places) return budget;
  budget.places = std::min(budget.places, std::max(rest, kPlacesMin));
  const std::string advice = "raise the limit (LimitNOFILE=, ulimit -n)";
  if (rest < kPlacesMin) {
    budget.complaint = fmt::format(
        "{} file descriptors are left, and {} peers and the node's own needs take up to {}: {}",
        left, config.peers.size(), needed, advice);
  } else {
    budget.complaint = fmt::format(
        "{} file descriptors are left: only {} associations at a time may wait for identification, "
        "not the {} of admission.unidentified_associations_max; {}",
        left, budget.places, wanted.anybody, advice);
  }
  return budget;
}

}  // namespace siglane::runtime
