#include <algorithm>
#include <limits>

#include "core/certificate_names.h"
#include "core/shard_parts.h"

namespace siglane {
namespace {

// Of a loop that has nothing else to do, microseconds. Each reads only a part of what waits in a
// socket (of TCP, 64 KiB), and the end is behind all of it.
constexpr unsigned kTurnsToReadAll = 64;
// From one that waits to hear that it may be who it says, and is not read meanwhile, if it has a
// socket of its own.
constexpr std::size_t kHeldOfClaimantMax = 64;

}  // namespace

Shard::Shard(ShardConfig config, Transport& transport, const PeerTable& peers, Directory& directory,
             FactSink& facts, AskSink* asks, BufferPool& buffers, Counters& counters)
    : config_(config),
      transport_(transport),
      peers_(peers),
      directory_(directory),
      facts_(facts),
      asks_(asks),
      buffers_(buffers),
      counters_(counters),
      random_(config.seed),
      mailbox_(config.mailbox),
      outbound_(mailbox_, directory, counters, config.outbound) {
  directory_.add_shard(config_.id, mailbox_);
}

Shard::~Shard() = default;

Result<EndpointId> Shard::open(const EndpointConfig& endpoint, ProtocolModule& module) {
  auto id = transport_.open(endpoint, module);
  if (id) modules_[*id] = &module;
  return id;
}

AssociationId Shard::add_coordinator(std::unique_ptr<Session> session, ProtocolModule& module,
                                     Instant now) {
  auto entry = std::make_unique<Entry>();
  entry->id = next_association_id();
  entry->module = &module;
  entry->session = std::move(session);
  entry->coordinator = true;
  entry->since = now;
  const AssociationId id = entry->id;
  directory_.settle(id, config_.id);
  arm(*entries_.emplace(id, std::move(entry)).first->second);
  return id;
}

Shard::Entry* Shard::find(AssociationId id) {
  auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : it->second.get();
}

// --- What the transport says ----------------------------------------------------------------

void Shard::on_event(AssociationId id, AssociationEvent event, Instant now) {
  std::visit(
      Overloaded{
          [&](AssociationUp& up) { open_association(id, up, now); },
          [&](AssociationDown& down) { close_association(id, std::move(down), now); },
          [&](AssociationReceived& received) {
            Entry* entry = find(id);
            if (entry == nullptr) return;
            const std::size_t bytes = received.message.payload.size();
            ++entry->messages_received;
            entry->bytes_received += bytes;
            counters_.add(Counter::messages_received);
            counters_.add(Counter::bytes_received, bytes);
            push(id, std::move(received));
          },
          [&](AssociationUnsent& unsent) {
            counters_.add(Counter::messages_unsent);
            push(id, std::move(unsent));
          },
          [&](AssociationCongestion& congestion) {
            facts_.on_fact(config_.id, id, fact::CongestionChanged{congestion.congested}, now);
            push(id, congestion);
          },
          [&](AssociationPathChange& path) {
            facts_.on_fact(config_.id, id, fact::PathChanged{path.address, path.new_state}, now);
            push(id, std::move(path));
          },
      },
      event);
  drain_work(now);
}

void Shard::on_fact(AssociationId about, Fact fact, Instant now) {
  facts_.on_fact(config_.id, about, fact, now);
}

void Shard::open_association(AssociationId id, const AssociationUp& up, Instant now) {
  auto owned = std::make_unique<Entry>();
  Entry& entry = *owned;
  entry.id = id;
  entry.module = modules_.at(up.local);
  entry.since = now;
  entry.newcomer = std::make_unique<Entry::Newcomer>(Entry::Newcomer{
      now + peers_.admission().identification_timeout, up.remote_addresses, up.certificate_names});
  entries_[id] = std::move(owned);
  ++associations_;
  directory_.add_association();
  directory_.settle(id, config_.id);
  counters_.add(Counter::associations_opened);

  const std::string remote = up.remote_addresses.empty() ? "unknown" : up.remote_addresses.front();
  fact::AssociationOpened opened{{}, remote, {}};
  if (auto status = transport_.status(id)) {
    opened = {status->endpoint, status->remote, status->transport};
  }
  facts_.on_fact(config_.id, id, opened, now);

  if (stopping_) return refuse(entry, Counter::associations_refused_limit, remote, "stopping", now);
  const auto& admission = peers_.admission();
  if (!up.initiator) {
    if (std::none_of(up.remote_addresses.begin(), up.remote_addresses.end(),
                     [&](const std::string& address) { return peers_.admits(address); })) {
      return refuse(entry, Counter::associations_refused_address, remote,
                    "no configured peer has this address", now);
    }
    if (up.certificate_names && !peers_.admits_certificate(*up.certificate_names)) {
      return refuse(entry, Counter::associations_refused_identity, remote,
                    "no configured peer is named in its certificate", now);
    }
    if (!directory_.add_unidentified(admission.unidentified_associations_max)) {
      return refuse(entry, Counter::associations_refused_limit, remote,
                    "too many associations wait for identification", now);
    }
  }
  if (up.initiator) (void)directory_.add_unidentified(std::numeric_limits<std::size_t>::max());
  link_up(id, up);
  entry.session = entry.module->open_session(id, up, peers_, random_.next());
  push(id, up);
}

void Shard::close_association(AssociationId id, AssociationDown down, Instant now) {
  Entry* entry = find(id);
  link_down(id, down, entry != nullptr, now);
  if (entry == nullptr) return;
  counters_.add(Counter::associations_closed);
  facts_.on_fact(config_.id, id, fact::AssociationClosed{down.cause, down.detail}, now);
  if (entry->session == nullptr) {
    forget(id, now);
    return;
  }
  push(id, std::move(down));
}

void Shard::refuse(Entry& entry, Counter counter, std::string who, std::string why, Instant now) {
  counters_.add(counter);
  facts_.on_fact(config_.id, entry.id, fact::PeerRefused{std::move(who), std::move(why)}, now);
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
  if (entry.session != nullptr && !entry.identified()) directory_.remove_unidentified();
  if (!entry.peer.empty()) {
    const PeerKey peer{entry.module, entry.peer};
    directory_.release_peer(peer.first, peer.second);
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
      OutboxLease out(*this);
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
    } else if (entry != nullptr && entry->session != nullptr) {
      step(work.id, std::move(input), now);
    } else if (auto* submitted = std::get_if<Submitted>(&input)) {
      fail(submitted->from, work.id, std::move(submitted->parcel), Why::no_such_association,
           work.module);
    }
  }
  work_.clear();
  work_done_ = 0;
}

