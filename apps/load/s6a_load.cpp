#include "apps/load/s6a_load.h"

#include <utility>

#include "protocols/diameter/constants.h"

namespace siglane::load {

S6aLoad::S6aLoad(S6aLoadConfig config, std::unique_ptr<AnswerLog> answers)
    : config_(std::move(config)), answers_(std::move(answers)), random_(config_.load.seed) {
  for (const S6aGroupConfig& group : config_.groups) {
    tallies_.push_back({group.group.name, group.group.members.size(), {}});
  }
}

std::size_t S6aLoad::peers() const {
  std::size_t count = 0;
  for (const GroupTally& group : tallies_) count += group.peers;
  return count;
}

Result<void> S6aLoad::set_up(const runtime::ShardSetUp& at, LoadRun& run) {
  for (std::size_t n = 0; n < config_.groups.size(); ++n) {
    for (const std::string& origin_host : config_.groups[n].group.members) {
      auto added = add_mme(origin_host, config_.groups[n], tallies_[n].tally, at, run);
      if (!added) return added;
    }
  }
  return {};
}

Result<void> S6aLoad::add_mme(const std::string& origin_host, const S6aGroupConfig& group,
                              Tally& tally, const runtime::ShardSetUp& at, LoadRun& run) {
  diameter::DiameterConfig node = config_.diameter;
  node.origin_host = origin_host;
  auto& module = *modules_.emplace_back(std::make_unique<diameter::DiameterModule>(node));
  auto client = std::make_unique<S6aClient>(module,
                                            S6aClientConfig{.pace = group.group.pace,
                                                            .mix = group.mix,
                                                            .requests = config_.requests,
                                                            .request_timeout = {}},
                                            random_.next(), run, tally, answers_.get());
  clients_.push_back(client.get());
  const AssociationId id = at.shard.add_coordinator(std::move(client), module, at.now);
  module.add_application(at.shard.id(), diameter::application::s6a, id);

  const std::size_t number = modules_.size() - 1;
  auto endpoint = at.shard.open(config_.load.endpoint_of(number, origin_host), module);
  if (!endpoint) return tl::unexpected(endpoint.error());
  at.shard.keep_connected(*endpoint, config_.load.target);
  return {};
}

std::vector<GroupTally> S6aLoad::groups() const {
  return {tallies_.begin(), tallies_.end()};
}

void S6aLoad::finish(Instant now, Report& report) {
  for (S6aClient* client : clients_) client->finish(now);
  if (answers_ == nullptr) return;
  if (auto written = answers_->finish(); !written) report.failures.push_back(written.error().what);
}

}  // namespace siglane::load
