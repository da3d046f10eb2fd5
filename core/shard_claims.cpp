#include "core/shard_parts.h"

// Shard: an association that says it is a peer which has another association. It waits here until
// it is known whether that one stays. admission.h decides.
namespace siglane {

// A peer that has been restarted may be here again before the end of its old association was read,
// which waits in another socket, perhaps of another shard. Or it has said goodbye there, and the
// old association only waits for its end. So that shard is asked first.
void Shard::inquire(Entry& entry, const std::string& peer) {
  backpressure_.pause(entry.id, PauseReason::claim);
  transport_.pause_input(entry.id);
  // None: it has just ended.
  const auto holder = directory_.association_of(entry.module, peer).value_or(AssociationId::none);
  on_inquiry({holder, entry.id, config_.id, kTurnsToReadAll});
}

void Shard::on_inquiry(Inquiry inquiry) {
  Entry* holder = find(inquiry.holder);
  const InquiryStep next =
      next_step(inquiry, config_.id, holder != nullptr, home_of(inquiry.holder));
  if (const auto* later = std::get_if<InquireLater>(&next)) return tell(later->at, inquiry);
  if (std::holds_alternative<AnswerNow>(next)) {
    return tell(inquiry.asker, Inquired{inquiry.claimant});
  }
  holder->claimants.push_back(inquiry);
  push(holder->id, Superseded{});
}

// They look again, whether this one stays or is gone.
void Shard::answer_claimants(Entry& holder) {
  for (const Inquiry& one : std::exchange(holder.claimants, {})) {
    tell(one.asker, Inquired{one.claimant});
  }
}

void Shard::hold(Entry& claimant, SessionInput input, Instant now) {
  if (claimant.newcomer->hold(std::move(input)) || claimant.closing) return;
  const std::string why = "sent more before its admission than a newcomer may";
  peer_refused(claimant.id, claimant.newcomer->claimed(), why, now);
  counters_.add(counter::associations_refused_identity);
  close_transport(claimant.id, CloseMode::abort);
}

// If the other association was still there when its shard had read all, it stays. Who has gone away
// meanwhile, or was sent, is nobody.
void Shard::settle_claim(AssociationId id, Instant now) {
  Entry* entry = find(id);
  if (entry == nullptr || !entry->claiming()) return;
  std::vector<SessionInput> held = entry->newcomer->take_held();
  if (entry->closing || (!held.empty() && std::holds_alternative<AssociationDown>(held.back()))) {
    entry->identity = std::make_unique<SessionInput>(IdentityRefused{"has gone away"});
  } else {
    const std::string peer = entry->newcomer->claimed();
    identify(id, peer, now);
  }
  // Also if it is being closed: its end is to be read.
  if (backpressure_.resume(id, PauseReason::claim)) transport_.resume_input(id);
  if (!entry->identified()) entry->newcomer->settled();
  push(id, std::move(*std::exchange(entry->identity, nullptr)));
  for (SessionInput& input : held) push(id, std::move(input));
}

}  // namespace siglane
