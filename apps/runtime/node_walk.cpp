#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "apps/runtime/node.h"
#include "apps/runtime/node_shard.h"
#include "apps/runtime/side_thread.h"

// Node: what takes long, beside what must not wait.
namespace siglane::runtime {
namespace {

// Whoever's message comes meanwhile waits for as long at the most.
constexpr Duration kSlice = 50us;

}  // namespace

struct Node::Walk {
  std::function<WalkStep(const Shard&, const Transport&)> begin;
  std::function<void()> then;
  WalkStep step;  // of the shard that it is at; empty: it has just come there
};

void Node::walk(std::function<WalkStep(const Shard&, const Transport&)> begin,
                std::function<void()> then) {
  walk_on(0, std::make_shared<Walk>(Walk{std::move(begin), std::move(then), {}}));
}

// Posted anew for each slice: what came meanwhile is served in between.
void Node::walk_on(std::size_t index, std::shared_ptr<Walk> walk) {
  if (index == shards_.size()) return call([walk] { walk->then(); });
  ShardRuntime& at = *shards_[index];
  at.shard->mailbox().post_control(Call{[this, &at, index, walk] {
    const Instant enough = transport::Loop::fresh_now() + kSlice;
    if (!walk->step) walk->step = walk->begin(*at.shard, at.transports);
    do {
      if (walk->step()) continue;
      walk->step = {};
      return walk_on(index + 1, walk);
    } while (transport::Loop::fresh_now() < enough);
    walk_on(index, walk);
  }});
}

void Node::beside(std::function<void()> work, std::function<void()> then) {
  if (side_thread_ == nullptr) {
    try {
      side_thread_ = std::make_unique<SideThread>(loop());
    } catch (const std::system_error& error) {
      say(fmt::format("no thread for what takes long: {}; its work holds up shard 0 instead, until "
                      "the system has one (ulimit -u, TasksMax=)",
                      error.what()),
          Severity::error);
      work();
      return call(std::move(then));
    }
  }
  side_thread_->run(std::move(work), std::move(then));
}

}  // namespace siglane::runtime
