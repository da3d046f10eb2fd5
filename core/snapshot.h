#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace siglane {

// One immutable value that readers on any thread see and writers replace whole: RouteTable and the
// like. For the control plane: load(). For the data path, a Reader on each thread.
template <class T>
class Snapshot {
 public:
  class Reader;

  Snapshot() : value_(std::make_shared<const T>()) {}
  explicit Snapshot(T value) : value_(std::make_shared<const T>(std::move(value))) {}
  explicit Snapshot(std::shared_ptr<const T> value) : value_(std::move(value)) {}

  // Keep it for the length of one call. Any thread; takes a lock.
  std::shared_ptr<const T> load() const {
    std::lock_guard lock(mutex_);
    return value_;
  }

  // `change` receives a copy of the present value and alters it; writers take turns.
  template <class Change>
  void update(Change&& change) {
    std::lock_guard turn(writers_);
    auto next = std::make_shared<T>(*value_);  // only writers replace it
    change(*next);
    replace(std::move(next));
  }
  // With a value that was made elsewhere; writers take turns.
  void set(std::shared_ptr<const T> next) {
    std::lock_guard turn(writers_);
    replace(std::move(next));
  }

 private:
  // The old value, which may take long to destroy, goes outside the lock of the readers.
  void replace(std::shared_ptr<const T> next) {
    {
      std::lock_guard lock(mutex_);
      value_.swap(next);
    }
    version_.fetch_add(1, std::memory_order_release);
  }

  std::mutex writers_;
  mutable std::mutex mutex_;  // over value_
  std::shared_ptr<const T> value_;
  std::atomic<std::uint64_t> version_ = 1;
};

// One thread's view of a Snapshot, which costs a load of a number that hardly ever changes, and a
// lock only after it has changed. std::atomic<std::shared_ptr> would take a lock each time
// (libstdc++ 12), and count its readers in one place that all threads write.
template <class T>
class Snapshot<T>::Reader {
 public:
  // The value as it is now. Good until the next call.
  const T& get(const Snapshot& source) {
    // Read before the value: one that is replaced in between is read again next time.
    const std::uint64_t version = source.version_.load(std::memory_order_acquire);
    if (version != version_) {
      value_ = source.load();
      version_ = version;
    }
    return *value_;
  }

 private:
  std::shared_ptr<const T> value_;
  std::uint64_t version_ = 0;  // of value_, or later
};

}  // namespace siglane
