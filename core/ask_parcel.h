#pragma once
#include "core/parcel.h"

namespace siglane {

// What an application asks a store with: derive from it. It counts for the peer whose request
// caused it, and is dropped unless it has begun when that peer's connection is gone.
class AskParcel : public Parcel {
 public:
  std::size_t bytes_held() const override { return cause ? cause->bytes_held() : 0; }
  std::string_view asked_by() const override { return cause ? cause->asked_by() : ""; }
  bool wanted() const override { return cause == nullptr || cause->wanted(); }

  ParcelPtr cause;  // what the application will answer; the store does not look at it
};

}  // namespace siglane
