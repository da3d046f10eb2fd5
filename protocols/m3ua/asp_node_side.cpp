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
    const AssociationId coordinator = gateway_.coordinators[data->server];
    out.forward(coordinator, std::move(data));
  }
}

}  // namespace siglane::m3ua
