// The half of an AspSession that faces the node: parcels from AS sessions and routes, and what the
// association reports besides messages. The half that faces the ASP is asp.cpp;
// what they say to one another of destinations is in asp_destinations.cpp.
#include <algorithm>
#include <utility>

#include "protocols/m3ua/asp.h"
#include "protocols/m3ua/counters.h"
#include "protocols/m3ua/text.h"

namespace siglane::m3ua {
namespace {

using Order = AsOrderParcel::Order;
using Event = AspEventParcel::Event;

// Of what comes back from a lost association, so much is kept for its AS: as much as a send queue
// holds by default (core/config.h).
constexpr std::size_t kUnsentMax = 4096;

// Who sent it is not known any more: all of these are counted for the ASP that it was for.
constexpr DropReason kMayHaveArrived{
    "m3ua.unacknowledged",
    "the association ended before it acknowledged this DATA, which may have arrived"};
constexpr DropReason kTooMuchUnsent{
    "m3ua.unsent_full", "the association of this ASP ended with more unsent DATA than is kept"};
constexpr DropReason kSendRefused{
    "m3ua.send_refused",
    "could not be sent to this ASP: its send queue is full, or its association is closing"};
constexpr DropReason kOfBroadcast{
    "m3ua.broadcast_unsent",
    "this ASP left before its copy of a broadcast could be sent; the others have theirs"};
constexpr DropReason kOfNoAs{"m3ua.unsent_of_no_as",
                             "this ASP left, and does not belong to the AS of the message"};

}  // namespace

void AspSession::on_submitted(Submitted submitted, Instant now, Outbox& out) {
  auto* parcel = static_cast<M3uaParcel*>(submitted.parcel.get());
  switch (parcel->kind()) {
    case ParcelKind::data:
      submitted.parcel.release();
      return send_data(std::unique_ptr<DataParcel>(static_cast<DataParcel*>(parcel)), out);
    case ParcelKind::as_order:
      return on_order(static_cast<const AsOrderParcel&>(*parcel), now, out);
    case ParcelKind::network_status:
      return send_status(static_cast<const NetworkStatusParcel&>(*parcel), now, out);
    case ParcelKind::asp_status:
    case ParcelKind::asp_event:
    case ParcelKind::routes_changed:
      return;  // never addressed to an ASP
  }
}

void AspSession::on_order(const AsOrderParcel& order, Instant now, Outbox& out) {
  Membership* m = membership_in(order.as);
  if (m == nullptr) return;
  if (order.order == Order::removed) {  // whatever it is about: the AS has no other life
    const bool news = !m->over;
    withdraw(*m, out);
    if (phase_ == Phase::up && order.was_serving && news) {
      notify(*m, NotifyStatus::as_inactive, {}, out);
    }
  } else if (phase_ == Phase::up && order.epoch == epoch_) {
    obey(order, *m, out);
  }  // else it is about an earlier life
  if (order.is_answer()) {
    m->awaits_answer = false;
    if (m->told_to_end) withdraw(*m, out);
  }
  const bool over = m->over;
  if (over || m->unwanted) review_memberships(now, out);  // it may be there no more
  enforce_block(now, out);
  tell_states(now, out);
  if (order.is_answer() || over) serve_waiting(now, out);
}

void AspSession::obey(const AsOrderParcel& order, Membership& m, Outbox& out) {
  switch (order.order) {
    case Order::noted:
      return;
    case Order::activated:
      move(m, AspEvent::aspac, out);
      return acknowledge(MessageType::aspac_ack, m, out);
    case Order::deactivated:
      if (!order.unasked) {
        move(m, AspEvent::aspia, out);
        return acknowledge(MessageType::aspia_ack, m, out);
      }
      move(m, AspEvent::other_asp_overrides, out);
      break;
    case Order::notify:
      break;
    case Order::removed:
      return;
  }
  const NotifyStatus status =
      order.order == Order::notify ? order.status : NotifyStatus::alternate_asp_active;
  notify(m, status, order.asp_identifier, out);
}

void AspSession::notify(const Membership& m, NotifyStatus status,
                        std::optional<std::uint32_t> about, Outbox& out) {
  MessageBuilder ntfy(out.buffers(), MessageType::ntfy);
  ntfy.u32(Tag::status, static_cast<std::uint32_t>(status))
      .u32_if(Tag::asp_identifier, about)
      .u32(Tag::routing_context, server(m).routing_context);
  link_.transmit(std::move(ntfy).finish(), out);
}

void AspSession::send_data(std::unique_ptr<DataParcel> data, Outbox& out) {
  const Membership* m = membership_in(data->server);
  if (phase_ != Phase::up || m == nullptr || m->state != AspState::active) {
    return out.undelivered(std::move(data), Why::not_open);
  }
  const ApplicationServerConfig& as = server(*m);
  link_.send_data(std::move(data), as.network_appearance, as.routing_context, out);
}

// RFC 4666 §4.7: a gateway cut off from its network "should send ASP Down Ack to all its connected
// ASPs". One that stops is.
void AspSession::on_stopping(Instant now, Outbox& out) {
  if (phase_ == Phase::closing) return;
  if (phase_ == Phase::up) {
    leave_all(AspEvent::aspdn, Event::down, now, out);
    MessageBuilder ack(out.buffers(), MessageType::aspdn_ack);
    link_.transmit(std::move(ack).finish(), out);
  }
  phase_ = Phase::closing;
  serve_waiting(now, out);
  link_.heartbeat().stop();
  out.close(CloseMode::graceful);
}

// --- What the operator and a new config want -----------------------------------------------------

void AspSession::on_operate(const Operate& operate, Instant now, Outbox& out) {
  switch (operate.verb) {
    case Operate::Verb::disconnect:
      if (phase_ != Phase::closing) out.peer_closed(operate.why);
      return on_stopping(now, out);
    case Operate::Verb::block:
      blocked_ = true;
      return enforce_block(now, out);
    case Operate::Verb::unblock:
      blocked_ = false;
      for (Membership& m : memberships_) m.untold = true;
      return tell_states(now, out);
  }
}

// The ASP is taken out of its ASs as if it had sent ASPIA: each AS gives its share to others, in
// order, and then the ASP gets an ASPIA ACK. RFC 4666 §4.3.4.4 lets an ASP expect one that it has
// not asked for, and consider itself ASP-INACTIVE.
void AspSession::enforce_block(Instant now, Outbox& out) {
  if (!blocked_ || phase_ != Phase::up) return;
  for (Membership& m : memberships_) {
    if (m.state != AspState::active || m.awaits_answer || m.unwanted || m.over) continue;
    m.context_in_request = true;
    tell(m, Event::deactivate, now, out);
  }
}

// It is up to the ASP to send ASPAC again, and nothing else would tell it that it may. RFC 4666
// §4.3.4.5 has a NTFY "inform the ASP of the current AS state" when it becomes ASP-INACTIVE; an ASP
// that waits for that activates by it. The AS says it, as after an ASPUP.
void AspSession::tell_states(Instant now, Outbox& out) {
  if (blocked_ || phase_ != Phase::up) return;
  for (Membership& m : memberships_) {
    if (!m.untold || m.awaits_answer || m.unwanted || m.over) continue;
    m.untold = false;  // of one that is active it is known
    if (m.state == AspState::inactive) tell(m, Event::up, now, out);
  }
}

void AspSession::on_reconfigured(Instant now, Outbox& out) {
  auto latest = latest_.load();
  if (latest == gateway_) return;
  gateway_ = std::move(latest);
  link_.heartbeat().use(gateway_->config.heartbeat_interval, now);
  if (phase_ == Phase::closing || phase_ == Phase::identifying || name_.empty()) return;
  asp_ = gateway_->place_of_asp(name_);
  report_routes(out);
  review_memberships(now, out);
  serve_waiting(now, out);
}

void AspSession::report_routes(Outbox& out) {
  if (state() != AspState::active || gateway_->changed_destinations.empty()) return;
  auto parcel = std::make_unique<RoutesChangedParcel>();
  for (const Membership& m : memberships_) {
    if (m.state == AspState::active) parcel->active_in.push_back(m.as);
  }
  out.accept(std::move(parcel));
}

void AspSession::review_memberships(Instant now, Outbox& out) {
  for (std::size_t i = 0; i < memberships_.size();) {
    Membership& m = memberships_[i];
    m.unwanted = !gateway_->is_in(name_, m.as);
    if ((m.unwanted || m.told_to_end) && may_drop(m, now, out)) {
      memberships_.erase(memberships_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  for (const std::size_t as : gateway_->servers_of(name_)) {
    // Of two with one routing context, the old one ends first.
    const std::uint32_t context = gateway_->servers[as].config.routing_context;
    if (membership_in(as) != nullptr || membership_of_context(context) != nullptr) continue;
    Membership& m = memberships_.emplace_back(Membership{.as = as});
    if (phase_ != Phase::up) continue;
    // It is ASP-UP already, so it is ASP-INACTIVE here from now on. The AS tells it its own state.
    m.state = next_state(m.state, AspEvent::aspup).to;
    tell(m, Event::up, now, out);
  }
}

// Nothing is left of an unwanted membership, neither here nor in its AS. One that is down was never
// known there, or is forgotten. An AS that is removed says so to all its ASPs, unasked.
bool AspSession::may_drop(Membership& m, Instant now, Outbox& out) {
  if (m.over) return true;
  if (m.awaits_answer) return false;
  if (m.state == AspState::down) return true;
  if (gateway_->servers[m.as].removed) return false;
  m.told_to_end = true;
  tell(m, Event::down, now, out);
  return false;
}

// The AS has let the ASP go. RFC 4666 §4.3.4.4: an ASPIA ACK, also unasked, makes the ASP
// ASP-INACTIVE.
void AspSession::withdraw(Membership& m, Outbox& out) {
  m.over = true;
  if (m.state != AspState::active) return;
  move(m, AspEvent::aspia, out);
  m.context_in_request = true;
  acknowledge(MessageType::aspia_ack, m, out);
}

void AspSession::on_unsent(AssociationUnsent unsent, Instant now, Outbox& out) {
  const Bytes bytes = unsent.message.payload.bytes();
  const auto view = MessageView::parse(bytes);
  // What was sent may have arrived: a second time would be worse than none.
  const DropReason* why = unsent.sent_unacknowledged     ? &kMayHaveArrived
                          : unsent_.size() == kUnsentMax ? &kTooMuchUnsent
                                                         : nullptr;
  if (!view || view->type() != MessageType::data) {
    return out.drop(why == &kMayHaveArrived ? *why : kSendRefused, describe(bytes));
  }
  if (why != nullptr) {
    out.count(counter::data_discarded);
    return out.drop(*why, describe(bytes));
  }
  if (unsent_at_ != now) discard_unsent(out);
  unsent_at_ = now;
  unsent_.push_back(std::move(unsent.message.payload));
}

void AspSession::discard_unsent(Outbox& out) {
  if (unsent_.empty()) return;
  out.count(counter::data_discarded, unsent_.size());
  out.drop(kSendRefused, describe(unsent_.back().bytes()), {}, unsent_.size());
  unsent_.clear();
}

// The AS hears of the loss first, then gets what did not leave, in order and ahead of anything that
// is still on its way here: so no flow is reordered by it.
void AspSession::on_down(Instant now, Outbox& out) {
  if (phase_ != Phase::up) discard_unsent(out);  // its AS has gone on without it
  std::vector<std::unique_ptr<DataParcel>> rescued;
  for (Buffer& message : std::exchange(unsent_, {})) {
    const auto view = MessageView::parse(message.bytes());
    const auto context = view ? view->u32(Tag::routing_context) : std::nullopt;
    const Membership* m = context ? membership_of_context(*context) : nullptr;
    if (m == nullptr || server(*m).traffic_mode == TrafficMode::broadcast) {
      out.count(counter::data_discarded);
      out.drop(m == nullptr ? kOfNoAs : kOfBroadcast, describe(message.bytes()));
      continue;
    }
    rescued.push_back(DataParcel::received(*view, std::move(message), {}));
    rescued.back()->server = m->as;
    // It was sent before, so it is older than what shards and AS hold.
    (void)rescued.back()->mark_tried(AssociationId::none);
  }
  leave_all(AspEvent::association_lost, Event::lost, now, out);
  phase_ = Phase::closing;
  for (auto& data : rescued) {
    const AssociationId coordinator = gateway_->servers[data->server].coordinator;
    out.forward(coordinator, std::move(data));
  }
}

}  // namespace siglane::m3ua
