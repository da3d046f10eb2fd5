#pragma once
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/counters.h"
#include "core/directory.h"
#include "core/protocol.h"

namespace siglane::runtime {

// What a store thread runs: durable state behind an application. Called by that thread alone.
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  // Runs the requests of `group` in order, as one transaction, and leaves each one's result in its
  // parcel. true: what the parcels say is durable. false: nothing was changed, and every parcel
  // says that it failed. Must not throw.
  virtual bool run(std::span<const ParcelPtr> group) = 0;
};

struct StoreThreadConfig {
  std::size_t queue_max = 8192;  // requests accepted and not completed; beyond: ask() refuses
  std::size_t group_max = 256;   // requests in one transaction
};

// The thread that waits for the disk, so that no loop does. It takes all requests that wait, runs
// them as one group, and completes them only after the group is durable: under load one flush
// serves many requests, and a lone request waits for nobody. One FIFO, so whoever asks twice about
// the same thing is served in that order.
//
// A completion is the request's own parcel, as a control Delivery{from: none, to: asker} in the
// mailbox of the shard that asked.
class StoreThread final : public AskSink {
 public:
  // `directory` and its mailboxes must outlive the thread. It starts at once.
  StoreThread(StoreThreadConfig config, std::unique_ptr<Store> store, const Directory& directory);
  // stop()
  ~StoreThread();

  // Any thread. false: the queue is full or the thread stopped, and the request is untouched.
  [[nodiscard]] bool ask(ShardId shard, AssociationId from, ParcelPtr& request) override;

  // Runs and completes what waits, refuses what comes, ends the thread. Idempotent; not from the
  // store thread itself.
  void stop();

  // store.*: written by the store thread alone, read by any.
  const Counters& counters() const { return counters_; }
  // Requests accepted and not completed. Any thread.
  std::size_t outstanding() const;

 private:
  struct Asker {
    ShardId shard{};
    AssociationId id{};
  };
  // Parallel, so that a group is a plain span of parcels.
  struct Queue {
    std::vector<ParcelPtr> requests;
    std::vector<Asker> askers;
  };

  void run();
  bool take();
  void run_group(std::span<ParcelPtr> requests, std::span<const Asker> askers);

  const StoreThreadConfig config_;
  const std::unique_ptr<Store> store_;
  const Directory& directory_;
  Counters counters_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Queue waiting_;
  std::size_t outstanding_ = 0;
  bool stopping_ = false;

  Queue taken_;  // the thread's own

  std::thread thread_;  // last: runs on all of the above
};

}  // namespace siglane::runtime
