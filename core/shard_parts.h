#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/shard.h"
#include "core/stay.h"

// What Shard is made of, for its own source files.
namespace siglane {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

inline constexpr std::string_view kByOrder = "the operator asks for it";

inline const std::string& first_of(const std::vector<std::string>& addresses) {
  static const std::string unknown = "unknown";
  return addresses.empty() ? unknown : addresses.front();
}

struct Traffic {
  std::uint64_t messages_received = 0, messages_sent = 0, bytes_received = 0, bytes_sent = 0;
};

inline std::string in_words(const AssociationDown& down) {
  return std::string(name_of(down.cause)) + (down.detail.empty() ? "" : ": " + down.detail);
}

struct Shard::Entry {
  bool identified() const { return newcomer == nullptr; }
  // As operators read it; empty: they have not read of it yet.
  const std::string& shown() const { return peer.empty() ? remote : peer; }
  // Nothing has been told of it, and nothing need be: strangers are told of all together.
  bool stranger() const { return newcomer != nullptr && !told_of; }
  bool claiming() const { return newcomer != nullptr && newcomer->claiming(); }

  AssociationId id{};
  ProtocolModule* module = nullptr;
  std::unique_ptr<Session> session;  // null: refused, waiting for its Down
  Deadlines<AssociationId>::Slot armed;
  bool coordinator = false;
  bool closing = false;
  bool told_of = false;                    // its beginning, so that its end is to be told too
  std::unique_ptr<Unidentified> newcomer;  // null: identified, or a coordinator
  std::string remote;                      // told_of: its address and port, in words
  std::string peer;
  SparseCounts* counts = nullptr;          // its peer's, on this shard; nullptr: not identified
  std::unique_ptr<SessionInput> identity;  // the answer to Identify, for the next step
  bool lingers = false;                    // its session has something to send before it closes
  std::uint64_t revision = 0;              // that it was made under, or has followed
  StandingOrders obeyed;                   // what its session has been told
  bool end_noted = false;                  // its session has said why it closes
  std::vector<Inquiry> claimants;          // they wait for its end, which is near
  Instant since{};
  Traffic traffic;
  Traffic settled;  // the part of it that `counts` has, or that was before it was known whose it is
  std::uint64_t messages_balanced = 0;  // received and sent by the last balance()
  Stay stay;                            // on this shard
};

struct Shard::Work {
  struct Failure {
    ParcelPtr parcel;
    Why why{};
  };
  struct Loss {
    ParcelPtr parcel;
    const DropReason* reason = nullptr;
  };
  AssociationId id{};                // who is stepped, or who failed to forward
  ProtocolModule* module = nullptr;  // who answers for a parcel that finds nobody
  std::variant<SessionInput, Failure, Loss> what;
};

// An outbox for one step or one routing decision, which counts for `peer` too; nested ones are
// different.
class Shard::OutboxLease {
 public:
  OutboxLease(Shard& shard, SparseCounts* peer) : shard_(shard) {
    if (shard_.outboxes_used_ == shard_.outboxes_.size()) {
      shard_.outboxes_.push_back(std::make_unique<Outbox>(shard_.buffers_, shard_.counters_));
    }
    out_ = shard_.outboxes_[shard_.outboxes_used_++].get();
    out_->count_for(peer);
  }
  ~OutboxLease() {
    out_->clear();
    --shard_.outboxes_used_;
  }
  OutboxLease(const OutboxLease&) = delete;
  OutboxLease& operator=(const OutboxLease&) = delete;

  Outbox& operator*() const { return *out_; }

 private:
  Shard& shard_;
  Outbox* out_;
};

// An association and all that this shard knows of it, between two shards.
struct Shard::Traveller final : MovingUnit {
  std::unique_ptr<Entry> entry;
  std::unique_ptr<DetachedAssociation> cargo;
  std::optional<Dialer::Link> link;  // of a peer that we keep connected; none: it came to us
  bool paused = false;               // its session asked for that
};

}  // namespace siglane
