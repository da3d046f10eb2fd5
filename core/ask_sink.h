#pragma once
#include "core/association.h"
#include "core/parcel.h"

namespace siglane {

// The way to the store thread, for Ask. What is completed returns to the session that asked, as a
// Completion through its shard's mailbox. A request that nobody wants any more before it has begun
// (Parcel::wanted) is dropped, and does not return. Any thread.
class AskSink {
 public:
  // false: the store's queue is full, or the share of it that the request's peer has; the request
  // is untouched and the shard gives it back (Completed, not run), so that the session can fail it.
  [[nodiscard]] virtual bool ask(ShardId shard, AssociationId from, ParcelPtr& request) = 0;

 protected:
  ~AskSink() = default;
};

}  // namespace siglane
