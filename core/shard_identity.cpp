#include "core/shard_parts.h"

// Shard: whose association it is, once its session says that. admission.h decides. An association
// that says it is a peer which has all the associations that it may have waits here until it is
// known whether they stay.
namespace siglane {

void Shard::identify(AssociationId id, const std::string& peer, Instant now) {
  Entry* entry = find(id);
  if (entry == nullptr) return;
  Verdict verdict = judge(*entry, peer);
  if (std::holds_alternative<Inquire>(verdict)) return inquire(*entry, peer);
  if (auto* no = std::get_if<Refuse>(&verdict)) {
    counters_.add(counter::associations_refused_identity);
    peer_refused(id, {peer, no->why}, now);
    entry->identity =
        std::make_unique<SessionInput>(IdentityRefused{std::move(no->why), no->connected_already});
    return;
  }
  if (!entry->identified()) {
    const auto newcomer = std::move(entry->newcomer);
    (void)directory_.newcomers().leave(id);
    entry->peer = peer;
    if (!entry->told_of) tell_of(*entry, first_of(newcomer->remote_addresses), now);
    const PeerKey key{entry->module, peer};
    give_up(dialer_.identified(key, id, presence_of(key), now));
    entry->counts = &counts_of(peer);
    entry->settled = entry->traffic;
    // It came up before it was known whose it is.
    entry->counts->add(counter::associations_opened.index(), 1);
  }
  if (const PeerConfig* config = peers_->find(peer)) transport_.bind(id, *config);
  entry->identity = std::make_unique<SessionInput>(Identified{});
  begin_to_obey(*entry);
}

// Bind: the directory has it as that peer already.
Verdict Shard::judge(Entry& entry, const std::string& peer) {
  if (entry.identified()) return Admission::judge_again(entry.peer, peer);
  const Dialer::Link* link = dialer_.link_of(entry.id);
  Verdict verdict = admission_.judge(*entry.newcomer, link != nullptr ? link->peer.name : "", peer);
  const bool may_be = std::holds_alternative<Bind>(verdict);
  if (may_be && directory_.orders_of(entry.module, peer).disconnected) {
    return Refuse{"the operator has disconnected it"};
  }
  const std::size_t most = connections_max(peer);
  const bool taken = may_be && !directory_.bind_peer(entry.module, peer, entry.id, most);
  return taken ? entry.newcomer->claim(peer, most) : verdict;
}

// --- A peer that has all that it may have --------------------------------------------------------

// A peer that has been restarted may be here again before the end of its old association was read,
// which waits in another socket, perhaps of another shard. Or it has said goodbye there, and the
// old association only waits for its end. So that shard is asked first. Of a peer that may have
// several, all are asked at once: a restart has ended all of them, and the oldest is no likelier to
// be gone than another. The first slot that is free is taken.
void Shard::inquire(Entry& entry, const std::string& peer) {
  backpressure_.pause(entry.id, PauseReason::claim);
  transport_.pause_input(entry.id);
  std::vector<AssociationId> holders = directory_.associations_of(entry.module, peer);
  if (holders.size() < connections_max(peer)) holders = {AssociationId::none};  // one just ended
  entry.newcomer->asked(holders.size());
  for (const AssociationId holder : holders) {
    on_inquiry({holder, entry.id, config_.id, kTurnsToReadAll});
  }
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
  peer_refused(claimant.id,
               {claimant.newcomer->claimed(), "sent more before its admission than a newcomer may"},
               now);
  counters_.add(counter::associations_refused_identity);
  close_transport(claimant.id, CloseMode::abort);
}

// An association that was still there when its shard had read all stays. Who has gone away
// meanwhile, or was sent, is nobody.
void Shard::settle_claim(AssociationId id, Instant now) {
  Entry* entry = find(id);
  if (entry == nullptr || !entry->claiming()) return;
  const bool gone = entry->closing || entry->newcomer->is_down();
  const bool last = entry->newcomer->answered();
  if (!last && !gone && presence_of({entry->module, entry->newcomer->claimed()}).full) return;
  std::vector<SessionInput> held = entry->newcomer->take_held();
  if (gone) {
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
