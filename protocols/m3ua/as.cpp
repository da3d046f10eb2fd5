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

constexpr FactKind kAsStateChanged{"as_state_changed", Severity::info,
                                   "the application server is in this state (RFC 4666 §4.3.2)"};
constexpr DropReason kPendingFull{
    "m3ua.pending_full",
    "the AS is pending, and pending_messages_max or pending_bytes_max is reached"};
constexpr DropReason kRecoveryExpired{"m3ua.recovery_expired",
                                      "no ASP of the AS became active within recovery_timeout_ms"};

FlowGroup::State group_state(AsState state) {
  switch (state) {
    case AsState::down:
    case AsState::inactive:
      return FlowGroup::State::closed;
    case AsState::pending:
      return FlowGroup::State::pending;
    case AsState::active:
      return FlowGroup::State::open;
  }
  return FlowGroup::State::closed;
}

FlowGroup::Limits limits_of(const Gateway& gateway, const ApplicationServerConfig& as) {
  return {.held_messages_max = as.pending_messages_max,
          .held_bytes_max = as.pending_bytes_max,
          .drained_per_ms_max = gateway.config.drain_messages_per_ms_max};
}

// Override has one member at a time.
FlowGroup group_of(const Gateway& gateway, const ApplicationServerConfig& as) {
  const bool broadcast = as.traffic_mode == TrafficMode::broadcast;
  return FlowGroup(broadcast ? FlowGroup::Spread::to_all : FlowGroup::Spread::by_selector,
                   limits_of(gateway, as));
}

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

ApplicationServer::ApplicationServer(const Snapshot<Gateway>& latest,
                                     std::shared_ptr<const Gateway> gateway, std::size_t place)
    : latest_(latest),
      gateway_(std::move(gateway)),
      place_(place),
      active_min_(config().active_asps_min),
      group_(group_of(*gateway_, config())) {}

void ApplicationServer::step(SessionInput input, Instant now, Outbox& out) {
  take(std::move(input), now, out);
  assert(agrees());
}

void ApplicationServer::take(SessionInput input, Instant now, Outbox& out) {
  if (auto* submitted = std::get_if<Submitted>(&input)) {
    auto* parcel = static_cast<M3uaParcel*>(submitted->parcel.get());
    if (parcel->kind() == ParcelKind::data) {
      on_data(std::move(submitted->parcel), out);
    } else if (parcel->kind() == ParcelKind::asp_event) {
      submitted->parcel.release();
      on_event(submitted->from,
               std::unique_ptr<AspEventParcel>(static_cast<AspEventParcel*>(parcel)), now, out);
    }
  } else if (std::holds_alternative<Woken>(input)) {
    on_woken(now, out);
  } else if (std::holds_alternative<Rerouting>(input)) {
    on_rerouting(now, out);
  } else if (std::holds_alternative<Reconfigured>(input)) {
    on_reconfigured(out);
  }
}

std::optional<Instant> ApplicationServer::deadline() const {
  if (group_.rerouting()) return std::nullopt;
  return recovery_at_ ? recovery_at_ : group_.deadline();
}

SessionStatus ApplicationServer::status() const {
  SessionStatus status;
  status.peer = config().name;
  status.protocol = "m3ua";
  status.state = name_of(state_);
  status.pending = group_.held();
  status.detail = "routing context " + std::to_string(config().routing_context) + ", " +
                  std::string(name_of(config().traffic_mode)) + ", " +
                  std::to_string(group_.members().size()) + " of " +
                  std::to_string(config().asps.size()) + " active";
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
  if (Member* member = find(from); event->event == Event::lost && member != nullptr) {
    member->lost = true;
  }
  if (group_.rerouting() || changes_path(from, *event)) {
    waiting_events_.push_back({from, std::move(event)});
    if (group_.reroute()) out.reroute();
    return;
  }
  on_asp(from, *event, now, out);
  if (!group_.deadline()) send_held(now, out);
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
  out.forward(from, std::make_unique<AsOrderParcel>(Order::noted, place_, event.epoch));
}

