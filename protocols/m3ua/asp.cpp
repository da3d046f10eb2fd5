#include "protocols/m3ua/asp.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocols/m3ua/counters.h"
#include "protocols/m3ua/text.h"

namespace siglane::m3ua {
namespace {

using Event = AspEventParcel::Event;

// A DEREG RSP holds at most so many results; more make another message.
constexpr std::size_t kResultsMax = 1024;

constexpr DropReason kClosing{"m3ua.closing", "the association is being closed"};

std::string remote_of(const AssociationUp& up) {
  return (up.remote_addresses.empty() ? std::string("unknown") : up.remote_addresses.front()) +
         ":" + std::to_string(up.remote_port);
}

}  // namespace

std::string_view name_of(AspEvent event) {
  switch (event) {
    case AspEvent::aspup:
      return "ASPUP";
    case AspEvent::aspdn:
      return "ASPDN";
    case AspEvent::aspac:
      return "ASPAC";
    case AspEvent::aspia:
      return "ASPIA";
    case AspEvent::other_asp_overrides:
      return "other ASP overrides";
    case AspEvent::association_lost:
      return "association lost";
  }
  return "unknown";
}

std::string_view name_of(AspAnswer answer) {
  switch (answer) {
    case AspAnswer::nothing:
      return "-";
    case AspAnswer::aspup_ack:
      return "ASPUP ACK";
    case AspAnswer::aspup_ack_and_error:
      return "ASPUP ACK, ERR Unexpected Message";
    case AspAnswer::aspdn_ack:
      return "ASPDN ACK";
    case AspAnswer::aspac_ack:
      return "ASPAC ACK";
    case AspAnswer::aspia_ack:
      return "ASPIA ACK";
    case AspAnswer::notify_alternate_asp_active:
      return "NTFY Alternate ASP Active";
    case AspAnswer::error_unexpected_message:
      return "ERR Unexpected Message";
  }
  return "unknown";
}

AspSession::AspSession(const Snapshot<Gateway>& latest, const AssociationUp& up,
                       std::vector<std::string> candidates)
    : latest_(latest),
      gateway_(latest.load()),
      link_(gateway_->config.heartbeat_interval),
      single_stream_allowed_(gateway_->config.single_stream_allowed),
      candidates_(std::move(candidates)),
      remote_(remote_of(up)) {
  link_.use(Streams(up));
}

void AspSession::step(SessionInput input, Instant now, Outbox& out) {
  [[maybe_unused]] const AspState before = state();
  take(std::move(input), now, out);
  assert(is_in_table(before, state()));
}

void AspSession::take(SessionInput input, Instant now, Outbox& out) {
  if (auto* received = std::get_if<AssociationReceived>(&input)) {
    on_received(std::move(received->message), now, out);
  } else if (auto* submitted = std::get_if<Submitted>(&input)) {
    on_submitted(std::move(*submitted), now, out);
  } else if (std::holds_alternative<Identified>(input)) {
    on_identified(now, out);
  } else if (auto* refused = std::get_if<IdentityRefused>(&input)) {
    on_identity_refused(*refused, now, out);
  } else if (auto* congestion = std::get_if<AssociationCongestion>(&input)) {
    on_congestion(congestion->congested, out);
  } else if (auto* unsent = std::get_if<AssociationUnsent>(&input)) {
    on_unsent(std::move(*unsent), now, out);
  } else if (std::holds_alternative<Stopping>(input)) {
    on_stopping(now, out);
  } else if (const auto* operate = std::get_if<Operate>(&input)) {
    on_operate(*operate, now, out);
  } else if (std::holds_alternative<Reconfigured>(input)) {
    on_reconfigured(now, out);
  } else if (std::holds_alternative<AssociationDown>(input)) {
    on_down(now, out);
  } else if (std::holds_alternative<Woken>(input)) {
    discard_unsent(out);  // nothing came behind it
    (void)link_.beat(now, out);
    serve_waiting(now, out);
  }
}

std::optional<Instant> AspSession::deadline() const {
  const auto at = unsent_.empty() ? link_.heartbeat().deadline() : unsent_at_;
  return turn_at_ && (!at || *turn_at_ < *at) ? turn_at_ : at;
}

SessionStatus AspSession::status() const {
  SessionStatus status;
  status.peer = name_;
  status.protocol = "m3ua";
  status.state = m3ua::name_of(state());
  if (blocked_) status.detail = "blocked";
  if (phase_ != Phase::up) return status;
  for (const Membership& m : memberships_) {
    if (!status.detail.empty()) status.detail += ", ";
    status.detail += server(m).name + " " + std::string(m3ua::name_of(m.state));
  }
  return status;
}

AspState AspSession::state() const {
  if (phase_ != Phase::up) return AspState::down;
  const bool active = std::ranges::any_of(
      memberships_, [](const Membership& m) { return m.state == AspState::active; });
  return active ? AspState::active : AspState::inactive;
}

// --- What the ASP says ---------------------------------------------------------------------------

void AspSession::on_received(Message message, Instant now, Outbox& out) {
  if (phase_ == Phase::closing) return out.drop(kClosing, describe(message.payload.bytes()));
  if (const auto view = link_.receive(message, out)) on_message(*view, message, now, out);
}

void AspSession::on_message(const MessageView& view, Message& message, Instant now, Outbox& out) {
  switch (view.type()) {
    case MessageType::data:
      return on_data(view, message, out);
    case MessageType::aspup:
    case MessageType::aspdn:
    case MessageType::aspac:
    case MessageType::aspia:
      return on_request(view, message, now, out);
    case MessageType::beat:
      return link_.on_beat(view, message.stream, out);
    case MessageType::beat_ack:
      return;  // heard, as any other message
    case MessageType::daud:
    case MessageType::scon:
      return on_ssnm(view, out);
    case MessageType::err:
      return link_.on_err(view, out);
    case MessageType::reg_req:
      return on_reg_req(view, out);
    case MessageType::dereg_req:
      return on_dereg_req(view, out);
    case MessageType::ntfy:
    case MessageType::duna:
    case MessageType::dava:
    case MessageType::dupu:
    case MessageType::drst:
    case MessageType::aspup_ack:
    case MessageType::aspdn_ack:
    case MessageType::aspac_ack:
    case MessageType::aspia_ack:
    case MessageType::reg_rsp:
    case MessageType::dereg_rsp:
      // Only an SG says these.
      return link_.error(ErrorCode::unexpected_message, view.bytes(), out);
  }
}

void AspSession::on_data(const MessageView& view, Message& message, Outbox& out) {
  out.count(counter::data_received);
  if (phase_ != Phase::up) return link_.error(ErrorCode::unexpected_message, view.bytes(), out);
  const U32List contexts = view.list(Tag::routing_context);
  if (contexts.size() > 1)
    return link_.error(ErrorCode::invalid_parameter_value, view.bytes(), out);

  const Membership* membership = nullptr;
  if (contexts.empty()) {
    // RFC 4666 §3.3.1: "Where multiple Routing Keys and Routing Contexts are used across a common
    // association, the Routing Context MUST be sent to identify the traffic flow".
    if (memberships_.size() > 1) {
      return link_.error(ErrorCode::missing_parameter, view.bytes(), out);
    }
    if (!memberships_.empty()) membership = &memberships_.front();
  } else {
    membership = membership_of_context(contexts[0]);
    if (membership == nullptr) {
      return link_.error(ErrorCode::invalid_routing_context, view.bytes(), out,
                         {{contexts[0]}, {}});
    }
  }
  if (membership == nullptr || membership->state != AspState::active) {
    // RFC 4666 §3.8.1: "If the Unexpected message contained Routing Contexts, the Routing Contexts
    // SHOULD be included in the Error message."
    PeerLink::About about;
    about.routing_contexts.assign(contexts.begin(), contexts.end());
    return link_.error(ErrorCode::unexpected_message, view.bytes(), out, about);
  }
  const Network said = view.u32(Tag::network_appearance);
  const auto network = gateway_->networks.of(server(*membership).network_appearance, said);
  if (!network) return link_.error(network.error(), view.bytes(), out, {{}, said});
  const MtpLabel label = load_label(view.find(Tag::protocol_data)->data());
  if ((label.dpc | label.opc) >> gateway_->networks.point_code_bits(*network) != 0) {
    return link_.error(ErrorCode::invalid_parameter_value, view.bytes(), out);
  }
  auto data = DataParcel::received(view, std::move(message.payload), message.caused_at);
  data->correlation_id.reset();  // means something within the sender's AS only
  data->network_appearance = *network;
  data->sender = asp_;
  out.accept(std::move(data));
}

std::vector<AspSession::Membership*> AspSession::named_memberships(const MessageView& view,
                                                                   Outbox& out) {
  std::vector<Membership*> named;
  const U32List contexts = view.list(Tag::routing_context);
  if (contexts.empty()) {
    // RFC 4666 §3.8.1: "without a Routing Context parameter and it is not known by configuration
    // data which Application Servers are referenced."
    if (memberships_.empty()) {
      link_.error(ErrorCode::no_configured_as_for_asp, view.bytes(), out);
    }
    for (Membership& m : memberships_) named.push_back(&m);
    return named;
  }
  PeerLink::About unknown;
  for (const std::uint32_t context : contexts) {
    Membership* m = membership_of_context(context);
    if (m == nullptr) {
      unknown.routing_contexts.push_back(context);
    } else if (std::ranges::find(named, m) == named.end()) {
      named.push_back(m);
    }
  }
  if (!unknown.routing_contexts.empty()) {
    link_.error(ErrorCode::invalid_routing_context, view.bytes(), out, unknown);
  }
  return named;
}

// RFC 4666 §4.4: the keys are configured here, never registered.
void AspSession::on_reg_req(const MessageView& view, Outbox& out) {
  if (phase_ != Phase::up) return link_.error(ErrorCode::unexpected_message, view.bytes(), out);
  MessageBuilder response(out.buffers(), MessageType::reg_rsp);
  ParameterReader parameters = view.parameters();
  while (const auto parameter = parameters.next()) {
    if (parameter->tag != static_cast<std::uint16_t>(Tag::routing_key)) continue;
    const auto key = RoutingKeyView::parse(parameter->value);
    if (!key) return link_.error(key.error().code, view.bytes(), out);
    const std::size_t result = response.open(Tag::registration_result);
    response.u32(Tag::local_routing_key_identifier, key->local_identifier);
    response.u32(Tag::registration_status,
                 static_cast<std::uint32_t>(RegistrationStatus::permission_denied));
    response.u32(Tag::routing_context, 0);
    response.close(result);
  }
  link_.transmit(std::move(response).finish(), out);
}

void AspSession::on_dereg_req(const MessageView& view, Outbox& out) {
  if (phase_ != Phase::up) return link_.error(ErrorCode::unexpected_message, view.bytes(), out);
  // A result is five times as long as what asked for it.
  const U32List contexts = view.list(Tag::routing_context);
  for (std::size_t at = 0; at < contexts.size(); at += kResultsMax) {
    MessageBuilder response(out.buffers(), MessageType::dereg_rsp);
    const std::size_t end = std::min(contexts.size(), at + kResultsMax);
    for (std::size_t i = at; i < end; ++i) {
      const auto status = membership_of_context(contexts[i]) != nullptr
                              ? DeregistrationStatus::permission_denied
                              : DeregistrationStatus::invalid_routing_context;
      const std::size_t result = response.open(Tag::deregistration_result);
      response.u32(Tag::routing_context, contexts[i]);
      response.u32(Tag::deregistration_status, static_cast<std::uint32_t>(status));
      response.close(result);
    }
    link_.transmit(std::move(response).finish(), out);
  }
}

// --- Helpers -------------------------------------------------------------------------------------

AspSession::Membership* AspSession::membership_of_context(std::uint32_t routing_context) {
  for (Membership& m : memberships_) {
    if (server(m).routing_context == routing_context) return &m;
  }
  return nullptr;
}

AspSession::Membership* AspSession::membership_in(std::size_t as) {
  const auto at = std::ranges::find(memberships_, as, &Membership::as);
  return at == memberships_.end() ? nullptr : &*at;
}

const ApplicationServerConfig& AspSession::server(const Membership& m) const {
  return gateway_->servers[m.as].config;
}

void AspSession::move(Membership& membership, AspEvent event, Outbox& out) {
  const AspState before = std::exchange(membership.state, next_state(membership.state, event).to);
  if (membership.state == before) return;
  out.announce(asp_state_changed(name_, server(membership).name, membership.state));
  // Whose traffic no longer waits here is not congested any more; nobody else would say so.
  const bool active = membership.state == AspState::active;
  if (congested_ && (active || before == AspState::active)) {
    report_congestion({&membership, 1}, active, out);
  }
}

void AspSession::leave_all(AspEvent event, Event what, Instant now, Outbox& out) {
  if (phase_ != Phase::up) return;
  for (Membership& m : memberships_) {
    move(m, event, out);
    tell(m, what, now, out);
  }
  out.announce(asp_state_changed(name_, {}, AspState::down));
}

void AspSession::acknowledge(MessageType type, const Membership& m, Outbox& out) {
  MessageBuilder ack(out.buffers(), type);
  if (type == MessageType::aspac_ack && m.mode_in_request) {
    ack.u32(Tag::traffic_mode_type, static_cast<std::uint32_t>(server(m).traffic_mode));
  }
  // With the Routing Context where the request had it, or where it would not be clear without.
  if (m.context_in_request || memberships_.size() > 1) {
    ack.u32(Tag::routing_context, server(m).routing_context);
  }
  link_.transmit(std::move(ack).finish(), out);
}

}  // namespace siglane::m3ua
