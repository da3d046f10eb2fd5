#include "core/diversion_turns.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace siglane {

std::optional<Diversion> DiversionTurns::begin(const Diversion::Move& move) {
  if (under_way()) return std::nullopt;
  return begin_now({0, move});
}

std::optional<Diversion> DiversionTurns::begin(const Diversion::Flow& flow) {
  const auto same = std::ranges::find(waiting_, flow.coordinator, &Diversion::Flow::coordinator);
  if (same == waiting_.end()) waiting_.push_back(flow);
  if (under_way()) return std::nullopt;
  return begin_waiting();
}

Diversion DiversionTurns::begin_now(Diversion diversion) {
  diversion.number = under_way_ = ++last_;
  to_follow_ = shards_;
  return diversion;
}

// One reroute for the flows that have waited longest.
Diversion DiversionTurns::begin_waiting() {
  const auto end =
      waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), kFlowsMax));
  std::vector<Diversion::Flow> flows(waiting_.begin(), end);
  waiting_.erase(waiting_.begin(), end);
  std::ranges::sort(flows, {}, &Diversion::Flow::coordinator);
  return begin_now({0, Diversion::Reroute{std::make_shared<const std::vector<Diversion::Flow>>(
                           std::move(flows))}});
}

bool DiversionTurns::followed(std::uint64_t diversion) {
  if (under_way_ != diversion || --to_follow_ > 0) return false;
  to_follow_ = shards_;
  return true;
}

std::optional<Diversion> DiversionTurns::end(std::uint64_t diversion) {
  if (under_way_ != diversion) return std::nullopt;
  under_way_ = 0;
  if (waiting_.empty()) return std::nullopt;
  return begin_waiting();
}

}  // namespace siglane
