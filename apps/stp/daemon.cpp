#include "apps/stp/daemon.h"

#include <memory>
#include <utility>

#include "apps/runtime/m3ua_config.h"
#include "apps/stp/config.h"
#include "protocols/m3ua/module.h"

namespace siglane::stp {

void StpDaemon::read(const runtime::ObjectReader& root, runtime::NodeConfig& node) {
  config_ = std::make_shared<const m3ua::M3uaConfig>(read_stp_config(root, node));
}

Result<void> StpDaemon::check() {
  return m3ua::check(*config_);
}

Result<void> StpDaemon::build(runtime::NodeBuilder& builder) {
  auto& module = builder.add_module(std::make_unique<m3ua::M3uaModule>(*config_));
  module_ = &module;
  builder.on_shard([&module](const runtime::ShardSetUp& at) -> Result<void> {
    module.add_application_servers(at.shard, at.shards, at.now);
    return {};
  });
  return {};
}

void StpDaemon::add_rules(runtime::PlanRules& rules) const {
  rules.rules.push_back({{"m3ua", "single_stream_allowed"}, runtime::Effect::next_connection});
}

std::set<std::string> StpDaemon::to_reconnect(const runtime::Daemon& next) const {
  return runtime::asps_to_reconnect(*config_, *static_cast<const StpDaemon&>(next).config_);
}

Result<void> StpDaemon::build_next(runtime::Daemon& next,
                                   runtime::Reconfiguration& reconfiguration) {
  auto& other = static_cast<StpDaemon&>(next);
  if (*other.config_ == *config_) return {};
  other.built_ = module_->build(*other.config_);
  reconfiguration.modules.push_back(module_);
  reconfiguration.on_shard = [module = module_](const runtime::ShardSetUp& at) {
    module->add_application_servers(at.shard, at.shards, at.now);
  };
  return {};
}

void StpDaemon::hand_over(runtime::Daemon& next) {
  auto& other = static_cast<StpDaemon&>(next);
  if (other.built_ == nullptr) return;
  config_.swap(other.config_);
  module_->prepare(std::exchange(other.built_, nullptr));
}

}  // namespace siglane::stp
