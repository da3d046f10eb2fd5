#include "core/parcel.h"

#include <array>
#include <cstddef>
#include <new>

namespace siglane {
namespace {

// Parcels are made and dropped once per message: a few sizes, kept for reuse by each thread. One
// that is dropped on another thread stays there; the caps bound what that can gather.
class Freelist {
 public:
  ~Freelist() {
    for (auto& list : lists_) {
      while (list.head != nullptr) {
        Node* node = list.head;
        list.head = node->next;
        ::operator delete(node);
      }
    }
  }
  void* take(std::size_t size) {
    const std::size_t index = index_of(size);
    if (index >= lists_.size()) return ::operator new(size);
    List& list = lists_[index];
    if (list.head == nullptr) return ::operator new((index + 1) * kStep);
    --list.length;
    Node* node = list.head;
    list.head = node->next;
    return node;
  }
  void give(void* memory, std::size_t size) {
    const std::size_t index = index_of(size);
    if (index >= lists_.size() || lists_[index].length == kLengthMax) {
      ::operator delete(memory);
      return;
    }
    List& list = lists_[index];
    list.head = new (memory) Node{list.head};
    ++list.length;
  }

 private:
  static constexpr std::size_t kStep = 64;
  static constexpr std::size_t kLengthMax = 4096;
  struct Node {
    Node* next;
  };
  struct List {
    Node* head = nullptr;
    std::size_t length = 0;
  };
  static std::size_t index_of(std::size_t size) { return (size - 1) / kStep; }

  std::array<List, 16> lists_;  // up to 1 KiB
};

Freelist& this_threads() {
  thread_local Freelist freelist;
  return freelist;
}

}  // namespace

void* Parcel::operator new(std::size_t size) {
  return this_threads().take(size);
}
void Parcel::operator delete(void* memory, std::size_t size) {
  this_threads().give(memory, size);
}

}  // namespace siglane
