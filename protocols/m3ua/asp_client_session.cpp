#include "protocols/m3ua/asp_client_session.h"

#include <algorithm>
#include <utility>

#include "protocols/m3ua/counters.h"
#include "protocols/m3ua/text.h"

namespace siglane::m3ua {
namespace {

constexpr DropReason kNotTaken{"m3ua.not_taken",
                               "DATA arrived while ASP-DOWN, or no user takes DATA of this ASP"};
constexpr DropReason kNoUser{"m3ua.no_user", "DATA could not be sent, and its user is gone"};
constexpr DropReason kUnsent{"m3ua.send_refused",
                             "DATA did not reach the gateway: the association ended or refused it"};

}  // namespace

AspClientSession::AspClientSession(const AspClientsConfig& common, const AspClientConfig& config,
                                   std::string gateway, AssociationId user)
    : common_(common),
      config_(config),
      gateway_(std::move(gateway)),
      user_(user),
      link_(common.heartbeat_interval) {
  for (const std::uint32_t context : config.routing_contexts) {
    contexts_.push_back({context, AspState::down, !config.standby, false});
  }
  if (contexts_.empty())
    contexts_.push_back({std::nullopt, AspState::down, !config.standby, false});
}

void AspClientSession::step(SessionInput input, Instant now, Outbox& out) {
  if (auto* received = std::get_if<AssociationReceived>(&input)) {
    if (closing_) return;
    const auto view = link_.receive(received->message, out);
    if (view) on_message(*view, received->message, now, out);
  } else if (auto* submitted = std::get_if<Submitted>(&input)) {
    auto* parcel = static_cast<M3uaParcel*>(submitted->parcel.get());
    if (parcel->kind() != ParcelKind::data) return;
    submitted->parcel.release();
    send_data(submitted->from, std::unique_ptr<DataParcel>(static_cast<DataParcel*>(parcel)), out);
  } else if (auto* association = std::get_if<AssociationUp>(&input)) {
    on_up(*association, now, out);
  } else if (std::holds_alternative<Identified>(input)) {
    on_identified(now, out);
  } else if (auto* refused = std::get_if<IdentityRefused>(&input)) {
    closing_ = true;
    link_.remark(refused->why, out);
    out.close(CloseMode::graceful);
  } else if (auto* congestion = std::get_if<AssociationCongestion>(&input)) {
    congested_ = congestion->congested;
    for (const Context& context : contexts_) tell_user(context, out);
  } else if (auto* unsent = std::get_if<AssociationUnsent>(&input)) {
    on_unsent(std::move(*unsent), out);
  } else if (std::holds_alternative<Woken>(input)) {
    on_woken(now, out);
  } else if (std::holds_alternative<Stopping>(input)) {
    on_stopping(now, out);
  } else if (const auto* operate = std::get_if<Operate>(&input)) {
    on_operate(*operate, now, out);
  } else if (std::holds_alternative<AssociationDown>(input)) {
    set_all(AspState::down, out);
    closing_ = true;
  }
}

std::optional<Instant> AspClientSession::deadline() const {
  const auto beat = link_.heartbeat().deadline();
  if (awaiting_ == Awaiting::nothing) return beat;
  return beat ? std::min(*beat, ack_by_) : ack_by_;
}

SessionStatus AspClientSession::status() const {
  SessionStatus status;
  status.peer = gateway_;
  status.protocol = "m3ua";
  status.state = name_of(active() ? AspState::active : up() ? AspState::inactive : AspState::down);
  if (blocked_) status.detail = "blocked";
  for (const Context& context : contexts_) {
    if (!context.routing_context) continue;
    if (!status.detail.empty()) status.detail += ", ";
    status.detail += "routing context " + std::to_string(*context.routing_context) + " " +
                     std::string(name_of(context.state));
  }
  return status;
}

bool AspClientSession::up() const {
  return contexts_.front().state != AspState::down;
}

bool AspClientSession::active() const {
  return std::ranges::any_of(contexts_,
                             [](const Context& c) { return c.state == AspState::active; });
}

bool AspClientSession::any_missing() const {
  return std::ranges::any_of(contexts_, [this](const Context& c) { return missing(c); });
}

// --- The way up ----------------------------------------------------------------------------------

void AspClientSession::on_up(const AssociationUp& association, Instant now, Outbox& out) {
  link_.use(Streams(association));
  if (link_.streams().single() && !config_.single_stream_allowed) {
    closing_ = true;
    link_.remark("offers a single stream", out);
    return out.close(CloseMode::graceful);
  }
  send_aspup(out);
  await(Awaiting::aspup_ack, now);
}

void AspClientSession::send_aspup(Outbox& out) {
  MessageBuilder aspup(out.buffers(), MessageType::aspup);
  aspup.u32_if(Tag::asp_identifier, config_.asp_identifier);
  link_.transmit(std::move(aspup).finish(), out);
}

void AspClientSession::on_aspup_ack(Instant now, Outbox& out) {
  if (awaiting_ != Awaiting::aspup_ack) return;  // an answer to a retransmission
  awaiting_ = Awaiting::nothing;
  link_.heartbeat().start(now);
  out.identify(gateway_);
}

void AspClientSession::on_identified(Instant now, Outbox& out) {
  set_all(AspState::inactive, out);
  activate(now, out);
}

void AspClientSession::activate(Instant now, Outbox& out) {
  if (!any_missing()) {
    awaiting_ = Awaiting::nothing;
    return;
  }
  send_aspac(out);
  await(Awaiting::aspac_ack, now);
}

void AspClientSession::send_aspac(Outbox& out) {
  std::vector<std::uint32_t> contexts;
  for (const Context& c : contexts_) {
    if (missing(c) && c.routing_context) contexts.push_back(*c.routing_context);
  }
  MessageBuilder aspac(out.buffers(), MessageType::aspac);
  if (config_.traffic_mode) {
    aspac.u32(Tag::traffic_mode_type, static_cast<std::uint32_t>(*config_.traffic_mode));
  }
  aspac.list(Tag::routing_context, contexts);
  link_.transmit(std::move(aspac).finish(), out);
}

void AspClientSession::on_aspac_ack(const MessageView& view, Instant, Outbox& out) {
  if (!up()) return;
  for (Context* context : named(view)) {
    if (!blocked_) set_state(*context, AspState::active, out);
  }
  if (!any_missing() && awaiting_ == Awaiting::aspac_ack) awaiting_ = Awaiting::nothing;
}

// --- What may go wrong on it ---------------------------------------------------------------------

void AspClientSession::await(Awaiting what, Instant now) {
  if (awaiting_ != what) retransmissions_ = 0;
  awaiting_ = what;
  ack_by_ = now + common_.acknowledgement_timeout;
}

void AspClientSession::on_woken(Instant now, Outbox& out) {
  if (!link_.beat(now, out)) {
    awaiting_ = Awaiting::nothing;
    return;
  }
  if (awaiting_ == Awaiting::nothing || now < ack_by_) return;
  if (awaiting_ == Awaiting::aspdn_ack) {
    awaiting_ = Awaiting::nothing;
    return out.close(CloseMode::graceful);
  }
  // Another ASP may have taken over in the meantime. An ASPAC without Routing Context asks for all.
  if (awaiting_ == Awaiting::aspac_ack && !any_missing()) {
    awaiting_ = Awaiting::nothing;
    return;
  }
  if (++retransmissions_ > common_.retransmissions_max) {
    awaiting_ = Awaiting::nothing;
    link_.remark("no answer within T(ack)", out);
    return out.close(CloseMode::abort);
  }
  // RFC 4666 §4.3.4.1 and §4.3.4.3: the message is sent again when T(ack) expires.
  if (awaiting_ == Awaiting::aspup_ack) {
    send_aspup(out);
  } else if (awaiting_ == Awaiting::aspia_ack) {
    send_aspia(out);
  } else {
    send_aspac(out);
  }
  ack_by_ = now + common_.acknowledgement_timeout;
}

void AspClientSession::on_aspia_ack(const MessageView& view, Instant now, Outbox& out) {
  // Unasked, the gateway has taken us out of service. RFC 4666 §4.3.4.4: an ASP that was ASP-ACTIVE
  // then tries to be so again. Not at once.
  bool was_active = false;
  for (Context* context : named(view)) {
    context->leaving = false;
    was_active = was_active || context->state == AspState::active;
    if (context->state == AspState::active) set_state(*context, AspState::inactive, out);
  }
  if (awaiting_ == Awaiting::aspia_ack) {
    if (std::ranges::any_of(contexts_, &Context::leaving)) return;
    return activate(now, out);  // where the operator has changed his mind
  }
  if (was_active) await(Awaiting::aspac_ack, now);
}

void AspClientSession::on_aspdn_ack(Instant now, Outbox& out) {
  set_all(AspState::down, out);
  if (awaiting_ == Awaiting::aspdn_ack) {
    awaiting_ = Awaiting::nothing;
    return out.close(CloseMode::graceful);
  }
  // Unasked: the gateway stops, or is cut off from its network (RFC 4666 §4.7). Begin again
  // (§4.3.4.2), after T(ack).
  await(Awaiting::aspup_ack, now);
}

void AspClientSession::on_ntfy(const MessageView& view, Instant now, Outbox& out) {
  const auto status = static_cast<NotifyStatus>(view.u32(Tag::status).value_or(0));
  bool wake_up = false;
  for (Context* context : named(view)) {
    switch (status) {
      case NotifyStatus::alternate_asp_active:
        // RFC 4666 §4.3.4.3: another ASP has taken over, and this one is ASP-INACTIVE.
        if (context->state == AspState::active) set_state(*context, AspState::inactive, out);
        context->wanted = false;
        break;
      case NotifyStatus::as_pending:
      case NotifyStatus::insufficient_asp_resources:
        wake_up = wake_up || context->state == AspState::inactive;
        context->wanted = true;
        break;
      case NotifyStatus::as_inactive:
      case NotifyStatus::as_active:
      case NotifyStatus::asp_failure:
        break;
    }
  }
  if (wake_up && awaiting_ == Awaiting::nothing && up()) activate(now, out);
}

void AspClientSession::on_stopping(Instant now, Outbox& out) {
  if (closing_) return;
  if (!up()) {
    closing_ = true;
    awaiting_ = Awaiting::nothing;
    return out.close(CloseMode::graceful);
  }
  set_all(AspState::down, out);
  link_.heartbeat().stop();
  MessageBuilder aspdn(out.buffers(), MessageType::aspdn);
  link_.transmit(std::move(aspdn).finish(), out);
  await(Awaiting::aspdn_ack, now);
}

// --- What the operator wants ---------------------------------------------------------------------

// Blocked, it is ASP-INACTIVE (RFC 4666 §4.3.4.4), and sends no ASPAC.
void AspClientSession::on_operate(const Operate& operate, Instant now, Outbox& out) {
  if (operate.verb == Operate::Verb::disconnect) {
    if (!closing_) out.peer_closed(operate.why);
    return on_stopping(now, out);
  }
  blocked_ = operate.verb == Operate::Verb::block;
  if (closing_ || !up() || awaiting_ == Awaiting::aspdn_ack) return;
  if (!blocked_) {
    if (awaiting_ == Awaiting::nothing) activate(now, out);
    return;
  }
  // An ASPAC that is under way may make it active yet: the ASPIA follows it.
  const bool asked = awaiting_ == Awaiting::aspac_ack;
  for (Context& context : contexts_) {
    if (context.state != AspState::active && !asked) continue;
    context.leaving = true;
    if (context.state == AspState::active) set_state(context, AspState::inactive, out);
  }
  if (std::ranges::none_of(contexts_, &Context::leaving)) return;
  send_aspia(out);
  await(Awaiting::aspia_ack, now);
}

void AspClientSession::send_aspia(Outbox& out) {
  std::vector<std::uint32_t> contexts;
  for (const Context& c : contexts_) {
    if (c.leaving && c.routing_context) contexts.push_back(*c.routing_context);
  }
  MessageBuilder aspia(out.buffers(), MessageType::aspia);
  aspia.list(Tag::routing_context, contexts);
  link_.transmit(std::move(aspia).finish(), out);
}

// What was asked for stays unanswered, so T(ack) tries again, and in the end closes. Not so where
// the gateway's operator blocks us: then it goes on trying, and the association stays.
void AspClientSession::on_err(const MessageView& view, Outbox& out) {
  const bool blocked = view.u32(Tag::error_code) ==
                       static_cast<std::uint32_t>(ErrorCode::refused_management_blocking);
  if (blocked && awaiting_ == Awaiting::aspac_ack) retransmissions_ = 0;
  link_.on_err(view, out);
}

// --- Messages ------------------------------------------------------------------------------------

void AspClientSession::on_message(const MessageView& view, Message& message, Instant now,
                                  Outbox& out) {
  switch (view.type()) {
    case MessageType::data:
      return on_data(view, message, out);
    case MessageType::aspup_ack:
      return on_aspup_ack(now, out);
    case MessageType::aspac_ack:
      return on_aspac_ack(view, now, out);
    case MessageType::aspia_ack:
      return on_aspia_ack(view, now, out);
    case MessageType::aspdn_ack:
      return on_aspdn_ack(now, out);
    case MessageType::ntfy:
      return on_ntfy(view, now, out);
    case MessageType::err:
      return on_err(view, out);
    case MessageType::beat:
      return link_.on_beat(view, message.stream, out);
    case MessageType::beat_ack:
      return;  // heard, as any other message
    case MessageType::duna:
    case MessageType::dava:
    case MessageType::drst:
    case MessageType::scon:
    case MessageType::dupu:
      return on_ssnm(view, out);
    case MessageType::daud:
    case MessageType::aspup:
    case MessageType::aspdn:
    case MessageType::aspac:
    case MessageType::aspia:
    case MessageType::reg_req:
    case MessageType::reg_rsp:
    case MessageType::dereg_req:
    case MessageType::dereg_rsp:
      return link_.error(ErrorCode::unexpected_message, view.bytes(), out);
  }
}

// DATA may overtake the ASPAC ACK, which comes on another stream (RFC 4666 §4.3.4.3): so it is
// taken from ASP-INACTIVE on. What comes earlier is dropped without an ERR, as §3.8.1 leaves to an
// ASP.
void AspClientSession::on_data(const MessageView& view, Message& message, Outbox& out) {
  out.count(counter::data_received);
  if (!up() || user_ == AssociationId::none) {
    out.count(counter::data_discarded);
    return out.drop(kNotTaken, describe(view.bytes()));
  }
  const MtpLabel label = load_label(view.find(Tag::protocol_data)->data());
  if (!is_point_code(label.dpc) || !is_point_code(label.opc)) {
    return link_.error(ErrorCode::invalid_parameter_value, view.bytes(), out);
  }
  auto data = DataParcel::received(view, std::move(message.payload), message.caused_at);
  if (!data->network_appearance) data->network_appearance = config_.network_appearance;
  out.forward(user_, std::move(data));
}

void AspClientSession::on_ssnm(const MessageView& view, Outbox& out) {
  // RFC 4666 §3.4.5, DUPU: "the Mask field is not used and only a single Affected DPC is included."
  const U32List affected = view.list(Tag::affected_point_code);
  if (view.type() == MessageType::dupu &&
      (affected.size() != 1 || AffectedPointCode::unpack(affected[0]).mask != 0)) {
    return link_.error(ErrorCode::invalid_parameter_value, view.bytes(), out);
  }
  if (user_ == AssociationId::none) return;
  auto status = std::make_unique<NetworkStatusParcel>();
  status->type = view.type();
  status->network_appearance = view.u32(Tag::network_appearance);
  if (!status->network_appearance) status->network_appearance = config_.network_appearance;
  status->congestion_level = view.u32(Tag::congestion_indications);
  status->user_cause = view.u32(Tag::user_cause);
  for (const std::uint32_t word : affected) {
    status->affected.push_back(AffectedPointCode::unpack(word));
  }
  out.forward(user_, std::move(status));
}

// --- DATA of the user ----------------------------------------------------------------------------

void AspClientSession::send_data(AssociationId from, std::unique_ptr<DataParcel> data,
                                 Outbox& out) {
  const auto context = std::ranges::find_if(contexts_, [&](const Context& c) {
    return c.state == AspState::active && (!data->routing_context || !c.routing_context ||
                                           *c.routing_context == *data->routing_context);
  });
  if (context == contexts_.end()) return return_data(from, std::move(data), Why::not_open, out);
  const bool fits = data->size() <= kUserDataMax && is_point_code(data->label.dpc) &&
                    is_point_code(data->label.opc);
  if (!fits) return return_data(from, std::move(data), Why::refused, out);
  const auto routing_context =
      context->routing_context ? context->routing_context : data->routing_context;
  link_.send_data(std::move(data), config_.network_appearance, routing_context, out);
}

void AspClientSession::return_data(AssociationId to, std::unique_ptr<DataParcel> data, Why why,
                                   Outbox& out) {
  if (to == AssociationId::none) {
    out.count(counter::data_discarded);
    return out.drop(kNoUser, data->describe());
  }
  data->returned = why;
  out.forward(to, std::move(data));
}

// timed_out: sent and never acknowledged, so it may have arrived; refused: it has not.
void AspClientSession::on_unsent(AssociationUnsent unsent, Outbox& out) {
  const Bytes bytes = unsent.message.payload.bytes();
  const auto view = MessageView::parse(bytes);
  if (!view || view->type() != MessageType::data) return out.drop(kUnsent, describe(bytes));
  auto data = DataParcel::received(*view, std::move(unsent.message.payload), {});
  return_data(user_, std::move(data), unsent.sent_unacknowledged ? Why::timed_out : Why::refused,
              out);
}

// --- Helpers -------------------------------------------------------------------------------------

std::vector<AspClientSession::Context*> AspClientSession::named(const MessageView& view) {
  const U32List list = view.list(Tag::routing_context);
  std::vector<Context*> found;
  for (Context& c : contexts_) {
    const bool all = list.empty() || !c.routing_context;
    if (all || std::ranges::find(list, *c.routing_context) != list.end()) found.push_back(&c);
  }
  return found;
}

void AspClientSession::set_state(Context& context, AspState state, Outbox& out) {
  if (std::exchange(context.state, state) == state) return;
  const std::string where =
      context.routing_context ? "routing context " + std::to_string(*context.routing_context) : "";
  out.announce(asp_state_changed(config_.name, where, state));
  tell_user(context, out);
}

void AspClientSession::set_all(AspState state, Outbox& out) {
  for (Context& context : contexts_) set_state(context, state, out);
}

void AspClientSession::tell_user(const Context& context, Outbox& out) {
  if (user_ == AssociationId::none) return;
  auto status = std::make_unique<AspStatusParcel>();
  status->asp = config_.name;
  status->state = context.state;
  status->routing_context = context.routing_context;
  status->congested = congested_;
  out.forward(user_, std::move(status));
}

}  // namespace siglane::m3ua
