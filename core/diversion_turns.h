#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "core/diversion.h"

namespace siglane {

// The diversions of a node: one is under way, and flows wait for the next. The Directory has the
// one object, and guards it.
//
// Nothing here waits for a time: a shard that is alive answers each letter, and shards stop
// together. What ends meanwhile, the association that moves or a coordinator, ends on its shard
// alone; the diversion goes on to its end.
class DiversionTurns {
 public:
  // Flows in one reroute. A shard steps all their coordinators in one turn, and each of them may
  // drain what it holds (FlowGroup::Limits::drained_per_ms_max): together that must find room
  // between two shards (ShardConfig::outbound), and in the send queue of a member of all of them.
  static constexpr std::size_t kFlowsMax = 16;

  explicit DiversionTurns(std::size_t shards = 0) : shards_(shards) {}
  // Before the first diversion.
  void use(std::size_t shards) { shards_ = shards; }

  // Nothing: another is under way.
  [[nodiscard]] std::optional<Diversion> begin(const Diversion::Move& move);
  // Where another is under way the flow waits for its turn, and comes out of end(). A flow that
  // waits already waits once.
  [[nodiscard]] std::optional<Diversion> begin(const Diversion::Flow& flow);
  // A shard has done its part of this step. true: it was the last one, and the next step begins.
  [[nodiscard]] bool followed(std::uint64_t diversion);
  // It is over. Returns the next one, if flows wait.
  [[nodiscard]] std::optional<Diversion> end(std::uint64_t diversion);

  bool under_way() const { return under_way_ != 0; }
  // How many have begun.
  std::uint64_t begun() const { return last_; }

 private:
  Diversion begin_now(Diversion diversion);
  Diversion begin_waiting();

  std::size_t shards_;
  std::uint64_t last_ = 0, under_way_ = 0;  // by number; 0: none
  std::size_t to_follow_ = 0;               // shards, in this step
  std::deque<Diversion::Flow> waiting_;
};

}  // namespace siglane
