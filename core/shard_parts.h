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

inline const std::string& first_of(const std::vector<std::string>& addresses) {
  static const std::string unknown = "unknown";
  return addresses.empty() ? unknown : addresses.front();
}

struct Shard::Entry {
  // What is needed of an association until it is known who it is.
  struct Newcomer {
    Instant identify_by{};
    std::vector<std::string> remote_addresses;
    std::optional<std::vector<std::string>> certificate_names;
    // While another shard is asked whether the association is still there that this peer has.
    std::string claims = {};
    std::vector<SessionInput> held = {};
    bool noted = false;  // that it was turned away
  };
  bool identified() const { return newcomer == nullptr; }
  bool claiming() const { return newcomer != nullptr && !newcomer->claims.empty(); }

  AssociationId id{};
  ProtocolModule* module = nullptr;
  std::unique_ptr<Session> session;  // null: refused, waiting for its Down
  Deadlines<AssociationId>::Slot armed;
  bool coordinator = false;
  bool closing = false;
  bool told_of = false;  // its beginning, so that its end is to be told too
  // Its input is to be paused, where it can be alone: its parcels find no room, or it says so.
  bool held_back = false;
  bool paused = false;
  std::unique_ptr<Newcomer> newcomer;  // null: identified, or a coordinator
  std::string peer;
  SparseCounts* counts = nullptr;          // its peer's, on this shard; nullptr: not identified
  std::unique_ptr<SessionInput> identity;  // the answer to Identify, for the next step
  bool lingers = false;                    // its session has something to send before it closes
  bool end_noted = false;                  // its session has said why it closes
  std::vector<Inquiry> claimants;          // they wait for its end, which is near
  Instant since{};
  std::uint64_t messages_received = 0, messages_sent = 0, bytes_received = 0, bytes_sent = 0;
  std::uint64_t messages_balanced = 0;  // received and sent by the last balance()
  Stay stay;                            // on this shard
};

// Connected or connecting (`current`), or going to be (`retry_at`); else it rests, as another
// association is its peer.
struct Shard::Link {
  // Its peer has no association any more.
  void peer_gone(Instant now, Duration lasting) {
    if (peer_here_since && now - *peer_here_since >= lasting) backoff.reset();
    peer_here_since.reset();
  }

  EndpointId local{};
  PeerConfig peer;
  Backoff backoff;
  AssociationId current = AssociationId::none;
  std::optional<Instant> retry_at = std::nullopt;
  // Since when its peer is identified, or it rests.
  std::optional<Instant> peer_here_since = std::nullopt;
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
  std::optional<Link> link;  // of a peer that we keep connected; none: it came to us
};

}  // namespace siglane
