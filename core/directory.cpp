#include "core/directory.h"

#include <algorithm>

namespace siglane {
namespace {

constexpr std::size_t kEndedMax = 10'000;

}  // namespace

// --- Shards and sessions ------------------------------------------------------------------------

void Directory::add_shard(ShardId shard, Mailbox& mailbox) {
  std::unique_lock lock(mutex_);
  const auto index = static_cast<std::size_t>(shard);
  if (mailboxes_.size() <= index) mailboxes_.resize(index + 1);
  loads_.resize(mailboxes_.size());
  mailboxes_[index] = &mailbox;
  turns_.use(mailboxes_.size());
}

void Directory::settle(AssociationId id, ShardId shard) {
  std::unique_lock lock(mutex_);
  homes_[id] = shard;
}

void Directory::forget(AssociationId id) {
  std::unique_lock lock(mutex_);
  ended_.push_back(id);
  while (ended_.size() > (mailboxes_.size() > 1 ? kEndedMax : 0)) {
    homes_.erase(ended_.front());
    ended_.pop_front();
  }
}

std::optional<ShardId> Directory::home_of(AssociationId id) const {
  std::shared_lock lock(mutex_);
  auto it = homes_.find(id);
  return it == homes_.end() ? std::nullopt : std::optional(it->second);
}

// --- Who is here --------------------------------------------------------------------------------

bool Directory::bind_peer(const ProtocolModule* module, const std::string& peer, AssociationId id,
                          std::size_t connections_max) {
  std::unique_lock lock(mutex_);
  std::vector<AssociationId>& holders = peers_[{module, peer}];
  if (holders.size() >= connections_max) return false;
  holders.push_back(id);
  if (auto past = pasts_.find({module, peer}); past != pasts_.end()) {
    past->second.held_off_until.reset();
  }
  return true;
}

void Directory::release_peer(const ProtocolModule* module, const std::string& peer,
                             AssociationId id) {
  std::unique_lock lock(mutex_);
  auto it = peers_.find({module, peer});
  if (it == peers_.end()) return;
  std::erase(it->second, id);
  if (it->second.empty()) peers_.erase(it);
}

std::vector<AssociationId> Directory::associations_of(const ProtocolModule* module,
                                                      const std::string& peer) const {
  std::shared_lock lock(mutex_);
  auto it = peers_.find({module, peer});
  return it == peers_.end() ? std::vector<AssociationId>() : it->second;
}

std::optional<AssociationId> Directory::association_of(const ProtocolModule* module,
                                                       const std::string& peer) const {
  std::shared_lock lock(mutex_);
  auto it = peers_.find({module, peer});
  return it == peers_.end() ? std::nullopt : std::optional(it->second.front());
}

void Directory::note_end(const ProtocolModule* module, const std::string& peer, std::string why,
                         Instant now) {
  std::unique_lock lock(mutex_);
  PeerPast& past = pasts_[{module, peer}];
  past.why = past.trouble = std::move(why);
  past.ended_at = past.trouble_at = now;
}

void Directory::note_trouble(const ProtocolModule* module, const std::string& peer, std::string why,
                             Instant now) {
  std::unique_lock lock(mutex_);
  PeerPast& past = pasts_[{module, peer}];
  past.trouble = std::move(why);
  past.trouble_at = now;
}

void Directory::hold_off(const ProtocolModule* module, const std::string& peer, Instant until) {
  std::unique_lock lock(mutex_);
  pasts_[{module, peer}].held_off_until = until;
}

PeerPast Directory::past_of(const ProtocolModule* module, const std::string& peer) const {
  std::shared_lock lock(mutex_);
  auto it = pasts_.find({module, peer});
  return it == pasts_.end() ? PeerPast() : it->second;
}

void Directory::order(const ProtocolModule* module, const std::string& peer,
                      const StandingOrders& orders) {
  std::unique_lock lock(mutex_);
  orders_[{module, peer}] = orders;
}

StandingOrders Directory::orders_of(const ProtocolModule* module, const std::string& peer) const {
  std::shared_lock lock(mutex_);
  auto it = orders_.find({module, peer});
  return it == orders_.end() ? StandingOrders() : it->second;
}

void Directory::forget_peer(const ProtocolModule* module, const std::string& peer) {
  std::unique_lock lock(mutex_);
  pasts_.erase({module, peer});
  orders_.erase({module, peer});
}

void Directory::report_load(ShardId shard, const ShardLoad& load) {
  std::unique_lock lock(mutex_);
  loads_[static_cast<std::size_t>(shard)] = load;
}

std::vector<ShardLoad> Directory::loads() const {
  std::shared_lock lock(mutex_);
  return loads_;
}

// --- Diversions ---------------------------------------------------------------------------------

bool Directory::diverting() const {
  std::shared_lock lock(mutex_);
  return turns_.under_way();
}

std::uint64_t Directory::diversions() const {
  std::shared_lock lock(mutex_);
  return turns_.begun();
}

std::optional<Diversion> Directory::begin_move(AssociationId id, ShardId from, ShardId to) {
  std::unique_lock lock(mutex_);
  return turns_.begin(Diversion::Move{id, from, to});
}

std::optional<Diversion> Directory::begin_reroute(ProtocolModule& module, AssociationId flow) {
  std::unique_lock lock(mutex_);
  return turns_.begin(Diversion::Flow{flow, &module});
}

bool Directory::followed(const Diversion& diversion) {
  std::unique_lock lock(mutex_);
  return turns_.followed(diversion.number);
}

std::optional<Diversion> Directory::end(const Diversion& diversion) {
  std::unique_lock lock(mutex_);
  return turns_.end(diversion.number);
}

}  // namespace siglane
