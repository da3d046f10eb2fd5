#pragma once
#include <deque>
#include <memory>
#include <vector>

#include "apps/load/answer_log.h"
#include "apps/load/config.h"
#include "apps/load/s6a_client.h"
#include "apps/load/traffic.h"
#include "protocols/diameter/module.h"

namespace siglane::load {

// MMEs towards an HSS. Each is a Diameter node of its own: module, endpoint and client. Must
// outlive the shard it was set up on.
class S6aLoad final : public Traffic {
 public:
  // `answers` may be null.
  S6aLoad(S6aLoadConfig config, std::unique_ptr<AnswerLog> answers);

  std::string_view protocol() const override { return "s6a"; }
  std::size_t peers() const override;
  std::vector<std::string> peer_names() const override { return {config_.load.target.name}; }
  Result<void> set_up(const runtime::ShardSetUp& at, LoadRun& run) override;
  std::vector<GroupTally> groups() const override;
  void finish(Instant now, Report& report) override;

 private:
  Result<void> add_mme(const std::string& origin_host, const S6aGroupConfig& group, Tally& tally,
                       const runtime::ShardSetUp& at, LoadRun& run);

  S6aLoadConfig config_;
  std::unique_ptr<AnswerLog> answers_;
  Random random_;
  std::vector<std::unique_ptr<diameter::DiameterModule>> modules_;
  std::vector<S6aClient*> clients_;  // the shard's
  std::deque<GroupTally> tallies_;   // where clients write: they stay where they are
};

}  // namespace siglane::load
