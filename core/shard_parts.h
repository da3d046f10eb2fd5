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

struct Shard::Entry {
  // What is needed of an association until it is known who it is.
  struct Newcomer {
    Instant identify_by{};
    std::vector<std::string> remote_addresses;
    std::optional<std::vector<std::string>> certificate_names;
    // While another shard is asked whether the association is still there that this peer has.
    std::string claims = {};
    std::vector<SessionInput> held = {};
  };
  bool identified() const { return newcomer == nullptr; }
  bool claiming() const { return newcomer != nullptr && !newcomer->claims.empty(); }

  AssociationId id{};
  ProtocolModule* module = nullptr;
  std::unique_ptr<Session> session;  // null: refused, waiting for its Down
  Deadlines<AssociationId>::Slot armed;
  bool coordinator = false;
  bool closing = false;
  bool held_back = false;              // its input is to be paused, where it can be alone
  std::unique_ptr<Newcomer> newcomer;  // null: identified, or a coordinator
  std::string peer;
  std::unique_ptr<SessionInput> identity;  // the answer to Identify, for the next step
  Instant since{};
  std::uint64_t messages_received = 0, messages_sent = 0, bytes_received = 0, bytes_sent = 0;
  std::uint64_t messages_balanced = 0;  // received and sent by the last balance()
  Stay stay;                            // on this shard
};

// Connected or connecting (`current`), or going to be (`retry_at`); else it rests, as another
// association is its peer.
struct Shard::Link {
  EndpointId local{};
  PeerConfig peer;
  Backoff backoff;
  AssociationId current = AssociationId::none;
  std::optional<Instant> retry_at = std::nullopt;
  Deadlines<std::weak_ptr<Link>>::Slot armed = std::nullopt;
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

// An outbox for one step or one routing decision; nested ones are different.
class Shard::OutboxLease {
 public:
  explicit OutboxLease(Shard& shard) : shard_(shard) {
    if (shard_.outboxes_used_ == shard_.outboxes_.size()) {
      shard_.outboxes_.push_back(std::make_unique<Outbox>(shard_.buffers_, shard_.counters_));
    }
    out_ = shard_.outboxes_[shard_.outboxes_used_++].get();
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
  std::optional<Link> link;  // of a peer that we keep connected; none: it came to us
};

}  // namespace siglane