void Shard::step(AssociationId id, SessionInput input, Instant now) {
  const bool last = std::holds_alternative<AssociationDown>(input);
  const bool rerouting = std::holds_alternative<Rerouting>(input);
  std::optional<SessionInput> next = std::move(input);
  while (next) {
    Entry* entry = find(id);
    OutboxLease out(*this);
    entry->session->step(std::move(*next), now, *out);
    carry_out(id, *entry->module, *out, now, Fresh::yes);
    next.reset();
    if (const auto answer = std::move(entry->identity)) next = std::move(*answer);
  }
  if (rerouting && directory_.shards() == 1) find(id)->module->follow(config_.id, id);
  if (last) {
    forget(id, now);
  } else {
    arm(*find(id));
  }
}

void Shard::carry_out(AssociationId from, ProtocolModule& module, Outbox& out, Instant now,
                      Fresh fresh) {
  for (Action& action : out.actions()) {
    std::visit(Overloaded{
                   [&](Transmit& a) { transmit(from, std::move(a.message)); },
                   [&](Close& a) { close_transport(from, a.mode); },
                   [&](Identify& a) { identify(from, a.peer, now); },
                   [&](Accept& a) {
                     OutboxLease routed(*this);
                     module.route(config_.id, from, std::move(a.parcel), now, *routed);
                     carry_out(from, module, *routed, now, fresh);
                   },
                   [&](Forward& a) { forward(from, a.to, std::move(a.parcel), module, fresh); },
                   [&](Undelivered& a) { fail(from, from, std::move(a.parcel), a.why, &module); },
                   [&](Ask& a) {
                     if (asks_ == nullptr || !asks_->ask(config_.id, from, a.request)) {
                       push(from, Submitted{AssociationId::none, std::move(a.request)});
                     }
                   },
                   [&](Publish& a) { module.publish(config_.id, from, std::move(a.change)); },
                   [&](Reroute&) { reroute(module, from); },
                   [&](Announce& a) { facts_.on_fact(config_.id, from, a.fact, now); },
                   [&](Drop& a) { drop(from, std::move(a), now); },
               },
               action);
  }
}

