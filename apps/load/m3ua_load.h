#pragma once
#include <deque>
#include <vector>

#include "apps/load/config.h"
#include "apps/load/m3ua_client.h"
#include "apps/load/m3ua_traffic.h"
#include "apps/load/traffic.h"
#include "protocols/m3ua/asp_client.h"

namespace siglane::load {

// ASPs towards a signalling gateway or STP, each in an AS of its own, that send DATA to each other.
// Must outlive the shard it was set up on.
class M3uaLoad final : public Traffic {
 public:
  explicit M3uaLoad(M3uaLoadConfig config);

  std::string_view protocol() const override { return "m3ua"; }
  std::size_t peers() const override { return config_.asps.asps.size(); }
  std::vector<std::string> peer_names() const override;
  Result<void> set_up(const runtime::ShardSetUp& at, LoadRun& run) override;
  std::vector<GroupTally> groups() const override;
  void finish(Instant now, Report& report) override;

 private:
  M3uaLoadConfig config_;
  m3ua::AspClientModule module_;
  M3uaTraffic messages_;
  M3uaClient* client_ = nullptr;    // the shard's
  std::deque<GroupTally> tallies_;  // where the client writes: they stay where they are
};

}  // namespace siglane::load
