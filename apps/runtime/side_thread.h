#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "transport/loop/uv_handles.h"

namespace siglane::transport {
class Loop;
}

namespace siglane::runtime {

// A thread for what would stall a loop. On that loop's thread.
class SideThread {
 public:
  explicit SideThread(transport::Loop& loop);
  // Waits for the work at hand. What has not begun is dropped, and no `then` runs any more.
  ~SideThread();
  SideThread(const SideThread&) = delete;
  SideThread& operator=(const SideThread&) = delete;

  // `work` on the side thread, one after another, and after it `then` on the loop's.
  void run(std::function<void()> work, std::function<void()> then);

 private:
  struct Job {
    std::function<void()> work, then;
  };
  void work();
  void hand_back();

  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<Job> waiting_;
  std::vector<std::function<void()>> done_;
  bool ending_ = false;
  transport::Async handed_back_;
  std::thread thread_;  // uses all of them
};

}  // namespace siglane::runtime
