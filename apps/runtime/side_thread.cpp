#include "apps/runtime/side_thread.h"

#include <utility>

#include <pthread.h>
#include <sys/resource.h>

#include "transport/loop/loop.h"

namespace siglane::runtime {

SideThread::SideThread(transport::Loop& loop)
    : handed_back_(loop.async([this] { hand_back(); })), thread_([this] { work(); }) {
  pthread_setname_np(thread_.native_handle(), "admin");
}

SideThread::~SideThread() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  more_.notify_one();
  thread_.join();
}

void SideThread::run(std::function<void()> work, std::function<void()> then) {
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(work), std::move(then)});
  }
  more_.notify_one();
}

void SideThread::work() {
  // Where processors are scarce, the loops go first: niceness is the thread's own (sched(7)).
  (void)::setpriority(PRIO_PROCESS, 0, 10);
  std::unique_lock lock(mutex_);
  for (;;) {
    more_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (ending_) return;
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    job.work();
    job.work = {};  // what it held goes here too
    lock.lock();
    done_.push_back(std::move(job.then));
    handed_back_.send();
  }
}

void SideThread::hand_back() {
  std::vector<std::function<void()>> done;
  {
    std::lock_guard lock(mutex_);
    done.swap(done_);
  }
  for (const auto& then : done) then();
}

}  // namespace siglane::runtime
