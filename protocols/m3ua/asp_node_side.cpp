// The half of an AspSession that faces the node: parcels from AS sessions and routes, and what the
// association reports besides messages. The half that faces the ASP is asp.cpp.
#include <algorithm>
#include <utility>

#include "protocols/m3ua/asp.h"

namespace siglane::m3ua {
namespace {

using Order = AsOrderParcel::Order;
using Event = AspEventParcel::Event;

// An SSNM names at most so many destinations; more make another message.
constexpr std::size_t kAffectedMax = 1024;
// Of what comes back from a lost association, so much is kept for its AS: as much as a send queue
// holds by default (core/config.h).
constexpr std::size_t kUnsentMax = 4096;

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
      return;  // never addressed to an ASP
  }
}

void AspSession::on_order(const AsOrderParcel& order, Instant now, Outbox& out) {
  Membership* m = membership_in(order.as);
  if (m == nullptr) return;
  // Else it is about an earlier life.
  if (phase_ == Phase::up && order.epoch == epoch_) obey(order, *m, out);
  if (!order.is_answer()) return;
  m->awaits_answer = false;
  serve_waiting(now, out);
}

void AspSession::obey(const AsOrderParcel& order, Membership& m, Outbox& out) {
  const std::uint32_t context = server(m).routing_context;
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
  }
  const NotifyStatus status =
      order.order == Order::notify ? order.status : NotifyStatus::alternate_asp_active;
  MessageBuilder ntfy(out.buffers(), MessageType::ntfy);
  ntfy.u32(Tag::status, static_cast<std::uint32_t>(status))
      .u32_if(Tag::asp_identifier, order.asp_identifier)
      .u32(Tag::routing_context, context);
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

void AspSession::send_status(const NetworkStatusParcel& status, Instant now, Outbox& out) {
  std::vector<std::uint32_t> contexts, affected;
  auto appearance = status.network_appearance;
  for (const Membership& m : memberships_) {
    if (m.state != AspState::active) continue;
    contexts.push_back(server(m).routing_context);
    if (!appearance) appearance = server(m).network_appearance;
  }
  if (phase_ != Phase::up || contexts.empty()) return;
  for (const AffectedPointCode& pc : status.affected) {
    if (!status.limited || may_report(pc.point_code, now)) affected.push_back(pc.pack());
  }
  for (std::size_t at = 0; at < affected.size(); at += kAffectedMax) {
    MessageBuilder message(out.buffers(), status.type);
    message.u32_if(Tag::network_appearance, appearance)
        .list(Tag::routing_context, contexts)
        .list(Tag::affected_point_code,
              std::span(affected).subspan(at, std::min(kAffectedMax, affected.size() - at)))
        .u32_if(Tag::congestion_indications, status.congestion_level);
    link_.transmit(std::move(message).finish(), out);
  }
}

// The SCON of the others says that the destinations behind this association are congested.
void AspSession::on_congestion(bool congested, Outbox& out) {
  congested_ = congested;
  std::vector<Membership> active;
  std::ranges::copy_if(memberships_, std::back_inserter(active),
                       [](const Membership& m) { return m.state == AspState::active; });
  report_congestion(active, congested, out);
}

void AspSession::report_congestion(std::span<const Membership> of, bool congested, Outbox& out) {
  auto report = std::make_unique<NetworkStatusParcel>();
  report->type = MessageType::scon;
  report->congestion_level = congested ? 1 : 0;
  for (const Membership& m : of) {
    for (const std::uint32_t dpc : gateway_.rules.destinations_of(m.as)) {
      report->affected.push_back({0, dpc});
    }
  }
  if (!report->affected.empty()) out.accept(std::move(report));
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

void AspSession::on_unsent(AssociationUnsent unsent, Instant now, Outbox& out) {
  const auto view = MessageView::parse(unsent.message.payload.bytes());
  if (!view || view->type() != MessageType::data) return;
  // What was sent may have arrived: a second time would be worse than none.
  if (unsent.sent_unacknowledged || unsent_.size() == kUnsentMax) {
    return out.count(Counter::m3ua_data_discarded);
  }
  if (unsent_at_ != now) discard_unsent(out);
  unsent_at_ = now;
  unsent_.push_back(std::move(unsent.message.payload));
}

void AspSession::discard_unsent(Outbox& out) {
  if (!unsent_.empty()) out.count(Counter::m3ua_data_discarded, unsent_.size());
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
      out.count(Counter::m3ua_data_discarded);  // of broadcast, the others have theirs
      continue;
    }
    rescued.push_back(DataParcel::received(*view, std::move(message), {}));
    rescued.back()->server = m->as;
  }
  leave_all(AspEvent::association_lost, Event::lost, now, out);
  phase_ = Phase::closing;
  for (auto& data : rescued) {
    const AssociationId coordinator = gateway_.coordinators[data->server];
    out.forward(coordinator, std::move(data));
  }
}

}  // namespace siglane::m3ua
