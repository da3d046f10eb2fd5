#include "core/shard.h"

#include <algorithm>

#include "core/certificate_names.h"

namespace siglane {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

struct Shard::Entry {
  AssociationId id{};
  ProtocolModule* module = nullptr;
  std::unique_ptr<Session> session;  // null: refused, waiting for its Down
  Deadlines<AssociationId>::Slot armed;
  bool coordinator = false;
  bool identified = false;
  bool closing = false;
  Instant identify_by{};
  std::vector<std::string> remote_addresses;
  std::optional<std::vector<std::string>> certificate_names;
  std::string peer;
  std::optional<SessionInput> identity;  // the answer to Identify, for the next step
  Instant since{};
  std::uint64_t messages_received = 0, messages_sent = 0, bytes_received = 0, bytes_sent = 0;
};

// Connected or connecting (`current`), or going to be (`retry_at`); else it rests, as another
// association is its peer.
struct Shard::Link {
  EndpointId local{};
  PeerConfig peer;
  Backoff backoff;
  AssociationId current = AssociationId::none;
  std::optional<Instant> retry_at;
  Deadlines<Link*>::Slot armed;
};

struct Shard::Work {
  struct Failure {
    ParcelPtr parcel;
    Why why{};
  };
  AssociationId id{};                // who is stepped, or who failed to forward
  ProtocolModule* module = nullptr;  // who answers for a parcel that finds nobody
  std::variant<SessionInput, Failure> what;
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
      random_(config.seed) {
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
  entry->coordinator = entry->identified = true;
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
            facts_.on_fact(config_.id, id, fact::PathChanged{path.address, path.reachable}, now);
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
  entry.remote_addresses = up.remote_addresses;
  entry.certificate_names = up.certificate_names;
  entries_[id] = std::move(owned);
  ++associations_;
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
    if (unidentified_ >= admission.unidentified_associations_max) {
      return refuse(entry, Counter::associations_refused_limit, remote,
                    "too many associations wait for identification", now);
    }
  }
  link_up(id, up);
  ++unidentified_;
  entry.identify_by = now + admission.identification_timeout;
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
  if (!entry.coordinator) --associations_;
  if (entry.session != nullptr && !entry.identified) --unidentified_;
  if (!entry.peer.empty()) {
    const PeerKey peer{entry.module, entry.peer};
    bound_peers_.erase(peer);
    wake_links(peer, now);
  }
  directory_.forget(id);
  entries_.erase(it);
}

// --- Steps and what they want done ----------------------------------------------------------

void Shard::push(AssociationId id, SessionInput input) {
  work_.push_back({id, nullptr, std::move(input)});
}

void Shard::submit(AssociationId from, AssociationId to, ParcelPtr parcel, Instant now) {
  Entry* entry = find(to);
  work_.push_back({to, entry != nullptr ? entry->module : nullptr,
                   SessionInput{Submitted{from, std::move(parcel)}}});
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
      carry_out(work.id, *work.module, *out, now);
      continue;
    }
    SessionInput& input = std::get<SessionInput>(work.what);
    Entry* entry = find(work.id);
    if (entry != nullptr && entry->session != nullptr) {
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
  std::optional<SessionInput> next = std::move(input);
  while (next) {
    Entry* entry = find(id);
    OutboxLease out(*this);
    entry->session->step(std::move(*next), now, *out);
    carry_out(id, *entry->module, *out, now);
    next = std::exchange(entry->identity, std::nullopt);
  }
  if (last) {
    forget(id, now);
  } else {
    arm(*find(id));
  }
}

void Shard::carry_out(AssociationId from, ProtocolModule& module, Outbox& out, Instant now) {
  for (Action& action : out.actions()) {
    std::visit(Overloaded{
                   [&](Transmit& a) { transmit(from, std::move(a.message)); },
                   [&](Close& a) { close_transport(from, a.mode); },
                   [&](Identify& a) { identify(from, a.peer, now); },
                   [&](Accept& a) {
                     OutboxLease routed(*this);
                     module.route(config_.id, from, std::move(a.parcel), now, *routed);
                     carry_out(from, module, *routed, now);
                   },
                   [&](Forward& a) { forward(from, a.to, std::move(a.parcel), module); },
                   [&](Undelivered& a) { fail(from, from, std::move(a.parcel), a.why, &module); },
                   [&](Ask& a) {
                     if (asks_ == nullptr || !asks_->ask(config_.id, from, a.request)) {
                       push(from, Submitted{AssociationId::none, std::move(a.request)});
                     }
                   },
                   [&](Publish& a) { module.publish(config_.id, from, std::move(a.change)); },
                   [&](Announce& a) { facts_.on_fact(config_.id, from, a.fact, now); },
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
  if (std::string objection = objection_to(*entry, peer); !objection.empty()) {
    counters_.add(Counter::associations_refused_identity);
    facts_.on_fact(config_.id, id, fact::PeerRefused{peer, objection}, now);
    entry->identity = IdentityRefused{std::move(objection)};
    return;
  }
  if (!entry->identified) {
    entry->identified = true;
    --unidentified_;
    entry->peer = peer;
    bound_peers_[{entry->module, peer}] = id;
    rest_links({entry->module, peer}, id);
  }
  if (const PeerConfig* config = peers_.find(peer)) transport_.bind(id, *config);
  if (auto link = link_of_.find(id); link != link_of_.end()) link->second->backoff.reset();
  entry->identity = Identified{};
}

// Why this association may not be that peer; empty: it may.
std::string Shard::objection_to(const Entry& entry, const std::string& peer) const {
  if (entry.identified) {
    return entry.peer == peer ? std::string() : "was identified as " + entry.peer + " before";
  }
  if (auto link = link_of_.find(entry.id);
      link != link_of_.end() && link->second->peer.name != peer) {
    return "we connected to " + link->second->peer.name;
  }
  const PeerConfig* config = peers_.find(peer);
  if (config == nullptr && !peers_.admission().accept_unknown_peers) return "not a configured peer";
  if (config != nullptr && !PeerTable::at_home(*config, entry.remote_addresses)) {
    return "comes from an address that is not configured for it";
  }
  // A name that is only said is checked against the one that is proven.
  if (entry.certificate_names) {
    const std::string& identity = config != nullptr ? config->identity() : peer;
    if (!names_host(*entry.certificate_names, identity)) {
      return "its certificate does not name " + identity;
    }
  }
  if (bound_peers_.contains({entry.module, peer})) return "has an association already";
  return {};
}

void Shard::forward(AssociationId from, AssociationId to, ParcelPtr parcel,
                    ProtocolModule& module) {
  if (find(to) == nullptr) {
    const auto home = directory_.home_of(to);
    Mailbox* mailbox = home && *home != config_.id ? directory_.mailbox_of(*home) : nullptr;
    if (mailbox == nullptr) {
      return fail(from, to, std::move(parcel), Why::no_such_association, &module);
    }
    Delivery delivery{from, to, std::move(parcel), &module};
    if (!mailbox->post_data(delivery)) {
      counters_.add(Counter::mailbox_full);
      fail(from, to, std::move(delivery.parcel), Why::congested, &module);
    }
    return;
  }
  work_.push_back({to, &module, SessionInput{Submitted{from, std::move(parcel)}}});
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

// --- Time -------------------------------------------------------------------------------------

void Shard::arm(Entry& entry) {
  if (entry.session == nullptr) return;
  auto wanted = entry.session->deadline();
  if (!entry.identified && !entry.closing) {
    wanted = wanted ? std::min(*wanted, entry.identify_by) : entry.identify_by;
  }
  deadlines_.want(entry.id, entry.armed, wanted);
}

void Shard::run_due(Instant now) {
  // A session that is due again at once gets its turn after everybody else's.
  for (std::size_t turns = deadlines_.size(); turns > 0; --turns) {
    const auto due = deadlines_.pop_due(now);
    if (!due) break;
    Entry* entry = find(due->key);
    if (entry == nullptr || entry->session == nullptr || entry->armed != due->at) continue;
    entry->armed.reset();
    if (!entry->identified && !entry->closing && entry->identify_by <= now) {
      refuse(*entry, Counter::associations_unidentified_timeout,
             entry->remote_addresses.empty() ? "unknown" : entry->remote_addresses.front(),
             "did not identify itself in time", now);
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
    Link& link = *due->key;
    if (link.armed != due->at) continue;
    link.armed.reset();
    if (!link.retry_at || stopping_) continue;
    if (*link.retry_at <= now) {
      connect(link);
    } else {
      reconnects_.want(&link, link.armed, link.retry_at);
    }
  }
}

std::optional<Instant> Shard::next_deadline() const {
  const auto session = deadlines_.earliest();
  const auto reconnect = reconnects_.earliest();
  if (!session) return reconnect;
  return reconnect ? std::min(*session, *reconnect) : *session;
}

void Shard::run_mailbox(Instant now) {
  mailbox_.drain(letters_);
  for (Letter& letter : letters_) {
    std::visit(
        Overloaded{
            [&](Delivery& delivery) {
              work_.push_back({delivery.to, delivery.module,
                               SessionInput{Submitted{delivery.from, std::move(delivery.parcel)}}});
              drain_work(now);
            },
            [](Call& call) { call.run(); },
        },
        letter);
  }
  letters_.clear();
}

// --- Peers we keep connected --------------------------------------------------------------------

void Shard::keep_connected(EndpointId local, const PeerConfig& peer, Instant) {
  const auto it = links_.emplace(
      PeerKey{modules_.at(local), peer.name},
      std::make_unique<Link>(
          Link{local, peer, Backoff(config_.reconnect), AssociationId::none, std::nullopt, {}}));
  connect(*it->second);
}

void Shard::connect(Link& link) {
  link.retry_at.reset();
  if (bound_peers_.contains({modules_.at(link.local), link.peer.name})) return;
  link.current = transport_.connect(link.local, link.peer);
  link_of_[link.current] = &link;
}

void Shard::retry(Link& link, Instant now) {
  if (stopping_) return;
  link.retry_at = now + link.backoff.next(random_);
  reconnects_.want(&link, link.armed, link.retry_at);
}

// `holder` is the peer: what else leads there is closed.
void Shard::rest_links(const PeerKey& peer, AssociationId holder) {
  const auto [first, end] = links_.equal_range(peer);
  for (auto it = first; it != end; ++it) {
    const Link& link = *it->second;
    if (link.current == AssociationId::none || link.current == holder) continue;
    close_transport(link.current, CloseMode::abort);
  }
}

// Nobody is the peer any more.
void Shard::wake_links(const PeerKey& peer, Instant now) {
  const auto [first, end] = links_.equal_range(peer);
  for (auto it = first; it != end; ++it) {
    Link& link = *it->second;
    if (link.current != AssociationId::none || link.retry_at) continue;
    link.backoff.reset();
    retry(link, now);
  }
}

// An SCTP RESTART brings a link up under another id than it was connected with.
void Shard::link_up(AssociationId id, const AssociationUp& up) {
  if (!up.initiator || link_of_.contains(id)) return;
  const auto [first, end] = links_.equal_range({modules_.at(up.local), up.peer});
  for (auto it = first; it != end; ++it) {
    Link* link = it->second.get();
    if (link->local != up.local || link->current != AssociationId::none) continue;
    link->retry_at.reset();
    link->current = id;
    link_of_[id] = link;
    return;
  }
}

void Shard::link_down(AssociationId id, const AssociationDown& down, bool was_up, Instant now) {
  auto it = link_of_.find(id);
  if (it == link_of_.end()) return;
  Link& link = *it->second;
  link_of_.erase(it);
  link.current = AssociationId::none;
  if (stopping_) return;
  const auto holder = bound_peers_.find({modules_.at(link.local), link.peer.name});
  if (holder != bound_peers_.end() && holder->second != id) return;  // it rests
  retry(link, now);
  if (!was_up) {
    counters_.add(Counter::connects_failed);
    facts_.on_fact(
        config_.id, id,
        fact::ConnectFailed{link.peer.name, down.cause, down.detail, *link.retry_at - now}, now);
  }
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
}

void Shard::abandon() {
  for (const auto& [id, entry] : entries_) {
    if (!entry->coordinator) close_transport(id, CloseMode::abort);
  }
}

void Shard::visit_sessions(const std::function<void(const SessionView&)>& visit) const {
  for (const auto& [id, entry] : entries_) {
    if (entry->session == nullptr) continue;
    visit({id, entry->coordinator, entry->session.get(), entry->since, entry->messages_received,
           entry->messages_sent, entry->bytes_received, entry->bytes_sent});
  }
}

}  // namespace siglane
