#pragma once
#include <memory>
#include <set>
#include <string>

#include "apps/runtime/daemon.h"
#include "protocols/m3ua/module.h"

namespace siglane::stp {

// The STP as a daemon: one M3UA gateway module, and the AS sessions of its Application Servers.
class StpDaemon final : public runtime::Daemon {
 public:
  Info info() const override {
    return {"siglane-stp",
            "Signalling Transfer Point: M3UA (RFC 4666) between Application Servers",
            {"m3ua"}};
  }
  void read(const runtime::ObjectReader& root, runtime::NodeConfig& node) override;
  Result<void> check() override;
  Result<void> build(runtime::NodeBuilder& builder) override;

  void add_rules(runtime::PlanRules& rules) const override;
  std::set<std::string> to_reconnect(const runtime::Daemon& next) const override;
  Result<void> build_next(runtime::Daemon& next,
                          runtime::Reconfiguration& reconfiguration) override;
  void hand_over(runtime::Daemon& next) override;

  const m3ua::M3uaConfig& config() const { return *config_; }

 private:
  std::shared_ptr<const m3ua::M3uaConfig> config_;
  std::shared_ptr<const m3ua::Gateway> built_;  // of config_, for a node that runs; or null
  m3ua::M3uaModule* module_ = nullptr;          // of the node that build() makes
};

}  // namespace siglane::stp
