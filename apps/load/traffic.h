#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apps/load/report.h"
#include "apps/load/run.h"
#include "apps/load/tally.h"
#include "apps/runtime/node.h"
#include "core/result.h"
#include "core/time.h"

namespace siglane::load {

// One kind of traffic: who it simulates, and what came of it. On the node's thread.
class Traffic {
 public:
  Traffic() = default;
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;
  virtual ~Traffic() = default;

  virtual std::string_view protocol() const = 0;
  // How many simulated peers, and the names under which they know the target.
  virtual std::size_t peers() const = 0;
  virtual std::vector<std::string> peer_names() const = 0;
  // Opens an endpoint for each simulated peer and begins to connect it. `run` outlives the shard.
  virtual Result<void> set_up(const runtime::ShardSetUp& at, LoadRun& run) = 0;
  virtual std::vector<GroupTally> groups() const = 0;
  // The run is over: settles what is left, and adds what only this kind of traffic knows.
  virtual void finish(Instant now, Report& report) = 0;
};

}  // namespace siglane::load
