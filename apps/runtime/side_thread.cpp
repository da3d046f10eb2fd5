#include "apps/runtime/side_thread.h"

#include <cerrno>
#include <future>
#include <system_error>
#include <utility>

#include <pthread.h>
#include <sys/resource.h>

namespace siglane::runtime {
namespace {

std::unique_ptr<transport::Loop> make_loop() {
  auto loop = transport::Loop::create();
  if (!loop) throw std::system_error(EMFILE, std::generic_category(), loop.error().what);
  return std::move(*loop);
}

}  // namespace

SideThread::SideThread(transport::Loop& home)
    : handed_back_(home.async([this] { hand_back(); })),
      loop_(make_loop()),
      more_(std::make_unique<transport::Async>(loop_->async([this] { take_next(); }))),
      thread_([this] { serve(); }) {
  pthread_setname_np(thread_.native_handle(), "admin");
}

SideThread::~SideThread() {
  {
    std::lock_guard lock(mutex_);
    waiting_.clear();
    waiting_.push_back([this] { loop_->stop(); });
    more_->send();
  }
  thread_.join();
}

void SideThread::serve() {
  // Where processors are scarce, the loops go first: niceness is the thread's own (sched(7)).
  (void)::setpriority(PRIO_PROCESS, 0, 10);
  loop_->run();
  std::lock_guard lock(mutex_);
  more_.reset();
}

void SideThread::call(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(work));
  if (more_ != nullptr) more_->send();
}

void SideThread::run(std::function<void()> work, std::function<void()> then) {
  call([this, work = std::move(work), then = std::move(then)]() mutable {
    work();
    work = {};  // what it held goes here too
    std::lock_guard lock(mutex_);
    done_.push_back(std::move(then));
    handed_back_.send();
  });
}

void SideThread::run_now(const std::function<void()>& work) {
  std::promise<void> done;
  call([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

// One in each turn, so that what else lives on the loop has its own.
void SideThread::take_next() {
  std::function<void()> next;
  {
    std::lock_guard lock(mutex_);
    if (waiting_.empty()) return;
    next = std::move(waiting_.front());
    waiting_.pop_front();
    if (!waiting_.empty()) more_->send();
  }
  next();
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
