#include "apps/stp/daemon.h"

#include <memory>

#include "apps/runtime/m3ua_config.h"
#include "apps/stp/config.h"
#include "protocols/m3ua/module.h"

namespace siglane::stp {

void StpDaemon::read(const runtime::ObjectReader& root, runtime::NodeConfig& node) {
  config_ = read_stp_config(root, node);
}

Result<void> StpDaemon::check() {
  return m3ua::check(config_);
}

Result<void> StpDaemon::build(runtime::NodeBuilder& builder) {
  auto& module = builder.add_module(std::make_unique<m3ua::M3uaModule>(config_));
  module_ = &module;
  builder.on_shard([&module](const runtime::ShardSetUp& at) -> Result<void> {
    module.add_application_servers(at.shard, at.shards, at.now);
    return {};
  });
  return {};
}

std::set<std::string> StpDaemon::to_reconnect(const runtime::Daemon& next) const {
  return runtime::asps_to_reconnect(config_, static_cast<const StpDaemon&>(next).config_);
}

void StpDaemon::follow(runtime::Daemon& next, runtime::Reconfiguration& reconfiguration) {
  m3ua::M3uaConfig& now = static_cast<StpDaemon&>(next).config_;
  if (now == config_) return;
  config_ = std::move(now);
  module_->prepare(config_);
  reconfiguration.modules.push_back(module_);
  reconfiguration.on_shard = [module = module_](const runtime::ShardSetUp& at) {
    module->add_application_servers(at.shard, at.shards, at.now);
  };
}

}  // namespace siglane::stp
