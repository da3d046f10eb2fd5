#pragma once
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

  std::set<std::string> to_reconnect(const runtime::Daemon& next) const override;
  void follow(runtime::Daemon& next, runtime::Reconfiguration& reconfiguration) override;

  const m3ua::M3uaConfig& config() const { return config_; }

 private:
  m3ua::M3uaConfig config_;
  m3ua::M3uaModule* module_ = nullptr;  // of the node that build() makes
};

}  // namespace siglane::stp
