#include "transport/loop/shard_loop.h"

#include <algorithm>
#include <utility>

#include <malloc.h>

namespace siglane::transport {
namespace {

constexpr Duration kMeasureInterval = 1s;
// Traffic has its ups and downs: what one of them needs is kept for the next.
constexpr Duration kReleaseInterval = 10s;

}  // namespace

ShardLoop::ShardLoop(Loop& loop, Shard& shard)
    : loop_(loop),
      shard_(shard),
      due_(loop.timer([this] {
        armed_for_.reset();
        shard_.run_due(loop_.now());
      })),
      grace_over_(loop.timer([this] { give_up(); })),
      measure_(loop.timer([this] { measure(); })),
      release_(loop.timer([this] {
        shard_.release_unused_memory();
        // The heap is that of all shards. Pages in its midst would stay for ever otherwise.
        if (shard_.id() == ShardId{0}) ::malloc_trim(0);
        release_.start_after(kReleaseInterval);
      })),
      mail_(loop.async([this] {
        shard_.run_mailbox(loop_.now());
        if (shard_.mail_waits()) mail_.send();
      })),
      end_of_turn_(loop.at_end_of_turn([this] { at_end_of_turn(); })) {
  shard_.mailbox().on_wake([this] { mail_.send(); });
  mail_.send();  // for what was posted before anyone listened
  release_.start_after(kReleaseInterval);
}

ShardLoop::~ShardLoop() {
  shard_.mailbox().on_wake({});
}

void ShardLoop::keep_balanced() {
  loop_.measure_idle_time();
  measured_at_ = Loop::fresh_now();
  idle_until_then_ = loop_.idle_time();
  measure_.start_after(kMeasureInterval);
}

void ShardLoop::measure() {
  const Instant now = Loop::fresh_now();
  const Duration idle = loop_.idle_time();
  const double blocked = seconds(idle - std::exchange(idle_until_then_, idle)) /
                         seconds(now - std::exchange(measured_at_, now));
  shard_.balance(std::clamp(1 - blocked, 0.0, 1.0), loop_.now());
  if (!stopping_) measure_.start_after(kMeasureInterval);
}

void ShardLoop::stop(Duration grace) {
  if (stopping_) return;
  stopping_ = true;
  grace_over_.start_after(grace);
  shard_.stop(loop_.now());
}

void ShardLoop::give_up() {
  abandoned_ = true;
  shard_.abandon();
  loop_.stop();
}

void ShardLoop::at_end_of_turn() {
  if (stopping_ && shard_.idle()) {
    grace_over_.stop();
    loop_.stop();
    return;
  }
  // Armed too early is harmless: the shard finds nothing due, and is asked again here.
  const std::optional<Instant> deadline = shard_.next_deadline();
  if (!deadline || (armed_for_ && *armed_for_ <= *deadline)) return;
  armed_for_ = deadline;
  due_.start_at(*deadline);
}

}  // namespace siglane::transport
