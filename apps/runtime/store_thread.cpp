#include "apps/runtime/store_thread.h"

#include <algorithm>
#include <utility>

namespace siglane::runtime {

StoreThread::StoreThread(StoreThreadConfig config, std::unique_ptr<Store> store,
                         const Directory& directory)
    : config_{std::max<std::size_t>(config.queue_max, 1),
              std::max<std::size_t>(config.group_max, 1)},
      store_(std::move(store)),
      directory_(directory),
      thread_([this] { run(); }) {}

StoreThread::~StoreThread() {
  stop();
}

bool StoreThread::ask(ShardId shard, AssociationId from, ParcelPtr& request) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || outstanding_ >= config_.queue_max) return false;
    ++outstanding_;
    waiting_.requests.push_back(std::move(request));
    waiting_.askers.push_back({shard, from});
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
  return outstanding_;
}

void StoreThread::run() {
  while (take()) {
    const std::span<ParcelPtr> requests = taken_.requests;
    const std::span<const Asker> askers = taken_.askers;
    for (std::size_t first = 0; first < requests.size(); first += config_.group_max) {
      const std::size_t count = std::min(config_.group_max, requests.size() - first);
      run_group(requests.subspan(first, count), askers.subspan(first, count));
    }
  }
}

// All that waits, swapped out, so that the vectors' memory is used again. false: stopped, and
// nothing waits any more.
bool StoreThread::take() {
  taken_.requests.clear();
  taken_.askers.clear();
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return stopping_ || !waiting_.requests.empty(); });
  std::swap(waiting_, taken_);
  return !taken_.requests.empty();
}

void StoreThread::run_group(std::span<ParcelPtr> requests, std::span<const Asker> askers) {
  counters_.add(Counter::store_requests, requests.size());
  if (store_->run(requests)) {
    counters_.add(Counter::store_commits);
  } else {
    counters_.add(Counter::store_failures, requests.size());
  }
  {
    std::lock_guard lock(mutex_);
    outstanding_ -= requests.size();
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (Mailbox* mailbox = directory_.mailbox_of(askers[i].shard)) {
      mailbox->post_control(Delivery{AssociationId::none, askers[i].id, std::move(requests[i])});
    }
  }
}

}  // namespace siglane::runtime
