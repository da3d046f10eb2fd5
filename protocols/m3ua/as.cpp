#include "protocols/m3ua/as.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <utility>

#include "protocols/m3ua/counters.h"

namespace siglane::m3ua {
namespace {

using Order = AsOrderParcel::Order;
using Event = AspEventParcel::Event;

// The bookkeeping of a held parcel besides the bytes it came in.
constexpr std::size_t kHeldOverhead = 128;

constexpr FactKind kAsStateChanged{"as_state_changed", Severity::info,
                                   "the application server is in this state (RFC 4666 §4.3.2)"};
constexpr DropReason kPendingFull{
    "m3ua.pending_full",
    "the AS is pending, and pending_messages_max or pending_bytes_max is reached"};
constexpr DropReason kRecoveryExpired{"m3ua.recovery_expired",
                                      "no ASP of the AS became active within recovery_timeout_ms"};

}  // namespace

std::string_view name_of(AsEvent event) {
  switch (event) {
    case AsEvent::asp_inactive:
      return "ASP-INACTIVE";
    case AsEvent::asps_active:
      return "enough ASP-ACTIVE";
    case AsEvent::active_gone:
      return "no ASP-ACTIVE";
    case AsEvent::all_down:
      return "all ASP-DOWN";
    case AsEvent::recovery_expired:
      return "T(r), some ASP-INACTIVE";
    case AsEvent::recovery_expired_alone:
      return "T(r), all ASP-DOWN";
  }
  return "unknown";
}

ApplicationServer::ApplicationServer(const Gateway& gateway, std::size_t index)
    : gateway_(gateway), config_(gateway.config.application_servers[index]), index_(index) {}

void ApplicationServer::step(SessionInput input, Instant now, Outbox& out) {
  take(std::move(input), now, out);
  assert(agrees());
}

void ApplicationServer::take(SessionInput input, Instant now, Outbox& out) {
  if (auto* submitted = std::get_if<Submitted>(&input)) {
    auto* parcel = static_cast<M3uaParcel*>(submitted->parcel.get());
    if (parcel->kind() == ParcelKind::data) {
      submitted->parcel.release();
      on_data(std::unique_ptr<DataParcel>(static_cast<DataParcel*>(parcel)), out);
    } else if (parcel->kind() == ParcelKind::asp_event) {
      submitted->parcel.release();
      on_event(submitted->from,
               std::unique_ptr<AspEventParcel>(static_cast<AspEventParcel*>(parcel)), now, out);
    }
  } else if (std::holds_alternative<Woken>(input)) {
    on_woken(now, out);
  } else if (std::holds_alternative<Rerouting>(input)) {
    on_rerouting(now, out);
  }
}

std::optional<Instant> ApplicationServer::deadline() const {
  if (rerouting_) return std::nullopt;
  return recovery_at_ ? recovery_at_ : drain_at_;
}

SessionStatus ApplicationServer::status() const {
  SessionStatus status;
  status.peer = config_.name;
  status.protocol = "m3ua";
  status.state = name_of(state_);
  status.pending = held_.size() + returned_.size();
  status.detail = "routing context " + std::to_string(config_.routing_context) + ", " +
                  std::string(name_of(config_.traffic_mode)) + ", " +
                  std::to_string(active_.size()) + " of " + std::to_string(config_.asps.size()) +
                  " active";
  return status;
}

// --- ASPs come and go ----------------------------------------------------------------------------

ApplicationServer::Member* ApplicationServer::find(AssociationId id) {
  const auto at = std::ranges::find(members_, id, &Member::id);
  return at == members_.end() ? nullptr : &*at;
}

// What changes no path needs no reroute, unless one is under way: then it keeps its turn.
void ApplicationServer::on_event(AssociationId from, std::unique_ptr<AspEventParcel> event,
                                 Instant now, Outbox& out) {
  if (rerouting_ || changes_path(from, *event)) {
    waiting_events_.push_back({from, std::move(event)});
    return reroute(out);
  }
  on_asp(from, *event, now, out);
  publish(out);
}

void ApplicationServer::on_asp(AssociationId from, const AspEventParcel& event, Instant now,
                               Outbox& out) {
  Member* member = find(from);
  switch (event.event) {
    case Event::up:
      on_up(from, event, now, out);
      break;
    case Event::down:
      on_gone(from, event, now, out);
      break;
    case Event::lost:
      return on_gone(from, event, now, out);  // nobody waits for an answer
    case Event::activate:
      if (member != nullptr) return on_activate(*member, now, out);
      break;
    case Event::deactivate:
      if (member != nullptr) return on_deactivate(*member, now, out);
      break;
  }
  out.forward(from, std::make_unique<AsOrderParcel>(Order::noted, index_, event.epoch));
}

void ApplicationServer::on_up(AssociationId from, const AspEventParcel& event, Instant now,
                              Outbox& out) {
  Member* member = find(from);
  if (member == nullptr) {
    member = &members_.emplace_back();
    member->id = from;
    member->asp = event.asp;
    member->asp_identifier = event.asp_identifier;
  }
  member->epoch = event.epoch;
  set_inactive(*member);
  if (settle(now, out)) return;
  // RFC 4666 §4.3.4.5: "When an ASP moves from ASP-DOWN to ASP-INACTIVE within a particular AS, a
  // Notify message SHOULD be sent, by the ASP-UP receptor, after sending the ASP-UP-ACK, in order
  // to inform the ASP of the current AS state."
  if (state_ == AsState::inactive) notify(*member, NotifyStatus::as_inactive, out);
  if (state_ == AsState::active) notify(*member, NotifyStatus::as_active, out);
  if (state_ == AsState::pending) notify(*member, NotifyStatus::as_pending, out);
  warn_if_short(out);
}

void ApplicationServer::on_gone(AssociationId from, const AspEventParcel& event, Instant now,
                                Outbox& out) {
  Member* member = find(from);
  if (member == nullptr) return;
  const bool was_active = active(*member);
  const auto identifier = member->asp_identifier;
  set_inactive(*member);
  members_.erase(members_.begin() + (member - members_.data()));
  // RFC 4666 §3.8.2, ASP Failure: the others hear that one of them has failed, and its ASP
  // Identifier where it has one.
  const bool failed = event.event == Event::lost;
  if (failed) notify_all(NotifyStatus::asp_failure, out, identifier);
  if (settle(now, out, failed ? identifier : std::nullopt) || !was_active) return;
  warn_if_short(out);
}

void ApplicationServer::on_activate(Member& member, Instant now, Outbox& out) {
  if (config_.traffic_mode == TrafficMode::override_mode) {
    // RFC 4666 §4.3.4.3: "Any previously active ASP in the AS is now considered to be in the state
    // ASP-INACTIVE"; it is told so by NTFY, Alternate ASP Active, with the other's ASP Identifier.
    for (Member& other : members_) {
      if (&other == &member || !active(other)) continue;
      set_inactive(other);
      auto order = std::make_unique<AsOrderParcel>(Order::deactivated, index_, other.epoch);
      order->unasked = true;
      order->asp_identifier = member.asp_identifier;
      out.forward(other.id, std::move(order));
    }
  }
  set_active(member);
  out.forward(member.id, std::make_unique<AsOrderParcel>(Order::activated, index_, member.epoch));
  settle(now, out);
  warn_if_short(out);
}

void ApplicationServer::on_deactivate(Member& member, Instant now, Outbox& out) {
  const bool was_active = active(member);
  set_inactive(member);
  out.forward(member.id, std::make_unique<AsOrderParcel>(Order::deactivated, index_, member.epoch));
  if (settle(now, out) || !was_active) return;
  warn_if_short(out);
}

void ApplicationServer::set_active(Member& member) {
  if (active(member)) return;
  member.state = AspState::active;
  active_.push_back(member.id);
  loadshare_.add(member.id);
  correlated_.reset();
}

void ApplicationServer::set_inactive(Member& member) {
  if (!active(member)) return;
  member.state = AspState::inactive;
  std::erase(active_, member.id);
  loadshare_.remove(member.id);
}

// --- The machine ---------------------------------------------------------------------------------

bool ApplicationServer::settle(Instant now, Outbox& out, std::optional<std::uint32_t> failed) {
  if (active_.size() >= needed()) return apply(AsEvent::asps_active, now, out);
  if (active_.empty() && state_ == AsState::active) {
    return apply(AsEvent::active_gone, now, out, failed);
  }
  if (members_.empty()) return apply(AsEvent::all_down, now, out);
  return apply(AsEvent::asp_inactive, now, out);
}

bool ApplicationServer::apply(AsEvent event, Instant now, Outbox& out,
                              std::optional<std::uint32_t> failed) {
  const AsState before = state_;
  state_ = next_state(before, event);
  assert(is_in_table(before, state_));
  if (state_ == before) return false;
  entered(before, now, out, failed);
  return true;
}

bool ApplicationServer::agrees() const {
  if (recovery_at_.has_value() != (state_ == AsState::pending)) return false;
  switch (state_) {
    case AsState::down:
      return members_.empty() && (held_.empty() || rerouting_);
    case AsState::inactive:
      return !members_.empty() && active_.size() < config_.active_asps_min &&
             (held_.empty() || rerouting_);
    case AsState::active:
      return !active_.empty() && (drain_at_.has_value() == !held_.empty() || rerouting_);
    case AsState::pending:
      return active_.empty();
  }
  return false;
}

void ApplicationServer::entered(AsState before, Instant now, Outbox& out,
                                std::optional<std::uint32_t> failed) {
  out.announce({kAsStateChanged, {{"as", config_.name}, {"state", name_of(state_)}}});
  recovery_at_.reset();
  const DropReason& why = before == AsState::pending ? kRecoveryExpired : kAsNotActive;
  switch (state_) {
    case AsState::down:
      discard_held(why, out);
      publish(out);
      break;
    case AsState::inactive:
      discard_held(why, out);
      publish(out);
      notify_all(NotifyStatus::as_inactive, out);
      break;
    case AsState::active:
      publish(out);
      notify_all(NotifyStatus::as_active, out);
      break;
    case AsState::pending:
      recovery_at_ = now + config_.recovery_timeout;
      drain_at_.reset();
      publish(out);
      notify_all(NotifyStatus::as_pending, out, failed);
      break;
  }
  const bool was_served = before == AsState::active || before == AsState::pending;
  const bool is_served = state_ == AsState::active || state_ == AsState::pending;
  if (was_served && !is_served) report_destinations(MessageType::duna, out);
  if (!was_served && is_served) report_destinations(MessageType::dava, out);
}

// RFC 4666 §3.8.2, Insufficient ASP Resources: an ASP-INACTIVE ASP hears that another one is needed
// for the load of the AS (loadshare or broadcast).
void ApplicationServer::warn_if_short(Outbox& out) {
  if (state_ != AsState::active || active_.size() >= config_.active_asps_min) return;
  for (const Member& member : members_) {
    if (!active(member)) notify(member, NotifyStatus::insufficient_asp_resources, out);
  }
}

void ApplicationServer::on_woken(Instant now, Outbox& out) {
  if (rerouting_) return;
  if (recovery_at_ && *recovery_at_ <= now) {
    reroute(out);
  } else if (drain_at_ && *drain_at_ <= now) {
    drain(now, out);
    if (held_.empty()) reroute(out);
  }
}

// --- Changes of the path -------------------------------------------------------------------------

// Does DATA go another way after it? Not where the ASP had none and gets none.
bool ApplicationServer::changes_path(AssociationId from, const AspEventParcel& event) {
  const Member* member = find(from);
  const bool is_active = member != nullptr && active(*member);
  if (event.event != Event::activate) return is_active && state_ == AsState::active;
  return member != nullptr && !is_active && active_.size() + 1 >= needed();
}

void ApplicationServer::reroute(Outbox& out) {
  if (std::exchange(rerouting_, true)) return;
  drain_at_.reset();
  out.reroute();
}

// Nothing is under way to an ASP any more: what could not be delivered has come back, and was sent
// before all that is held.
void ApplicationServer::on_rerouting(Instant now, Outbox& out) {
  rerouting_ = false;
  held_.insert(held_.begin(), std::make_move_iterator(returned_.begin()),
               std::make_move_iterator(returned_.end()));
  returned_.clear();
  for (const auto& [from, event] : std::exchange(waiting_events_, {})) {
    on_asp(from, *event, now, out);
  }
  if (recovery_at_ && *recovery_at_ <= now) {
    apply(members_.empty() ? AsEvent::recovery_expired_alone : AsEvent::recovery_expired, now, out);
  }
  // Not before the last event: what an ASP got that is no more, once all of them have been obeyed,
  // would come back behind what is held.
  if (state_ == AsState::active && !drain_at_) drain(now, out);
  if (state_ == AsState::down || state_ == AsState::inactive) discard_held(kAsNotActive, out);
  publish(out);
}

// --- DATA ----------------------------------------------------------------------------------------

void ApplicationServer::on_data(std::unique_ptr<DataParcel> data, Outbox& out) {
  if (rerouting_) return hold(std::move(data), out);
  switch (state_) {
    case AsState::pending:
      return hold(std::move(data), out);
    case AsState::active:
      // Behind what is held, never past it.
      return held_.empty() ? deliver(std::move(data), out) : hold(std::move(data), out);
    case AsState::down:
    case AsState::inactive:
      return discard(kAsNotActive, *data, out);
  }
}

void ApplicationServer::hold(std::unique_ptr<DataParcel> data, Outbox& out) {
  const std::size_t bytes = data->bytes_held() + kHeldOverhead;
  if (held_.size() + returned_.size() >= config_.pending_messages_max ||
      held_bytes_ + bytes > config_.pending_bytes_max) {
    return discard(kPendingFull, *data, out);
  }
  held_bytes_ += bytes;
  const bool returned = rerouting_ && !data->tried().empty();
  (returned ? returned_ : held_).push_back(std::move(data));
}

// So many at a time that an association's send queue can follow.
void ApplicationServer::drain(Instant now, Outbox& out) {
  drain_at_.reset();
  for (std::size_t n = gateway_.config.drain_messages_per_ms_max; n > 0 && !held_.empty(); --n) {
    held_bytes_ -= held_.front()->bytes_held() + kHeldOverhead;
    deliver(std::move(held_.front()), out);
    held_.pop_front();
  }
  if (!held_.empty()) drain_at_ = now + 1ms;
}

void ApplicationServer::deliver(std::unique_ptr<DataParcel> data, Outbox& out) {
  data->server = index_;
  if (config_.traffic_mode != TrafficMode::broadcast) {
    const AssociationId asp = loadshare_.of(data->label.sls);
    return out.forward(asp, std::move(data));
  }
  // RFC 4666 §4.3.4.3: after an ASP has become ASP-ACTIVE the first DATA of each traffic flow has a
  // Correlation Id, by which it can "synchronize its processing of traffic in each traffic flow
  // with the other ASPs". A flow is what keeps its order here: an SLS.
  if (!correlated_.test(data->label.sls)) {
    correlated_.set(data->label.sls);
    data->correlation_id = ++correlation_id_;
  }
  for (std::size_t i = 1; i < active_.size(); ++i) out.forward(active_[i], data->share());
  out.forward(active_.front(), std::move(data));
}

void ApplicationServer::discard(const DropReason& why, const DataParcel& data, Outbox& out,
                                std::uint64_t count) {
  out.count(counter::data_discarded, count);
  const std::string sender = gateway_.sender_of(data);
  out.drop(why, data.describe(), sender.empty() ? config_.name : sender, count);
}

void ApplicationServer::discard_held(const DropReason& why, Outbox& out) {
  struct OfSender {
    const DataParcel* last = nullptr;
    std::uint64_t count = 0;
  };
  std::map<std::uint32_t, OfSender> by_sender;
  for (const auto& data : held_) {
    OfSender& of = by_sender[data->sender];
    of.last = data.get();
    ++of.count;
  }
  for (const auto& [sender, of] : by_sender) discard(why, *of.last, out, of.count);
  held_.clear();
  held_bytes_ = 0;
  drain_at_.reset();
}

// --- Saying so -----------------------------------------------------------------------------------

void ApplicationServer::publish(Outbox& out) {
  auto view = std::make_shared<AsView>();
  view->coordinator = gateway_.coordinators[index_];
  view->state = state_;
  view->through_coordinator =
      state_ != AsState::active || !held_.empty() || config_.traffic_mode == TrafficMode::broadcast;
  view->active = active_;
  view->loadshare = loadshare_;
  out.publish(std::make_unique<AsChangeParcel>(index_, std::move(view)));
}

void ApplicationServer::notify(const Member& member, NotifyStatus status, Outbox& out,
                               std::optional<std::uint32_t> about) {
  auto order = std::make_unique<AsOrderParcel>(Order::notify, index_, member.epoch);
  order->status = status;
  order->asp_identifier = about;
  out.forward(member.id, std::move(order));
}

// RFC 4666 §4.3.4.5: "A Notify message reflecting a change in the AS state MUST be sent to all
// ASPs in the AS, except those in the ASP-DOWN state, with appropriate Status Information and any
// ASP Identifier of the failed ASP."
void ApplicationServer::notify_all(NotifyStatus status, Outbox& out,
                                   std::optional<std::uint32_t> about) {
  for (const Member& member : members_) notify(member, status, out, about);
}

// To the other ASs' ASPs; the module knows them, and their networks.
void ApplicationServer::report_destinations(MessageType type, Outbox& out) {
  auto report = std::make_unique<NetworkStatusParcel>();
  report->type = type;
  report->server = index_;
  for (const std::uint32_t dpc : gateway_.rules.destinations_of(index_)) {
    report->affected.push_back({0, dpc});
  }
  if (!report->affected.empty()) out.accept(std::move(report));
}

}  // namespace siglane::m3ua
