#include <memory>
#include <utility>

#include <fmt/format.h>

#include "apps/runtime/node.h"
#include "apps/runtime/node_shard.h"
#include "apps/runtime/side_thread.h"

// Node: what takes long, beside what must not wait.
namespace siglane::runtime {
namespace {

// A message that arrives during a slice waits for its end. In the pause the loop sleeps, and other
// threads of a busy machine get their turn.
constexpr Duration kSlice = 50us, kPause = 1ms;

}  // namespace

struct Node::Moves {
  explicit Moves(const Node& node)
      : begun(node.count(counter::moves)), under_way(node.directory_.diverting()) {}
  std::uint64_t begun;
  bool under_way;
};

struct Node::Walk {
  WalkBegin begin;
  std::function<void()> then;
  Moves before;
  unsigned repeats_left = 0;
  WalkStep step = {};  // of the shard that it is at
};

void Node::walk(WalkBegin begin, std::function<void()> then) {
  walk_on(0, std::make_shared<Walk>(Walk{std::move(begin), std::move(then), Moves(*this)}));
}

void Node::walk_what_moves(WalkBegin begin, std::function<void()> then) {
  constexpr unsigned kRepeatsMax = 3;
  walk_on(0, std::make_shared<Walk>(
                 Walk{std::move(begin), std::move(then), Moves(*this), kRepeatsMax}));
}

void Node::end_round(std::shared_ptr<Walk> walk) {
  const Moves before = std::exchange(walk->before, Moves(*this));
  const bool moved = before.under_way || before.begun != walk->before.begun;
  if (!moved || walk->repeats_left == 0) return call([walk] { walk->then(); });
  --walk->repeats_left;
  walk_on(0, walk);
}

void Node::walk_on(std::size_t index, std::shared_ptr<Walk> walk) {
  if (index == shards_.size()) return end_round(walk);
  ShardRuntime& at = *shards_[index];
  at.shard->mailbox().post_control(Call{[this, &at, index, walk] {
    walk->step = walk->begin(*at.shard, at.transports);
    take_slice(index, walk);
  }});
}

void Node::take_slice(std::size_t index, std::shared_ptr<Walk> walk) {
  const Instant enough = transport::Loop::fresh_now() + kSlice;
  while (walk->step()) {
    if (transport::Loop::fresh_now() < enough) continue;
    return shards_[index]->queue_slice([this, index, walk] { take_slice(index, walk); });
  }
  walk->step = {};
  walk_on(index + 1, walk);
}

void Node::ShardRuntime::queue_slice(std::function<void()> slice) {
  slices.push_back(std::move(slice));
  if (!next_slice.active()) next_slice.start_after(kPause);
}

void Node::ShardRuntime::take_slice() {
  const auto slice = std::move(slices.front());
  slices.pop_front();
  slice();
  if (!slices.empty() && !next_slice.active()) next_slice.start_after(kPause);
}

void Node::beside(std::function<void()> work, std::function<void()> then) {
  if (side_thread() == nullptr) {
    say(fmt::format("no thread for what takes long: {}; its work holds up shard 0 instead, until "
                    "the system has one (ulimit -u, TasksMax=)",
                    side_thread_trouble_),
        Severity::error);
    work();
    return call(std::move(then));
  }
  side_thread_->run(std::move(work), std::move(then));
}

}  // namespace siglane::runtime
