#include "core/directory.h"

#include <algorithm>

namespace siglane {
namespace {

constexpr std::size_t kEndedMax = 10'000;
// A shard steps the coordinators of a reroute in one turn, and each of them may drain what it holds
// (FlowGroup::Limits::drained_per_ms_max): together that must find room between two shards
// (ShardConfig::outbound), and in the send queue of a member of all of them.
constexpr std::size_t kFlowsMax = 16;

}  // namespace

// --- Shards and sessions ------------------------------------------------------------------------

void Directory::add_shard(ShardId shard, Mailbox& mailbox) {
  std::unique_lock lock(mutex_);
  const auto index = static_cast<std::size_t>(shard);
  if (mailboxes_.size() <= index) mailboxes_.resize(index + 1);
  loads_.resize(mailboxes_.size());
  mailboxes_[index] = &mailbox;
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

bool Directory::diverting() const {
  std::shared_lock lock(mutex_);
  return under_way_.has_value();
}

// --- Diversions ---------------------------------------------------------------------------------

Diversion Directory::begin(Diversion diversion) {
  diversion.number = ++last_number_;
  under_way_ = diversion;
  to_follow_ = mailboxes_.size();
  return diversion;
}

std::uint64_t Directory::diversions() const {
  std::shared_lock lock(mutex_);
  return last_number_;
}

std::optional<Diversion> Directory::begin_move(AssociationId id, ShardId from, ShardId to) {
  std::unique_lock lock(mutex_);
  if (under_way_) return std::nullopt;
  return begin({0, id, from, to, nullptr});
}

std::optional<Diversion> Directory::begin_reroute(ProtocolModule& module, AssociationId flow) {
  std::unique_lock lock(mutex_);
  if (std::ranges::find(waiting_, flow, &Diversion::Flow::coordinator) == waiting_.end()) {
    waiting_.push_back({flow, &module});
  }
  if (under_way_) return std::nullopt;
  return begin_waiting();
}

// One reroute for those that have waited longest.
Diversion Directory::begin_waiting() {
  const auto count = static_cast<std::ptrdiff_t>(std::min(waiting_.size(), kFlowsMax));
  std::vector<Diversion::Flow> flows(waiting_.begin(), waiting_.begin() + count);
  waiting_.erase(waiting_.begin(), waiting_.begin() + count);
  std::ranges::sort(flows, {}, &Diversion::Flow::coordinator);
  Diversion reroute;
  reroute.rerouted = std::make_shared<const std::vector<Diversion::Flow>>(std::move(flows));
  return begin(std::move(reroute));
}

bool Directory::followed(const Diversion& diversion) {
  std::unique_lock lock(mutex_);
  if (!under_way_ || under_way_->number != diversion.number || --to_follow_ > 0) return false;
  to_follow_ = mailboxes_.size();
  return true;
}

void Directory::settle(const Diversion& move) {
  std::unique_lock lock(mutex_);
  homes_[move.mover] = move.to;
}

std::optional<Diversion> Directory::end(const Diversion& diversion) {
  std::unique_lock lock(mutex_);
  if (!under_way_ || under_way_->number != diversion.number) return std::nullopt;
  under_way_.reset();
  if (waiting_.empty()) return std::nullopt;
  return begin_waiting();
}

}  // namespace siglane
