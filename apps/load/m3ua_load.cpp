#include "apps/load/m3ua_load.h"

#include <utility>

#include <fmt/format.h>

namespace siglane::load {

M3uaLoad::M3uaLoad(M3uaLoadConfig config)
    : config_(std::move(config)), module_(config_.asps), messages_(config_.traffic) {
  for (const M3uaGroupConfig& group : config_.groups) {
    tallies_.push_back({group.group.name, group.group.members.size(), {}});
  }
}

std::vector<std::string> M3uaLoad::peer_names() const {
  std::vector<std::string> names;
  for (const auto& asp : config_.asps.asps) names.push_back(asp.name);
  return names;
}

Result<void> M3uaLoad::set_up(const runtime::ShardSetUp& at, LoadRun& run) {
  std::vector<M3uaSender> senders;
  for (std::size_t n = 0; n < config_.groups.size(); ++n) {
    const M3uaGroupConfig& group = config_.groups[n];
    for (std::uint32_t member = 0; member < group.group.members.size(); ++member) {
      senders.push_back({.asp = group.group.members[member],
                         .routing_context = group.routing_context_first + member,
                         .pace = group.group.pace,
                         .payload_bytes_min = group.payload_bytes_min,
                         .payload_bytes_max = group.payload_bytes_max,
                         .tally = &tallies_[n].tally});
    }
  }
  auto client = std::make_unique<M3uaClient>(std::move(senders), messages_, config_.load.seed, run);
  client_ = client.get();
  module_.set_user(at.shard.add_coordinator(std::move(client), module_, at.now));

  for (std::size_t n = 0; n < config_.asps.asps.size(); ++n) {
    const std::string& asp = config_.asps.asps[n].name;
    auto endpoint = at.shard.open(config_.load.endpoint_of(n, asp), module_);
    if (!endpoint) return tl::unexpected(endpoint.error());
    PeerConfig gateway = config_.load.target;
    gateway.name = asp;
    at.shard.keep_connected(*endpoint, gateway);
  }
  return {};
}

std::vector<GroupTally> M3uaLoad::groups() const {
  return {tallies_.begin(), tallies_.end()};
}

void M3uaLoad::finish(Instant now, Report& report) {
  report.judges_order = true;
  client_->finish(now);
  if (client_->foreign() > 0) {
    report.failures.push_back(fmt::format("{} messages of another run", client_->foreign()));
  }
  if (client_->destinations_unavailable() > 0 && report.connections_lost == 0) {
    report.failures.push_back(fmt::format("{} times a destination was reported unavailable (DUNA)",
                                          client_->destinations_unavailable()));
  }
}

}  // namespace siglane::load
