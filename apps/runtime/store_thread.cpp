#include "apps/runtime/store_thread.h"

#include <algorithm>
#include <utility>

#include "apps/runtime/store_counters.h"

namespace siglane::runtime {

StoreThreadConfig StoreThreadConfig::valid() const {
  StoreThreadConfig config = *this;
  for (std::size_t* number :
       {&config.queue_max, &config.queue_bytes_max, &config.shares, &config.group_max}) {
    *number = std::max<std::size_t>(*number, 1);
  }
  return config;
}

StoreQueue::Limits StoreThreadConfig::limits() const {
  return {{queue_max, queue_bytes_max},
          {std::max<std::size_t>(queue_max / shares, 1), queue_bytes_max / shares}};
}

StoreThread::StoreThread(const StoreThreadConfig& config, std::unique_ptr<Store> store,
                         const Directory& directory, TellOperator tell)
    : config_(config.valid()),
      store_(std::move(store)),
      directory_(directory),
      tell_(std::move(tell)),
      queue_(config_.limits()),
      thread_([this] { run(); }) {}

StoreThread::~StoreThread() {
  stop();
}

bool StoreThread::ask(ShardId shard, AssociationId from, ParcelPtr& request) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    switch (queue_.push(shard, from, request)) {
      case StoreQueue::Outcome::full:
        counters_.add(counter::store_refused_full);
        return false;
      case StoreQueue::Outcome::share_full:
        counters_.add(counter::store_refused_share);
        return false;
      case StoreQueue::Outcome::taken:
        break;
    }
  }
  wake_.notify_one();
  return true;
}

void StoreThread::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

std::size_t StoreThread::outstanding() const {
  std::lock_guard lock(mutex_);
  return queue_.outstanding().parcels;
}

void StoreThread::run() {
  look_at_ = std::chrono::steady_clock::now() + config_.look_every;
  while (take()) {
    if (!group_.requests.empty()) run_group();
    look_if_due();
  }
}

// The next group, or none when it is time to look. false: stopped, and nothing waits any more.
bool StoreThread::take() {
  group_.clear();
  std::unique_lock lock(mutex_);
  wake_.wait_until(lock, look_at_, [this] { return stopping_ || !queue_.empty(); });
  const bool ended = stopping_ && queue_.empty();
  queue_.pop(config_.group_max, group_, abandoned_);
  queue_.release(abandoned_);
  lock.unlock();
  counters_.add(counter::store_abandoned, abandoned_.requests.size());
  abandoned_.clear();
  return !ended;
}

void StoreThread::run_group() {
  const std::span<ParcelPtr> requests = group_.requests;
  counters_.add(counter::store_requests, requests.size());
  if (const auto done = store_->run(requests)) {
    counters_.add(counter::store_commits);
    failing_.end(*this);
  } else {
    counters_.add(counter::store_failures, requests.size());
    failing_.go_on(done.error().what, *this);
  }
  {
    std::lock_guard lock(mutex_);
    queue_.release(group_);
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const StoreQueue::Asker& asker = group_.askers[i];
    if (Mailbox* mailbox = directory_.mailbox_of(asker.shard)) {
      mailbox->post_control(Completion{asker.id, std::move(requests[i])});
    }
  }
}

void StoreThread::look_if_due() {
  const auto now = std::chrono::steady_clock::now();
  if (now < look_at_) return;
  look_at_ = now + config_.look_every;
  if (const auto good = store_->look(); good) {
    shaky_.end(*this);
  } else if (!failing_.is(good.error().what)) {  // else it has been said
    shaky_.go_on(good.error().what, *this);
  }
}

void StoreThread::Trouble::go_on(const std::string& what, const StoreThread& thread) {
  const auto now = std::chrono::steady_clock::now();
  if (tell_again_ != SteadyTime{} && now < tell_again_) return;
  tell_again_ = now + thread.config_.tell_every;
  what_ = what;
  told_ = true;
  thread.tell(std::string(now_) + what, true);
}

void StoreThread::Trouble::end(const StoreThread& thread) {
  if (std::exchange(told_, false)) thread.tell(std::string(over_), false);
}

void StoreThread::tell(std::string text, bool warning) const {
  if (tell_) tell_(notice(text, warning ? Severity::warning : Severity::info));
}

}  // namespace siglane::runtime