void ApplicationServer::on_up(AssociationId from, const AspEventParcel& event, Instant now,
                              Outbox& out) {
  Member* member = find(from);
  if (member == nullptr) {
    member = &members_.emplace_back();
    member->id = from;
    member->asp = event.asp;
    member->place = event.asp_place;
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
  if (config().traffic_mode == TrafficMode::override_mode) {
    // RFC 4666 §4.3.4.3: "Any previously active ASP in the AS is now considered to be in the state
    // ASP-INACTIVE"; it is told so by NTFY, Alternate ASP Active, with the other's ASP Identifier.
    for (Member& other : members_) {
      if (&other == &member || !active(other)) continue;
      set_inactive(other);
      auto order = std::make_unique<AsOrderParcel>(Order::deactivated, place_, other.epoch);
      order->unasked = true;
      order->asp_identifier = member.asp_identifier;
      out.forward(other.id, std::move(order));
    }
  }
  set_active(member);
  out.forward(member.id, std::make_unique<AsOrderParcel>(Order::activated, place_, member.epoch));
  settle(now, out);
  warn_if_short(out);
}

void ApplicationServer::on_deactivate(Member& member, Instant now, Outbox& out) {
  const bool was_active = active(member);
  set_inactive(member);
  out.forward(member.id, std::make_unique<AsOrderParcel>(Order::deactivated, place_, member.epoch));
  if (settle(now, out) || !was_active) return;
  warn_if_short(out);
}

void ApplicationServer::set_active(Member& member) {
  if (active(member)) return;
  member.state = AspState::active;
  group_.join(member.asp, member.id);
  correlated_.reset();
}

void ApplicationServer::set_inactive(Member& member) {
  if (!active(member)) return;
  member.state = AspState::inactive;
  group_.leave(member.id);
}

// --- The machine ---------------------------------------------------------------------------------

bool ApplicationServer::settle(Instant now, Outbox& out, std::optional<std::uint32_t> failed) {
  if (group_.members().size() >= needed()) return apply(AsEvent::asps_active, now, out);
  if (group_.members().empty() && state_ == AsState::active) {
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
  group_.enter(group_state(state_));
  entered(before, now, out, failed);
  return true;
}

bool ApplicationServer::agrees() const {
  if (recovery_at_.has_value() != (state_ == AsState::pending)) return false;
  const std::size_t active = group_.members().size();
  const bool none_held = group_.held() == 0 || group_.rerouting();
  switch (state_) {
    case AsState::down:
      return members_.empty() && none_held;
    case AsState::inactive:
      return !members_.empty() && active < active_min_ && none_held;
    case AsState::active:
      return active > 0 && (group_.deadline().has_value() || none_held);
    case AsState::pending:
      return active == 0;
  }
  return false;
}

void ApplicationServer::entered(AsState before, Instant now, Outbox& out,
                                std::optional<std::uint32_t> failed) {
  out.announce({kAsStateChanged, {{"as", config().name}, {"state", name_of(state_)}}});
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
      pending_since_ = now;
      recovery_at_ = now + config().recovery_timeout;
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
  if (state_ != AsState::active || group_.members().size() >= config().active_asps_min) {
    return;
  }
  for (const Member& member : members_) {
    if (!active(member)) notify(member, NotifyStatus::insufficient_asp_resources, out);
  }
}

void ApplicationServer::on_woken(Instant now, Outbox& out) {
  if (group_.rerouting()) return;
  bool changes = recovery_at_ && *recovery_at_ <= now;
  if (const auto due = group_.deadline(); due && *due <= now) {
    send_held(now, out);
    changes = changes || group_.may_go_straight();
  }
  if (changes && group_.reroute()) out.reroute();
}

// --- Changes of the path -------------------------------------------------------------------------

// Does DATA go another way after it? Not where the ASP had none and gets none.
bool ApplicationServer::changes_path(AssociationId from, const AspEventParcel& event) {
  const Member* member = find(from);
  if (member == nullptr) return false;
  const std::size_t active_now = group_.members().size();
  if (event.event == Event::activate) {
    const bool becomes_active = active_now + 1 >= needed();
    return !active(*member) &&
           group_.changes_if_joined(member->asp, from,
                                    becomes_active ? FlowGroup::State::open : group_.state());
  }
  const bool becomes_pending = state_ == AsState::active && active_now == 1;
  return active(*member) &&
         group_.changes_if_left(from, becomes_pending ? FlowGroup::State::pending : group_.state());
}

// Nothing is under way to an ASP any more: what could not be delivered has come back, and was sent
// before all that is held.
void ApplicationServer::on_rerouting(Instant now, Outbox& out) {
  group_.rerouted();
  if (removed()) return end(out);
  const bool needs_fewer = config().active_asps_min < active_min_;
  active_min_ = config().active_asps_min;
  for (const auto& [from, event] : std::exchange(waiting_events_, {})) {
    on_asp(from, *event, now, out);
  }
  if (needs_fewer) settle(now, out);
  if (recovery_at_ && *recovery_at_ <= now) {
    apply(members_.empty() ? AsEvent::recovery_expired_alone : AsEvent::recovery_expired, now, out);
  }
  // Not before the last event: what an ASP got that is no more, once all of them have been obeyed,
  // would come back behind what is held.
  send_held(now, out);
  if (group_.state() == FlowGroup::State::closed) discard_held(kAsNotActive, out);
  publish(out);
}

// --- Another config ------------------------------------------------------------------------------

// Which ASPs are in it, their own sessions know and tell: so that is nothing to look at here.
void ApplicationServer::on_reconfigured(Outbox& out) {
  auto latest = latest_.load();
  if (latest == gateway_) return;
  const auto before = std::exchange(gateway_, std::move(latest));
  if (removed()) {
    if (!group_.rerouting()) end(out);
    return;
  }
  group_.use(limits_of(*gateway_, config()));
  if (recovery_at_) recovery_at_ = pending_since_ + config().recovery_timeout;
  if (group_.rerouting()) return;
  if (state_ == AsState::inactive && group_.members().size() >= config().active_asps_min) {
    if (group_.reroute()) out.reroute();
    return;
  }
  active_min_ = config().active_asps_min;
  if (active_min_ > before->servers[place_].config.active_asps_min) warn_if_short(out);
}

// It is in the config no more. Nothing has to keep its order, because nothing of it is sent on:
// what is still under way to an ASP comes back from there, and the module drops it. The others hear
// of its destinations from the module, too, when they follow the revision.
void ApplicationServer::end(Outbox& out) {
  const bool was_serving = state_ == AsState::active || state_ == AsState::pending;
  if (state_ != AsState::down) {
    state_ = AsState::down;
    out.announce({kAsStateChanged, {{"as", config().name}, {"state", name_of(state_)}}});
  }
  recovery_at_.reset();
  group_.enter(group_state(state_));
  discard_held(kAsRemoved, out);
  const auto tell = [&](AssociationId asp, std::uint32_t epoch, bool unasked) {
    auto order = std::make_unique<AsOrderParcel>(Order::removed, place_, epoch);
    order->unasked = unasked;
    order->was_serving = was_serving;
    out.forward(asp, std::move(order));
  };
  for (const auto& [from, event] : std::exchange(waiting_events_, {})) {
    if (event->event != Event::lost) tell(from, event->epoch, false);
  }
  for (const Member& member : std::exchange(members_, {})) {
    if (active(member)) group_.leave(member.id);
    if (!member.lost) tell(member.id, member.epoch, true);
  }
  publish(out);
  out.close(CloseMode::graceful);
}

// --- DATA ----------------------------------------------------------------------------------------

void ApplicationServer::on_data(ParcelPtr data, Outbox& out) {
  switch (group_.take(data)) {
    case FlowGroup::Taken::to_send:
      return deliver(std::move(data), out);
    case FlowGroup::Taken::held:
      return;
    case FlowGroup::Taken::refused_closed:
      return discard(kAsNotActive, static_cast<const DataParcel&>(*data), out);
    case FlowGroup::Taken::refused_full:
      return discard(kPendingFull, static_cast<const DataParcel&>(*data), out);
  }
}

void ApplicationServer::send_held(Instant now, Outbox& out) {
  for (ParcelPtr& data : group_.drain(now)) deliver(std::move(data), out);
}

void ApplicationServer::deliver(ParcelPtr parcel, Outbox& out) {
  auto& data = static_cast<DataParcel&>(*parcel);
  data.server = place_;
  if (config().traffic_mode != TrafficMode::broadcast) {
    return out.forward(group_.carriers()[data.label.sls], std::move(parcel));
  }
  // RFC 4666 §4.3.4.3: after an ASP has become ASP-ACTIVE the first DATA of each traffic flow has a
  // Correlation Id, by which it can "synchronize its processing of traffic in each traffic flow
  // with the other ASPs". A flow is what keeps its order here: an SLS.
  if (!correlated_.test(data.label.sls)) {
    correlated_.set(data.label.sls);
    data.correlation_id = ++correlation_id_;
  }
  const std::vector<AssociationId>& asps = group_.members();
  for (std::size_t i = 1; i < asps.size(); ++i) out.forward(asps[i], data.share());
  out.forward(asps.front(), std::move(parcel));
}

void ApplicationServer::discard(const DropReason& why, const DataParcel& data, Outbox& out,
                                std::uint64_t count) {
  out.count(counter::data_discarded, count);
  const std::string sender = gateway_->sender_of(data);
  out.drop(why, data.describe(), sender.empty() ? config().name : sender, count);
}

void ApplicationServer::discard_held(const DropReason& why, Outbox& out) {
  struct OfSender {
    const DataParcel* last = nullptr;
    std::uint64_t count = 0;
  };
  std::map<std::uint32_t, OfSender> by_sender;
  const auto given_up = group_.give_up();
  for (const ParcelPtr& parcel : given_up) {
    const auto& data = static_cast<const DataParcel&>(*parcel);
    OfSender& of = by_sender[data.sender];
    of.last = &data;
    ++of.count;
  }
  for (const auto& [sender, of] : by_sender) discard(why, *of.last, out, of.count);
}

// --- Saying so -----------------------------------------------------------------------------------

void ApplicationServer::publish(Outbox& out) {
  auto view = std::make_shared<AsView>();
  view->coordinator = gateway_->servers[place_].coordinator;
  view->state = state_;
  view->through_coordinator = group_.through_coordinator();
  view->active = group_.members();
  for (const Member& member : members_) {
    if (active(member)) view->asps.emplace_back(member.id, member.place);
  }
  view->carriers = group_.carriers();
  out.publish(std::make_unique<AsChangeParcel>(place_, std::move(view)));
}

void ApplicationServer::notify(const Member& member, NotifyStatus status, Outbox& out,
                               std::optional<std::uint32_t> about) {
  if (member.lost) return;
  auto order = std::make_unique<AsOrderParcel>(Order::notify, place_, member.epoch);
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
  report->server = place_;
  out.accept(std::move(report));
}

}  // namespace siglane::m3ua
