#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "apps/runtime/store_queue.h"
#include "core/ask_sink.h"
#include "core/counters.h"
#include "core/directory.h"
#include "core/facts.h"
#include "core/result.h"

namespace siglane::runtime {

// What a store thread runs: durable state behind an application. Called by that thread alone.
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  // Runs the requests of `group` in order, as one transaction, and leaves each one's result in its
  // parcel. A value: what the parcels say is durable, and a request that failed by itself says so
  // in its own. An error: nothing was changed, every parcel says that it failed, and the error is
  // what an operator has to know. Must not throw.
  virtual Result<void> run(std::span<const ParcelPtr> group) = 0;
  // Now and then, also when nobody asks: an error is what is wrong with what the store stands on,
  // and what to do about it.
  virtual Result<void> look() { return {}; }
};

struct StoreThreadConfig {
  // Of requests accepted and not completed; beyond: ask() refuses.
  std::size_t queue_max = 8192;
  std::size_t queue_bytes_max = std::size_t{16} << 20;  // that they keep (Parcel::bytes_held)
  // One peer's requests (Parcel::asked_by) may have one of so many equal shares of both.
  std::size_t shares = 16;
  std::size_t group_max = 256;  // requests in one transaction
  Duration look_every = 10s;
  Duration tell_every = 1min;  // an operator of the same trouble

  // All at least 1.
  StoreThreadConfig valid() const;
  StoreQueue::Limits limits() const;
};

// Who hears of a store's trouble: on the store's thread, must not block.
using TellOperator = std::function<void(const Fact&)>;

// The thread that waits for the disk, so that no loop does. It takes what waits, runs it as one
// group, and completes it only after the group is durable: under load one flush serves many
// requests, and a lone request waits for nobody. One FIFO, so whoever asks twice about the same
// thing is served in that order. What nobody wants any more (Parcel::wanted) before its group
// begins is dropped.
//
// What is completed returns in its own parcel, as a Completion in the mailbox of the shard that
// asked.
class StoreThread final : public AskSink {
 public:
  // `directory` and its mailboxes must outlive the thread. It starts at once.
  StoreThread(const StoreThreadConfig& config, std::unique_ptr<Store> store,
              const Directory& directory, TellOperator tell = {});
  // stop()
  ~StoreThread();

  // Any thread. false: no room for it, or the thread stopped, and the request is untouched.
  [[nodiscard]] bool ask(ShardId shard, AssociationId from, ParcelPtr& request) override;

  // Runs and completes what waits, refuses what comes, ends the thread. Idempotent; not from the
  // store thread itself.
  void stop();

  // store.*: read by any thread.
  const Counters& counters() const { return counters_; }
  // Requests accepted and not completed. Any thread.
  std::size_t outstanding() const;

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  // Trouble of one kind: told when it begins, then again and again, and its end once; if it comes
  // and goes, no more often than that.
  class Trouble {
   public:
    Trouble(std::string_view now, std::string_view over) : now_(now), over_(over) {}
    void go_on(const std::string& what, const StoreThread& thread);
    void end(const StoreThread& thread);
    bool is(const std::string& what) const { return told_ && what_ == what; }

   private:
    std::string_view now_, over_;
    std::string what_;
    bool told_ = false;  // and its end not
    SteadyTime tell_again_{};
  };

  void run();
  bool take();
  void run_group();
  void look_if_due();
  void tell(std::string text, bool warning) const;

  const StoreThreadConfig config_;
  const std::unique_ptr<Store> store_;
  const Directory& directory_;
  const TellOperator tell_;
  Counters counters_;  // refusals: under the lock; all others: by the store's thread

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  StoreQueue queue_;
  bool stopping_ = false;

  // The thread's own.
  StoreQueue::Group group_, abandoned_;
  Trouble failing_{"the store fails: ", "the store works again"};             // run()
  Trouble shaky_{"the store is in danger: ", "the store is in order again"};  // look()
  SteadyTime look_at_{};

  std::thread thread_;  // last: runs on all of the above
};

}  // namespace siglane::runtime
