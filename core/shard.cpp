#include <algorithm>

#include "core/shard_facts.h"
#include "core/shard_parts.h"

namespace siglane {
namespace {

Fact congestion_changed(const AssociationCongestion& congestion) {
  return {kCongestionChanged, {{"congested", congestion.congested}}};
}

Fact path_changed(const AssociationPathChange& path) {
  const bool works = path.new_state == PathState::reachable;
  return {kPathChanged,
          works ? Severity::info : Severity::warning,
          {{"address", path.address}, {"state", name_of(path.new_state)}}};
}

}  // namespace

Shard::Shard(ShardConfig config, Transport& transport, const PeerTable& peers, Directory& directory,
             FactSink& facts, AskSink* asks, BufferPool& buffers, Counters& counters)
    : config_(config),
      transport_(transport),
      peers_(&peers),
      directory_(directory),
      facts_(facts),
      asks_(asks),
      buffers_(buffers),
      counters_(counters),
      random_(config.seed),
      mailbox_(config.mailbox),
      admission_(peers),
      dialer_(config.reconnect, random_.next()),
      homes_(directory),
      outbound_(mailbox_, directory, counters, config.outbound),
      diverter_(config.id) {
  directory_.add_shard(config_.id, mailbox_);
}

Shard::~Shard() = default;

Result<EndpointId> Shard::open(const EndpointConfig& endpoint, ProtocolModule& module) {
  auto id = transport_.open(endpoint, module);
  if (id) modules_[*id] = &module;
  return id;
}

AssociationId Shard::add_coordinator(std::unique_ptr<Session> session, ProtocolModule& module,
                                     Instant now, AssociationId id) {
  auto entry = std::make_unique<Entry>();
  entry->id = id;
  entry->module = &module;
  entry->session = std::move(session);
  entry->coordinator = true;
  if (revised_.revision != nullptr) entry->revision = revised_.revision->number;
  entry->since = now;
  directory_.settle(id, config_.id);
  arm(*entries_.emplace(id, std::move(entry)).first->second);
  return id;
}

Shard::Entry* Shard::find(AssociationId id) {
  auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : it->second.get();
}

const Shard::Entry* Shard::find(AssociationId id) const {
  auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : it->second.get();
}

// --- What the transport says ----------------------------------------------------------------

void Shard::on_event(AssociationId id, AssociationEvent event, Instant now) {
  std::visit(Overloaded{
                 [&](AssociationUp& up) { open_association(id, up, now); },
                 [&](AssociationDown& down) { close_association(id, std::move(down), now); },
                 [&](AssociationReceived& received) {
                   Entry* entry = find(id);
                   if (entry == nullptr) return;
                   const std::size_t bytes = received.message.payload.size();
                   ++entry->traffic.messages_received;
                   entry->traffic.bytes_received += bytes;
                   counters_.add(counter::messages_received);
                   counters_.add(counter::bytes_received, bytes);
                   push(id, std::move(received));
                 },
                 [&](AssociationEnding& ending) { push(id, ending); },
                 [&](AssociationUnsent& unsent) {
                   count(find(id), counter::messages_unsent);
                   push(id, std::move(unsent));
                 },
                 [&](AssociationCongestion& congestion) {
                   report(id, congestion_changed(congestion), now);
                   push(id, congestion);
                 },
                 [&](AssociationPathChange& path) {
                   report(id, path_changed(path), now);
                   push(id, std::move(path));
                 },
             },
             event);
  drain_work(now);
}

void Shard::on_stranger(const std::string& address, std::string why, Instant now) {
  note_stranger(address, std::move(why), false, now);
}

void Shard::on_fact(AssociationId about, Fact fact, Instant now) {
  report(about, fact, now);
}

void Shard::report(AssociationId about, const Fact& fact, Instant now) {
  const Entry* entry = find(about);
  const bool association = entry == nullptr || !entry->coordinator;
  const std::string_view peer = entry != nullptr ? entry->shown() : std::string_view();
  facts_.on_fact({config_.id, association ? about : AssociationId::none, peer}, fact, now);
}

void Shard::open_association(AssociationId id, const AssociationUp& up, Instant now) {
  auto owned = std::make_unique<Entry>();
  Entry& entry = *owned;
  entry.id = id;
  entry.module = modules_.at(up.local);
  entry.since = now;
  entry.newcomer = admission_.unidentified(up, now);
  if (revised_.revision != nullptr) entry.revision = revised_.revision->number;
  entries_[id] = std::move(owned);
  ++associations_;
  directory_.add_association();
  directory_.settle(id, config_.id);
  counters_.add(counter::associations_opened);

  if (up.initiator) {
    tell_of(entry, first_of(up.remote_addresses), now);
  } else if (!directory_.newcomers().contains(id) &&
             !on_newcomer(id, up.remote_addresses, now).admitted) {
    entry.newcomer->noted = true;
    return close_transport(id, CloseMode::abort);
  }
  if (auto objection = admission_.to_association(up)) {
    return refuse(entry, objection->counter, std::move(objection->why), now);
  }
  if (up.initiator) dialer_.up(id, {entry.module, up.peer}, up.local);
  entry.session = entry.module->open_session(id, up, *peers_, random_.next());
  push(id, up);
}

void Shard::close_association(AssociationId id, AssociationDown down, Instant now) {
  Entry* entry = find(id);
  link_down(id, down, now);
  note_end(id, down, now);
  if (entry == nullptr) return;
  if (!entry->end_noted) {
    note_past(*entry, in_words(down), now);
  }
  if (entry->session == nullptr) {
    forget(id, now);
    return;
  }
  push(id, std::move(down));
}

// For this node, and for the peer where it is known.
void Shard::count(const Entry* entry, Counter counter, std::uint64_t n) {
  counters_.add(counter, n);
  if (entry != nullptr && entry->counts != nullptr) entry->counts->add(counter.index(), n);
}

SparseCounts& Shard::counts_of(const std::string& peer) {
  return peer_counts_.of(peer, peers_->find(peer) != nullptr);
}

SparseCounts* Shard::counts_for(AssociationId id) {
  const Entry* entry = find(id);
  return entry != nullptr ? entry->counts : nullptr;
}

void Shard::refuse(Entry& entry, Counter counter, std::string why, Instant now) {
  counters_.add(counter);
  if (entry.told_of) {
    const std::string& who = first_of(entry.newcomer->remote_addresses);
    report(entry.id, {kPeerRefused, {{"who", who}, {"why", why}}}, now);
  } else {
    note_stranger(entry, std::move(why), false, now);
  }
  close_transport(entry.id, CloseMode::abort);
}

void Shard::forget(AssociationId id, Instant now) {
  auto it = entries_.find(id);
  if (it == entries_.end()) return;
  Entry& entry = *it->second;
  if (!entry.coordinator) {
    --associations_;
    if (directory_.remove_association() && stopping_) wake_all();
  }
  add_up_traffic(entry);
  if (!entry.identified()) (void)directory_.newcomers().leave(id);
  backpressure_.forget(id);
  if (!entry.peer.empty()) {
    const PeerKey peer{entry.module, entry.peer};
    directory_.release_peer(peer.first, peer.second, id);
    answer_claimants(entry);
    wake_links(peer, now);
    tell_others(PeerFree{peer.first, peer.second});
  }
  directory_.forget(id);
  entries_.erase(it);
}

// --- Steps and what they want done ----------------------------------------------------------

void Shard::push(AssociationId id, SessionInput input, ProtocolModule* module) {
  work_.push_back({id, module, std::move(input)});
}

void Shard::submit(AssociationId from, AssociationId to, ParcelPtr parcel, Instant now) {
  Entry* entry = find(to);
  push(to, Submitted{from, std::move(parcel)}, entry != nullptr ? entry->module : nullptr);
  drain_work(now);
}

void Shard::drain_work(Instant now) {
  while (work_done_ < work_.size()) {
    Work work = std::move(work_[work_done_++]);
    if (auto* failure = std::get_if<Work::Failure>(&work.what)) {
      if (work.module == nullptr) continue;
      OutboxLease out(*this, counts_for(work.id));
      work.module->undelivered(config_.id, work.id, std::move(failure->parcel), failure->why, now,
                               *out);
      carry_out(work.id, *work.module, *out, now, Fresh::no);
      continue;
    }
    if (const auto* loss = std::get_if<Work::Loss>(&work.what)) {
      drop(work.id, {*loss->reason, loss->parcel->describe(), {}}, now);
      continue;
    }
    SessionInput& input = std::get<SessionInput>(work.what);
    Entry* entry = find(work.id);
    if (entry != nullptr && entry->claiming() && !std::holds_alternative<Submitted>(input)) {
      hold(*entry, std::move(input), now);
    } else if (entry != nullptr && entry->session != nullptr && may_open(*entry, work, input)) {
      step(work.id, std::move(input), now);
    } else if (auto* submitted = std::get_if<Submitted>(&input)) {
      fail(submitted->from, work.id, std::move(submitted->parcel), Why::no_such_association,
           work.module);
    } else if (std::holds_alternative<Completed>(input)) {
      counters_.add(counter::parcels_undelivered);  // nobody waits for it any more
    }
  }
  work_.clear();
  work_done_ = 0;
}

// A parcel of another module would be misread, unless its kind is common to both.
bool Shard::may_open(const Entry& entry, const Work& work, const SessionInput& input) {
  const auto* submitted = std::get_if<Submitted>(&input);
  if (submitted == nullptr || work.module == nullptr || work.module == entry.module) return true;
  const ParcelDomain& domain = submitted->parcel->domain();
  return &domain != &kOwnModuleOnly && entry.module->takes(domain);
}

void Shard::step(AssociationId id, SessionInput input, Instant now) {
  const bool last = std::holds_alternative<AssociationDown>(input);
  const bool rerouting = std::holds_alternative<Rerouting>(input);
  const bool ending = std::holds_alternative<AssociationEnding>(input);
  const bool superseded = std::holds_alternative<Superseded>(input);
  if (ending || superseded) find(id)->lingers = false;
  std::optional<SessionInput> next = std::move(input);
  while (next) {
    Entry* entry = find(id);
    OutboxLease out(*this, entry->counts);
    entry->session->step(std::move(*next), now, *out);
    carry_out(id, *entry->module, *out, now, Fresh::yes);
    next.reset();
    if (const auto answer = std::move(entry->identity)) next = std::move(*answer);
  }
  if (rerouting && directory_.shards() == 1) find(id)->module->follow(config_.id, id);
  Entry& entry = *find(id);
  if (last || (entry.coordinator && entry.closing)) return forget(id, now);
  if (ending && !entry.lingers && !entry.closing) close_transport(id, CloseMode::graceful);
  if (superseded && !entry.lingers && !entry.closing) answer_claimants(entry);
  arm(entry);
}

void Shard::carry_out(AssociationId from, ProtocolModule& module, Outbox& out, Instant now,
                      Fresh fresh) {
  for (Action& action : out.actions()) {
    std::visit(Overloaded{
                   [&](Transmit& a) { transmit(from, std::move(a.message)); },
                   [&](Close& a) { close_transport(from, a.mode); },
                   [&](Linger&) {
                     if (Entry* entry = find(from)) entry->lingers = true;
                   },
                   [&](Identify& a) { identify(from, a.peer, now); },
                   [&](Accept& a) {
                     OutboxLease routed(*this, out.counts_for());
                     module.route(config_.id, from, std::move(a.parcel), now, *routed);
                     carry_out(from, module, *routed, now, fresh);
                   },
                   [&](Forward& a) { forward(from, a.to, std::move(a.parcel), module, fresh); },
                   [&](Undelivered& a) { fail(from, from, std::move(a.parcel), a.why, &module); },
                   [&](Ask& a) {
                     if (asks_ == nullptr || !asks_->ask(config_.id, from, a.request)) {
                       push(from, Completed{std::move(a.request), false});
                     }
                   },
                   [&](Publish& a) { module.publish(config_.id, from, std::move(a.change)); },
                   [&](Reroute&) { reroute(module, from); },
                   [&](PauseInput& a) { pause_input(from, a.paused); },
                   [&](PeerOpened&) { peer_opened(from, now); },
                   [&](PeerClosed& a) { peer_closed(from, a, now); },
                   [&](PeerRefused& a) { peer_refused(from, a, now); },
                   [&](Violation& a) { violation(from, a.what, now); },
                   [&](Announce& a) { report(from, a.fact, now); },
                   [&](Drop& a) { drop(from, std::move(a), now); },
               },
               action);
  }
}

void Shard::transmit(AssociationId id, Message message) {
  const std::size_t bytes = message.payload.size();
  Association* association = transport_.find(id);
  if (association == nullptr || association->send(std::move(message)) == SendOutcome::refused) {
    count(find(id), counter::messages_refused);
    push(id, AssociationUnsent{std::move(message), false});
    return;
  }
  counters_.add(counter::messages_sent);
  counters_.add(counter::bytes_sent, bytes);
  if (Entry* entry = find(id)) {
    ++entry->traffic.messages_sent;
    entry->traffic.bytes_sent += bytes;
  }
}

void Shard::close_transport(AssociationId id, CloseMode mode) {
  if (Entry* entry = find(id)) entry->closing = true;
  if (Association* association = transport_.find(id)) association->close(mode);
}

// A parcel did not get on at `failed`: its module decides what next, unless it has been everywhere.
void Shard::fail(AssociationId from, AssociationId failed, ParcelPtr parcel, Why why,
                 ProtocolModule* module) {
  const Entry* entry = find(from);
  count(entry, counter::parcels_undelivered);
  if (module == nullptr || parcel == nullptr) return;
  if (!parcel->mark_tried(failed)) {
    count(entry, counter::parcels_exhausted);
    why = Why::exhausted;
  }
  work_.push_back({from, module, Work::Failure{std::move(parcel), why}});
}

void Shard::drop(AssociationId from, Drop drop, Instant now) {
  const Entry* entry = find(from);
  if (drop.peer.empty() && entry != nullptr) drop.peer = entry->peer;
  counters_.add(counter::messages_dropped, drop.count);
  if (!drop.peer.empty()) {
    counts_of(drop.peer).add(counter::messages_dropped.index(), drop.count);
  }
  drops_.add(drop.reason, drop.peer, from, std::move(drop.example), now, tell_dropped(now),
             drop.count);
}

Drops::Tell Shard::tell_dropped(Instant now) {
  return [this, now](AssociationId about, const Fact& dropped) { report(about, dropped, now); };
}

// --- Time -------------------------------------------------------------------------------------

void Shard::arm(Entry& entry) {
  if (entry.session == nullptr) return;
  auto wanted = entry.session->deadline();
  if (!entry.identified() && !entry.closing) {
    const Instant identify_by = entry.newcomer->identify_by;
    wanted = wanted ? std::min(*wanted, identify_by) : identify_by;
  }
  deadlines_.want(entry.id, entry.armed, wanted);
}

void Shard::run_due(Instant now) {
  drops_.tell_due(now, tell_dropped(now));
  if (tell_strangers_at_ && *tell_strangers_at_ <= now) tell_of_strangers(now);
  // A session that is due again at once gets its turn after everybody else's.
  for (std::size_t turns = deadlines_.size(); turns > 0; --turns) {
    const auto due = deadlines_.pop_due(now);
    if (!due) break;
    Entry* entry = find(due->key);
    if (entry == nullptr || entry->session == nullptr || entry->armed != due->at) continue;
    entry->armed.reset();
    if (!entry->identified() && !entry->closing && entry->newcomer->identify_by <= now) {
      refuse(*entry, counter::associations_unidentified_timeout,
             "not identified within identification_timeout_ms", now);
    }
    if (auto at = entry->session->deadline(); at && *at <= now) {
      push(due->key, Woken{});
      drain_work(now);
    } else {
      arm(*entry);
    }
  }
  while (const auto link = dialer_.pop_due(now)) connect(*link, now);
}

std::optional<Instant> Shard::next_deadline() const {
  std::optional<Instant> earliest;
  for (const auto& at :
       {deadlines_.earliest(), dialer_.deadline(), drops_.deadline(), tell_strangers_at_}) {
    if (at && (!earliest || *at < *earliest)) earliest = at;
  }
  return earliest;
}

// --- The end ------------------------------------------------------------------------------------

void Shard::stop(Instant now) {
  if (stopping_) return;
  stopping_ = true;
  admission_.stop();
  give_up(dialer_.stop());
  for (const auto& [id, entry] : entries_) {
    if (entry->session != nullptr) push(id, Stopping{});
  }
  drain_work(now);
  if (idle()) wake_all();
}

// The last association is gone: who waits for that, on another shard, looks again.
void Shard::wake_all() {
  if (directory_.shards() > 1) tell_all(RoomAgain{});
}

void Shard::abandon() {
  for (const auto& [id, entry] : entries_) {
    if (!entry->coordinator) close_transport(id, CloseMode::abort);
  }
}

}  // namespace siglane