void Shard::transmit(AssociationId id, Message message) {
  const std::size_t bytes = message.payload.size();
  Association* association = transport_.find(id);
  if (association == nullptr || association->send(std::move(message)) == SendOutcome::refused) {
    counters_.add(Counter::messages_refused);
    push(id, AssociationUnsent{std::move(message), false});
    return;
  }
  counters_.add(Counter::messages_sent);
  counters_.add(Counter::bytes_sent, bytes);
  if (Entry* entry = find(id)) {
    ++entry->messages_sent;
    entry->bytes_sent += bytes;
  }
}

void Shard::close_transport(AssociationId id, CloseMode mode) {
  if (Entry* entry = find(id)) entry->closing = true;
  if (Association* association = transport_.find(id)) association->close(mode);
}

void Shard::identify(AssociationId id, const std::string& peer, Instant now) {
  Entry* entry = find(id);
  if (entry == nullptr) return;
  std::string objection = objection_to(*entry, peer);
  if (objection.empty() && !entry->identified() && !directory_.bind_peer(entry->module, peer, id)) {
    if (inquire(*entry, peer)) return;
    objection = "has an association already";
  }
  if (!objection.empty()) {
    counters_.add(Counter::associations_refused_identity);
    facts_.on_fact(config_.id, id, fact::PeerRefused{peer, objection}, now);
    entry->identity = std::make_unique<SessionInput>(IdentityRefused{std::move(objection)});
    return;
  }
  if (!entry->identified()) {
    entry->newcomer.reset();
    directory_.remove_unidentified();
    entry->peer = peer;
    rest_links({entry->module, peer}, id);
  }
  if (const PeerConfig* config = peers_.find(peer)) transport_.bind(id, *config);
  if (auto link = link_of_.find(id); link != link_of_.end()) link->second->backoff.reset();
  entry->identity = std::make_unique<SessionInput>(Identified{});
}

// Why this association may not be that peer, whether or not that has another; empty: it may.
std::string Shard::objection_to(const Entry& entry, const std::string& peer) {
  if (entry.identified()) {
    return entry.peer == peer ? std::string() : "was identified as " + entry.peer + " before";
  }
  if (auto link = link_of_.find(entry.id);
      link != link_of_.end() && link->second->peer.name != peer) {
    return "we connected to " + link->second->peer.name;
  }
  const PeerConfig* config = peers_.find(peer);
  if (config == nullptr && !peers_.admission().accept_unknown_peers) return "not a configured peer";
  if (config != nullptr && !PeerTable::at_home(*config, entry.newcomer->remote_addresses)) {
    return "comes from an address that is not configured for it";
  }
  // A name that is only said is checked against the one that is proven.
  if (const auto& names = entry.newcomer->certificate_names) {
    const std::string& identity = config != nullptr ? config->identity() : peer;
    if (!names_host(*names, identity)) {
      return "its certificate does not name " + identity;
    }
  }
  return {};
}

// A peer that has been restarted may be here again before the end of its old association was read,
// which waits in another socket, perhaps of another shard. So that shard is asked first. false:
// that has been done.
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
  if (find(inquiry.holder) != nullptr && inquiry.turns > 0) {
    --inquiry.turns;
    return tell(config_.id, inquiry);
  }
  // Where it moved to, or has been all the time.
  const auto home = home_of(inquiry.holder).value_or(config_.id);
  if (home != config_.id && inquiry.turns > 0) {
    --inquiry.turns;
    return tell(home, inquiry);
  }
  tell(inquiry.asker, Inquired{inquiry.claimant});
}

