#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "transport/loop/loop.h"

namespace siglane::runtime {

// A thread with a loop, beside another loop ("home"), for what would stall that one: work that
// takes long, and whoever talks to operators. On the home loop's thread, except where it says
// otherwise.
class SideThread {
 public:
  // Throws std::system_error if there can be no such thread.
  explicit SideThread(transport::Loop& home);
  // Waits for the work at hand. What has not begun is dropped, and no `then` runs any more.
  ~SideThread();
  SideThread(const SideThread&) = delete;
  SideThread& operator=(const SideThread&) = delete;

  // `work` on the side thread, one after another, and after it `then` on the home loop's.
  void run(std::function<void()> work, std::function<void()> then);
  // `work` soon, on the side thread. Any thread.
  void call(std::function<void()> work);
  // Waits until the side thread has done `work`: for what begins and ends with this.
  void run_now(const std::function<void()>& work);

  // For what lives on the side thread.
  transport::Loop& loop() { return *loop_; }

 private:
  void serve();
  void take_next();
  void hand_back();

  std::mutex mutex_;
  std::deque<std::function<void()>> waiting_;
  std::vector<std::function<void()>> done_;
  transport::Async handed_back_;  // of the home loop
  std::unique_ptr<transport::Loop> loop_;
  std::unique_ptr<transport::Async> more_;  // of loop_
  std::thread thread_;                      // uses all of them
};

}  // namespace siglane::runtime
