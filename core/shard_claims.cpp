#include "core/shard_parts.h"

// Shard: an association that says it is a peer which has another association. It waits here until
// it is known whether that one stays.
namespace siglane {
namespace {

// Of a loop that has nothing else to do, microseconds. Each reads only a part of what waits in a
// socket (of TCP, 64 KiB), and the end is behind all of it.
constexpr unsigned kTurnsToReadAll = 64;
// From one that waits to hear that it may be who it says, and is not read meanwhile, if it has a
// socket of its own.
constexpr std::size_t kHeldOfClaimantMax = 64;

}  // namespace

// A peer that has been restarted may be here again before the end of its old association was read,
// which waits in another socket, perhaps of another shard. Or it has said goodbye there, and the
// old association only waits for its end. So that shard is asked first. false: that has been done.
bool Shard::inquire(Entry& entry, const std::string& peer) {
  if (entry.claiming()) return false;
  entry.newcomer->claims = peer;
  transport_.pause_input(entry.id);
  // None: it has just ended.
  const auto holder = directory_.association_of(entry.module, peer).value_or(AssociationId::none);
  on_inquiry({holder, entry.id, config_.id, kTurnsToReadAll});
  return true;
}

void Shard::on_inquiry(Inquiry inquiry) {
  if (Entry* holder = find(inquiry.holder)) {
    if (inquiry.turns > 0) {
      --inquiry.turns;
      return tell(config_.id, inquiry);
    }
    holder->claimants.push_back(inquiry);
    return push(holder->id, Superseded{});
  }
  // Where it moved to, or has been all the time.
  const auto home = home_of(inquiry.holder).value_or(config_.id);
  if (home != config_.id && inquiry.turns > 0) {
    --inquiry.turns;
    return tell(home, inquiry);
  }
  tell(inquiry.asker, Inquired{inquiry.claimant});
}

// They look again, whether this one stays or is gone.
void Shard::answer_claimants(Entry& holder) {
  for (const Inquiry& one : std::exchange(holder.claimants, {})) {
    tell(one.asker, Inquired{one.claimant});
  }
}

void Shard::hold(Entry& claimant, SessionInput input, Instant now) {
  auto& held = claimant.newcomer->held;
  if (held.size() < kHeldOfClaimantMax || std::holds_alternative<AssociationDown>(input)) {
    return held.push_back(std::move(input));
  }
  if (claimant.closing) return;
  const std::string why = "sent more before its admission than a newcomer may";
  const std::string& who = claimant.newcomer->claims;
  tell_refusal(claimant, who, why, fact::PeerRefused{who, why}, now);
  counters_.add(counter::associations_refused_identity);
  close_transport(claimant.id, CloseMode::abort);
}

// If the other association was still there when its shard had read all, it stays. Who has gone away
// meanwhile, or was sent, is nobody.
void Shard::settle_claim(AssociationId id, Instant now) {
  Entry* entry = find(id);
  if (entry == nullptr || !entry->claiming()) return;
  std::vector<SessionInput> held = std::move(entry->newcomer->held);
  if (entry->closing || (!held.empty() && std::holds_alternative<AssociationDown>(held.back()))) {
    entry->identity = std::make_unique<SessionInput>(IdentityRefused{"has gone away"});
  } else {
    const std::string peer = entry->newcomer->claims;
    identify(id, peer, now);
  }
  transport_.resume_input(id);  // also if it is being closed: its end is to be read
  if (!entry->identified()) entry->newcomer->claims.clear();
  push(id, std::move(*std::exchange(entry->identity, nullptr)));
  for (SessionInput& input : held) push(id, std::move(input));
}

}  // namespace siglane
