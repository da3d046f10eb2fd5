#pragma once
#include <atomic>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/association.h"
#include "core/balance.h"
#include "core/diversion_turns.h"
#include "core/mailbox.h"
#include "core/newcomers.h"
#include "core/strangers.h"

namespace siglane {

// What is remembered of a peer.
struct PeerPast {
  std::string why;  // it ended, in words; empty: none has ended yet
  Instant ended_at{};
  // What went wrong last: that end, a connect that failed, or a refusal. Empty: nothing has.
  std::string trouble;
  Instant trouble_at{};
  std::optional<Instant> held_off_until = std::nullopt;  // we do not connect to it before
};

// What the operator has asked of a peer, and stands until it is taken back.
struct StandingOrders {
  bool blocked = false;           // it gets no traffic
  bool disconnected = false;      // we do not connect to it, nor let it in
  std::uint32_t disconnects = 0;  // how often its associations have been told goodbye
};

// What the shards of one node have in common: which session lives where, which peer has which
// associations, and the one change of a path that may be under way. A shard looks at its own
// sessions first, so on the data path this is asked only for what lives elsewhere. Any thread.
class Directory {
 public:
  // Before any of the node's threads runs.
  void add_shard(ShardId shard, Mailbox& mailbox);
  std::size_t shards() const { return mailboxes_.size(); }
  Mailbox* mailbox_of(ShardId shard) const {
    const auto index = static_cast<std::size_t>(shard);
    return index < mailboxes_.size() ? mailboxes_[index] : nullptr;
  }

  void settle(AssociationId id, ShardId shard);
  // What is still sent there must go there, and come back from there as Undelivered: else it would
  // overtake what was sent before. So where there are several shards the home of one that is no
  // more is kept, until some ten thousand others have ended.
  void forget(AssociationId id);
  std::optional<ShardId> home_of(AssociationId id) const;

  // A peer of a module has a slot for each association that it may have, one at least. false: all
  // are taken.
  [[nodiscard]] bool bind_peer(const ProtocolModule* module, const std::string& peer,
                               AssociationId id, std::size_t connections_max = 1);
  // Frees the slot of that association.
  void release_peer(const ProtocolModule* module, const std::string& peer, AssociationId id);
  // Who has a slot, in the order in which they took it.
  std::vector<AssociationId> associations_of(const ProtocolModule* module,
                                             const std::string& peer) const;
  // The first of them.
  std::optional<AssociationId> association_of(const ProtocolModule* module,
                                              const std::string& peer) const;
  // Of configured peers alone, since these are kept. A hold-off ends early when the peer comes to
  // us.
  void note_end(const ProtocolModule* module, const std::string& peer, std::string why,
                Instant now);
  // A connect to it failed, or it was refused. An end is trouble anyway.
  void note_trouble(const ProtocolModule* module, const std::string& peer, std::string why,
                    Instant now);
  void hold_off(const ProtocolModule* module, const std::string& peer, Instant until);
  PeerPast past_of(const ProtocolModule* module, const std::string& peer) const;
  void order(const ProtocolModule* module, const std::string& peer, const StandingOrders& orders);
  StandingOrders orders_of(const ProtocolModule* module, const std::string& peer) const;
  // It is no peer any more: neither its past nor its orders are kept.
  void forget_peer(const ProtocolModule* module, const std::string& peer);
  // Who has come to us and has not said who it is, on all shards.
  Newcomers& newcomers() { return newcomers_; }
  Strangers& strangers() { return strangers_; }
  // Associations, on all shards: also while they move.
  void add_association() { ++associations_; }
  // true: there are none left.
  bool remove_association() { return --associations_ == 0; }
  std::size_t associations() const { return associations_; }

  // How the shards fare, as each of them said last.
  void report_load(ShardId shard, const ShardLoad& load);
  std::vector<ShardLoad> loads() const;
  bool diverting() const;

  // See DiversionTurns.
  [[nodiscard]] std::optional<Diversion> begin_move(AssociationId id, ShardId from, ShardId to);
  [[nodiscard]] std::optional<Diversion> begin_reroute(ProtocolModule& module, AssociationId flow);
  [[nodiscard]] bool followed(const Diversion& diversion);
  [[nodiscard]] std::optional<Diversion> end(const Diversion& diversion);
  std::uint64_t diversions() const;

 private:
  struct Peer {
    const ProtocolModule* module;
    std::string name;
    auto operator<=>(const Peer&) const = default;
  };

  std::vector<Mailbox*> mailboxes_;  // fixed once the node runs
  std::atomic<std::size_t> associations_ = 0;
  Newcomers newcomers_;
  Strangers strangers_;

  mutable std::shared_mutex mutex_;  // over all that follows
  std::unordered_map<AssociationId, ShardId> homes_;
  std::deque<AssociationId> ended_;
  std::map<Peer, std::vector<AssociationId>> peers_;
  std::map<Peer, PeerPast> pasts_;
  std::map<Peer, StandingOrders> orders_;
  std::vector<ShardLoad> loads_;  // by shard
  DiversionTurns turns_;
};

}  // namespace siglane
