#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/association.h"

namespace siglane {

// How a parcel crosses from shard to shard.
enum class Carriage : std::uint8_t {
  unordered,  // bounded; where there is no room it is Undelivered and may go elsewhere
  ordered,    // bounded; waits for its turn, and never overtakes an earlier one of its flow
  control,    // rare and never refused: what states are made of
};

// What a parcel holds, where a session of another module than its sender's may open it: MSUs of
// MTP3 go from one user part's module to another's. One object for each kind, compared by address.
struct ParcelDomain {
  std::string_view name;
};
inline constexpr ParcelDomain kOwnModuleOnly{"its own module's"};

// A decoded message on its way between two sessions. Whoever may open it knows what its domain
// holds, or, of one module, its own kinds: so a static_cast will do. Its memory comes from and
// returns to a free list of the thread, so that a parcel costs no heap allocation in steady state.
class Parcel {
 public:
  Parcel() = default;
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;
  virtual ~Parcel() = default;

  virtual Carriage carriage() const { return Carriage::unordered; }
  virtual const ParcelDomain& domain() const { return kOwnModuleOnly; }
  // Bytes of messages that it keeps alive, for those who bound how much waits.
  virtual std::size_t bytes_held() const { return 0; }
  // The message in a line, for an operator who wants to know what was dropped.
  virtual std::string describe() const { return {}; }
  // The peer whose request it is, for those who bound how much of one peer's waits, whichever of
  // its connections it came on; empty: nobody's. Good as long as the parcel.
  virtual std::string_view asked_by() const { return {}; }
  // false: that connection is gone, and nobody waits for what comes of this. Any thread.
  virtual bool wanted() const { return true; }

  // Where it has been already: route() excludes these. False: it was everywhere it may go.
  bool mark_tried(AssociationId id) {
    if (tried_count_ == tried_.size()) return false;
    tried_[tried_count_++] = id;
    return true;
  }
  std::span<const AssociationId> tried() const { return {tried_.data(), tried_count_}; }
  bool was_tried(AssociationId id) const {
    for (AssociationId t : tried()) {
      if (t == id) return true;
    }
    return false;
  }

  static void* operator new(std::size_t size);
  static void operator delete(void* memory, std::size_t size);

 private:
  std::array<AssociationId, 4> tried_{};
  std::uint8_t tried_count_ = 0;
};
using ParcelPtr = std::unique_ptr<Parcel>;

enum class Why { no_such_association, refused, not_open, congested, timed_out, exhausted };
std::string_view name_of(Why why);

}  // namespace siglane
