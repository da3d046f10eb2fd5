#pragma once
#include <memory>
#include <mutex>

namespace siglane {

// One immutable value that readers on any thread load and writers replace whole: RouteTable and
// the like. Readers keep what they loaded for the length of one call.
template <class T>
class Snapshot {
 public:
  Snapshot() : value_(std::make_shared<const T>()) {}
  explicit Snapshot(T value) : value_(std::make_shared<const T>(std::move(value))) {}

  std::shared_ptr<const T> load() const { return std::atomic_load(&value_); }

  // `change` receives a copy of the present value and alters it; writers take turns.
  template <class Change>
  void update(Change&& change) {
    std::lock_guard lock(writers_);
    auto next = std::make_shared<T>(*value_);
    change(*next);
    std::atomic_store(&value_, std::shared_ptr<const T>(std::move(next)));
  }

 private:
  std::mutex writers_;
  std::shared_ptr<const T> value_;
};

}  // namespace siglane
