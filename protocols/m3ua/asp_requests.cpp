// What an ASP asks for: ASPUP, ASPDN, ASPAC and ASPIA, each in its turn. The rest of an AspSession
// is in asp.cpp and asp_node_side.cpp.
#include <algorithm>
#include <utility>

#include "protocols/m3ua/asp.h"
#include "protocols/m3ua/text.h"

namespace siglane::m3ua {
namespace {

using Event = AspEventParcel::Event;

// An ASP may change its state in an AS so many times at once, and then once per interval: every
// change may make all shards hold that AS's traffic for a moment, and others wait for theirs.
constexpr int kChangesAtOnce = 16;
constexpr Duration kChangeInterval = 50ms;

constexpr DropReason kOvertaken{"m3ua.request_overtaken",
                                "an ASP asked again before it had its answer; the last counts"};

}  // namespace

// --- Requests and their turn ---------------------------------------------------------------------

void AspSession::on_request(const MessageView& view, Message& message, Instant now, Outbox& out) {
  if (requests_.empty()) {
    const auto turn = turn_of(view);
    if (turn && *turn <= now) return serve(view, now, out);
  }
  const MessageType type = view.type();
  for (std::size_t n = requests_.add(type, std::move(message.payload)); n > 0; --n) {
    out.drop(kOvertaken, "before or for an " + std::string(m3ua::name_of(type)));
  }
  out.pause_input();
  serve_waiting(now, out);
}

// From when on it may be dealt with; nothing: there is an answer to wait for first.
std::optional<Instant> AspSession::turn_of(const MessageView& request) const {
  if (phase_ == Phase::identifying) return std::nullopt;
  const bool for_all = request.type() == MessageType::aspup || request.type() == MessageType::aspdn;
  const U32List contexts = request.list(Tag::routing_context);
  Instant turn{};
  for (const Membership& m : memberships_) {
    const bool concerns = for_all || contexts.empty() ||
                          std::ranges::find(contexts, server(m).routing_context) != contexts.end();
    if (!concerns) continue;
    if (m.awaits_answer || m.unwanted) return std::nullopt;
    turn = std::max(turn, m.changes_until - (kChangesAtOnce - 1) * kChangeInterval);
  }
  return turn;
}

void AspSession::serve(const MessageView& request, Instant now, Outbox& out) {
  if (request.type() == MessageType::aspup) return on_aspup(request, now, out);
  if (request.type() == MessageType::aspdn) return on_aspdn(now, out);
  if (request.type() == MessageType::aspac) return on_aspac(request, now, out);
  on_aspia(request, now, out);
}

void AspSession::serve_waiting(Instant now, Outbox& out) {
  if (requests_.empty()) return;
  while (!requests_.empty() && phase_ != Phase::closing) {
    const auto request = MessageView::parse(requests_.front());
    turn_at_ = turn_of(*request);
    if (!turn_at_ || *turn_at_ > now) return;
    const Buffer bytes = requests_.take();  // which `request` looks into
    serve(*request, now, out);
  }
  requests_.clear();
  turn_at_.reset();
  out.resume_input();
}

void AspSession::tell(Membership& membership, Event event, Instant now, Outbox& out) {
  membership.awaits_answer = true;
  if (event == Event::up) membership.untold = false;
  membership.changes_until = std::max(membership.changes_until, now) + kChangeInterval;
  auto parcel = std::make_unique<AspEventParcel>(event, name_, asp_identifier_);
  parcel->asp_place = asp_;
  parcel->server = membership.as;
  parcel->epoch = epoch_;
  out.forward(gateway_->servers[membership.as].coordinator, std::move(parcel));
}

// --- What they do --------------------------------------------------------------------------------

void AspSession::on_aspup(const MessageView& view, Instant now, Outbox& out) {
  if (link_.streams().single() && !single_stream_allowed_) {
    link_.error(ErrorCode::refused_management_blocking, view.bytes(), out);
    phase_ = Phase::closing;
    return out.close(CloseMode::graceful);
  }
  const AspAnswer answer = next_state(state(), AspEvent::aspup).answer;
  if (phase_ == Phase::up) {
    // RFC 4666 §4.3.4.1: while ASP-ACTIVE "an ASP Up Ack message is returned, as well as an Error
    // message ("Unexpected Message")", and it is ASP-INACTIVE then in all its ASs.
    MessageBuilder ack(out.buffers(), MessageType::aspup_ack);
    link_.transmit(std::move(ack).finish(), out);
    if (answer != AspAnswer::aspup_ack_and_error) return;
    link_.error(ErrorCode::unexpected_message, view.bytes(), out);
    ++epoch_;
    for (Membership& m : memberships_) {
      move(m, AspEvent::aspup, out);
      tell(m, Event::up, now, out);
    }
    return;
  }
  const auto identifier = view.u32(Tag::asp_identifier);
  auto name = name_from(identifier);
  if (!name) return link_.error(ErrorCode::asp_identifier_required, view.bytes(), out);
  identifier_known_ = !identifier || gateway_->find_asp(*identifier) != nullptr;
  asp_identifier_ = identifier;
  name_ = std::move(*name);
  phase_ = Phase::identifying;
  out.identify(name_);
}

std::optional<std::string> AspSession::name_from(std::optional<std::uint32_t> identifier) const {
  if (identifier) {
    if (const AspConfig* asp = gateway_->find_asp(*identifier)) return asp->name;
  }
  // Known by address alone: the only one there, or the only one there without an identifier.
  std::vector<const std::string*> anonymous;
  for (const std::string& name : candidates_) {
    const AspConfig* asp = gateway_->find_asp(name);
    if (asp != nullptr && !asp->asp_identifier) anonymous.push_back(&name);
  }
  if (anonymous.size() == 1) return *anonymous.front();
  if (identifier) return "asp-identifier " + std::to_string(*identifier);
  if (candidates_.size() == 1) return candidates_.front();
  if (candidates_.empty()) return "asp at " + remote_;
  return std::nullopt;
}

void AspSession::on_identified(Instant now, Outbox& out) {
  if (phase_ != Phase::identifying) return;
  asp_ = gateway_->place_of_asp(name_);
  review_memberships(now, out);
  phase_ = Phase::up;
  ++epoch_;
  link_.heartbeat().start(now);
  MessageBuilder ack(out.buffers(), MessageType::aspup_ack);
  link_.transmit(std::move(ack).finish(), out);
  out.announce(asp_state_changed(name_, {}, AspState::inactive));
  for (Membership& m : memberships_) {
    m.state = next_state(m.state, AspEvent::aspup).to;
    tell(m, Event::up, now, out);
  }
  serve_waiting(now, out);
}

void AspSession::on_identity_refused(const IdentityRefused&, Instant now, Outbox& out) {
  phase_ = Phase::closing;
  link_.error(identifier_known_ ? ErrorCode::refused_management_blocking
                                : ErrorCode::invalid_asp_identifier,
              {}, out);
  serve_waiting(now, out);
  out.close(CloseMode::graceful);
}

void AspSession::on_aspdn(Instant now, Outbox& out) {
  leave_all(AspEvent::aspdn, Event::down, now, out);
  phase_ = Phase::down;
  link_.heartbeat().stop();
  MessageBuilder ack(out.buffers(), MessageType::aspdn_ack);
  link_.transmit(std::move(ack).finish(), out);
}

void AspSession::on_aspac(const MessageView& view, Instant now, Outbox& out) {
  if (next_state(state(), AspEvent::aspac).answer == AspAnswer::error_unexpected_message) {
    return link_.error(ErrorCode::unexpected_message, view.bytes(), out);
  }
  const auto mode = view.u32(Tag::traffic_mode_type);
  if (mode && (*mode < 1 || *mode > 3)) {
    return link_.error(ErrorCode::unsupported_traffic_mode_type, view.bytes(), out);
  }
  if (blocked_) {
    // RFC 4666 §3.8.1: "The "Refused - Management Blocking" error is sent when an ASP Up or ASP
    // Active message is received and the request is refused for management reasons (e.g.,
    // management lockout). If this error is in response to an ASP Active message, the Routing
    // Context(s) in the ASP Active message SHOULD be included in the Error message."
    const U32List contexts = view.list(Tag::routing_context);
    return link_.error(ErrorCode::refused_management_blocking, view.bytes(), out,
                       {{contexts.begin(), contexts.end()}, {}});
  }
  for (Membership* m : named_memberships(view, out)) {
    const ApplicationServerConfig& as = server(*m);
    if (mode && *mode != static_cast<std::uint32_t>(as.traffic_mode)) {
      link_.error(ErrorCode::unsupported_traffic_mode_type, view.bytes(), out,
                  {{as.routing_context}, {}});
      continue;
    }
    m->mode_in_request = mode.has_value();
    m->context_in_request = !view.list(Tag::routing_context).empty();
    if (next_state(m->state, AspEvent::aspac).to == m->state) {
      acknowledge(MessageType::aspac_ack, *m, out);
    } else {
      tell(*m, Event::activate, now, out);
    }
  }
}

void AspSession::on_aspia(const MessageView& view, Instant now, Outbox& out) {
  if (next_state(state(), AspEvent::aspia).answer == AspAnswer::error_unexpected_message) {
    return link_.error(ErrorCode::unexpected_message, view.bytes(), out);
  }
  for (Membership* m : named_memberships(view, out)) {
    m->context_in_request = !view.list(Tag::routing_context).empty();
    if (next_state(m->state, AspEvent::aspia).to == m->state) {
      acknowledge(MessageType::aspia_ack, *m, out);
    } else {
      tell(*m, Event::deactivate, now, out);
    }
  }
}

}  // namespace siglane::m3ua