void Shard::hold(Entry& claimant, SessionInput input, Instant now) {
  auto& held = claimant.newcomer->held;
  if (held.size() < kHeldOfClaimantMax || std::holds_alternative<AssociationDown>(input)) {
    return held.push_back(std::move(input));
  }
  if (claimant.closing) return;
  refuse(claimant, Counter::associations_refused_identity, claimant.newcomer->claims,
         "sent more before it was let in than it may", now);
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

// A parcel did not get on at `failed`: its module decides what next, unless it has been everywhere.
void Shard::fail(AssociationId from, AssociationId failed, ParcelPtr parcel, Why why,
                 ProtocolModule* module) {
  counters_.add(Counter::parcels_undelivered);
  if (module == nullptr || parcel == nullptr) return;
  if (!parcel->mark_tried(failed)) {
    counters_.add(Counter::parcels_exhausted);
    why = Why::exhausted;
  }
  work_.push_back({from, module, Work::Failure{std::move(parcel), why}});
}

void Shard::drop(AssociationId from, Drop drop, Instant now) {
  const Entry* entry = find(from);
  if (drop.peer.empty() && entry != nullptr) drop.peer = entry->peer;
  drops_.add(drop.reason, drop.peer, from, std::move(drop.example), now, tell_dropped(now),
             drop.count);
}

Drops::Tell Shard::tell_dropped(Instant now) {
  return [this, now](AssociationId about, fact::MessagesDropped dropped) {
    facts_.on_fact(config_.id, about, std::move(dropped), now);
  };
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
  // A session that is due again at once gets its turn after everybody else's.
  for (std::size_t turns = deadlines_.size(); turns > 0; --turns) {
    const auto due = deadlines_.pop_due(now);
    if (!due) break;
    Entry* entry = find(due->key);
    if (entry == nullptr || entry->session == nullptr || entry->armed != due->at) continue;
    entry->armed.reset();
    if (!entry->identified() && !entry->closing && entry->newcomer->identify_by <= now) {
      const auto& remote = entry->newcomer->remote_addresses;
      refuse(*entry, Counter::associations_unidentified_timeout,
             remote.empty() ? "unknown" : remote.front(), "did not identify itself in time", now);
    }
    if (auto at = entry->session->deadline(); at && *at <= now) {
      push(due->key, Woken{});
      drain_work(now);
    } else {
      arm(*entry);
    }
  }
  for (std::size_t turns = reconnects_.size(); turns > 0; --turns) {
    const auto due = reconnects_.pop_due(now);
    if (!due) break;
    const auto alive = due->key.lock();
    if (alive == nullptr || alive->armed != due->at) continue;  // it moved, or waits on
    Link& link = *alive;
    link.armed.reset();
    if (!link.retry_at || stopping_) continue;
    if (*link.retry_at <= now) {
      connect(alive);
    } else {
      reconnects_.want(alive, link.armed, link.retry_at);
    }
  }
}

std::optional<Instant> Shard::next_deadline() const {
  std::optional<Instant> earliest;
  for (const auto& at : {deadlines_.earliest(), reconnects_.earliest(), drops_.deadline()}) {
    if (at && (!earliest || *at < *earliest)) earliest = at;
  }
  return earliest;
}

// --- The end ------------------------------------------------------------------------------------

void Shard::stop(Instant now) {
  if (stopping_) return;
  stopping_ = true;
  for (auto& [peer, link] : links_) {
    link->retry_at.reset();
    if (link->current != AssociationId::none && find(link->current) == nullptr) {
      close_transport(link->current, CloseMode::abort);  // still connecting
    }
  }
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

void Shard::visit_sessions(const std::function<void(const SessionView&)>& visit) const {
  for (const auto& [id, entry] : entries_) {
    if (entry->session == nullptr) continue;
    visit({id, entry->coordinator, entry->identified(), entry->session.get(), entry->since,
           entry->messages_received, entry->messages_sent, entry->bytes_received,
           entry->bytes_sent});
  }
}

}  // namespace siglane
