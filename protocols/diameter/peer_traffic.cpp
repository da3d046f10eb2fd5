#include <algorithm>
#include <utility>

#include "protocols/diameter/answers.h"
#include "protocols/diameter/counters.h"
#include "protocols/diameter/describe.h"
#include "protocols/diameter/error_text.h"
#include "protocols/diameter/peer_session.h"
#include "protocols/diameter/text.h"

// What passes over a connection: requests, answers, watchdogs, goodbyes, and what should not pass.

namespace siglane::diameter {
namespace {

constexpr DropReason kUnmatched{
    "diameter.answer_unmatched",
    "no request waits for this answer: the answer is late, or came twice"};
constexpr DropReason kOrphaned{"diameter.answer_orphaned",
                               "the peer that sent the request is gone"};
constexpr DropReason kAnswerRefused{"diameter.answer_unsent",
                                    "the peer's connection refused the message or was lost"};
constexpr DropReason kNotSent{"diameter.send_refused",
                              "the peer's connection refused the message or was lost"};
constexpr DropReason kDisconnecting{"diameter.disconnecting",
                                    "the request came on a connection that is being closed (3002)"};
constexpr DropReason kNotOpen{"diameter.not_open",
                              "the message came on a connection that is not open"};
constexpr DropReason kNoSuchCommand{"diameter.command_unsupported",
                                    "the base protocol has no such command (3001)"};

// Puts identifiers into a whole message: in place if nobody else holds it, else in a copy.
void set_identifiers(Buffer& message, std::uint32_t hop_by_hop, std::uint32_t end_to_end,
                     std::uint8_t more_flags, BufferPool& pool) {
  auto bytes = message.exclusive_bytes();
  if (bytes.empty()) {
    BufferBuilder copy(pool, message.size());
    copy.append(message.bytes());
    message = std::move(copy).finish();
    bytes = message.exclusive_bytes();
  }
  bytes[Header::kFlagsAt] |= static_cast<std::byte>(more_flags);
  store_u32(bytes.data() + Header::kHopByHopAt, hop_by_hop);
  store_u32(bytes.data() + Header::kEndToEndAt, end_to_end);
}

PeerEvent event_of(const MessageView& message) {
  const bool request = message.is_request();
  if (message.is(command::capabilities_exchange)) {
    return request ? PeerEvent::rcv_cer : PeerEvent::rcv_cea;
  }
  if (message.is(command::device_watchdog)) {
    return request ? PeerEvent::rcv_dwr : PeerEvent::rcv_dwa;
  }
  if (message.is(command::disconnect_peer)) {
    return request ? PeerEvent::rcv_dpr : PeerEvent::rcv_dpa;
  }
  return request ? PeerEvent::rcv_request : PeerEvent::rcv_answer;
}

}  // namespace

// --- What arrives --------------------------------------------------------------------------------

PeerEvent PeerSession::on(AssociationReceived& received, Instant now, Outbox& out) {
  Message& message = received.message;
  auto view = MessageView::parse(message.payload.bytes());
  if (view && message.payload.size() > config_->limits.message_bytes_max) {
    view = tl::unexpected(
        DecodeError{1, result::invalid_message_length, "longer than message_bytes_max"});
  }
  if (!view) {
    on_malformed(message, view.error(), now, out);
    return PeerEvent::rcv_malformed;
  }
  const Instant caused_at = message.caused_at;
  const PeerEvent event = event_of(*view);
  if (auto* open = std::get_if<Open>(&state_)) {
    if (event != PeerEvent::rcv_cer) open->settled = true;
    if (event != PeerEvent::rcv_dwa) obey(open->watchdog.received_other(now), now, out);
  }
  const bool waits =
      std::holds_alternative<WaitCer>(state_) || std::holds_alternative<WaitCea>(state_);
  const bool expected = event == PeerEvent::rcv_cer ||
                        (event == PeerEvent::rcv_cea && std::holds_alternative<WaitCea>(state_));
  count_received(*view, out);
  if (waits && !expected) {
    violated("a message before the capabilities exchange", out);
    close(CloseMode::abort, now, out);
    return event;
  }
  const bool identified =
      peer_.origin_host != nullptr && event != PeerEvent::rcv_cer && event != PeerEvent::rcv_cea;
  if (identified) {
    if (const auto objection = objection_to_origin(*view)) {
      on_foreign_origin(*view, *objection, caused_at, now, out);
      return event;
    }
  }
  switch (event) {
    case PeerEvent::rcv_cer:
      on_cer(*view, caused_at, now, out);
      break;
    case PeerEvent::rcv_cea:
      on_cea(*view, now, out);
      break;
    case PeerEvent::rcv_dwr:
      on_dwr(*view, caused_at, out);
      break;
    case PeerEvent::rcv_dwa:
      on_dwa(*view, now, out);
      break;
    case PeerEvent::rcv_dpr:
      on_dpr(*view, caused_at, now, out);
      break;
    case PeerEvent::rcv_dpa:
      on_dpa(out);
      break;
    case PeerEvent::rcv_request:
      on_request(*view, std::move(message), now, out);
      break;
    case PeerEvent::rcv_answer:
      on_answer(*view, std::move(message), out);
      break;
    case PeerEvent::i_connected:
    case PeerEvent::r_connected:
    case PeerEvent::rcv_malformed:
    case PeerEvent::identified:
    case PeerEvent::refused:
    case PeerEvent::send_message:
    case PeerEvent::unsent:
    case PeerEvent::stop:
    case PeerEvent::timer:
    case PeerEvent::peer_ended:
    case PeerEvent::superseded:
    case PeerEvent::disconnected:
    case PeerEvent::other:
      break;  // event_of gives none of these
  }
  return event;
}

void PeerSession::on_request(const MessageView& request, Message message, Instant now,
                             Outbox& out) {
  const Instant caused_at = message.caused_at;
  if (std::holds_alternative<Closing>(state_)) {
    // It was on its way when we said goodbye: the peer shall try another of us.
    out.drop(kDisconnecting, describe(request));
    return answer_here(request, result::unable_to_deliver,
                       config_->origin_host + " is disconnecting and takes no more requests",
                       caused_at, nullptr, out);
  }
  if (!std::holds_alternative<Open>(state_)) return out.drop(kNotOpen, describe(request));
  // What belongs to no application can only be a command of the base protocol.
  if (request.application() == application::common_messages) {
    out.drop(kNoSuchCommand, describe(request));
    return answer_here(request, result::command_unsupported, unsupported_command_text(request),
                       caused_at, nullptr, out);
  }
  auto parcel = std::make_unique<RequestParcel>();
  parcel->header = request.header();
  parcel->message = std::move(message.payload);
  parcel->origin = id_;
  parcel->received_from = peer_.origin_host;
  parcel->peer = peer_.shared_name;
  parcel->connection = connection_;
  parcel->received_at = caused_at != Instant{} ? caused_at : now;
  ++unanswered_;
  out.accept(std::move(parcel));
}

void PeerSession::on_answer(const MessageView& answer, Message message, Outbox& out) {
  const RequestPtr request = take_request_of(answer.header());
  if (request == nullptr) {
    out.count(counter::answers_unmatched);
    return out.drop(kUnmatched, describe(answer));
  }
  AnswerPtr parcel = make_answer(*request, std::move(message.payload));
  parcel->caused_at = message.caused_at;
  parcel->answered_by = id_;
  out.forward(request->origin, std::move(parcel));
}

RequestPtr PeerSession::take_request_of(const Header& answer) {
  const RequestParcel* waiting = pending_.find(answer.hop_by_hop);
  if (waiting == nullptr || waiting->header.command != answer.command ||
      waiting->header.end_to_end != answer.end_to_end) {
    return nullptr;
  }
  return pending_.take(answer.hop_by_hop);
}

void PeerSession::on_foreign_origin(const MessageView& message, const OriginObjection& objection,
                                    Instant caused_at, Instant now, Outbox& out) {
  if (message.is(command::device_watchdog) && !message.is_request()) {
    // It does not answer our DWR, but somebody is there.
    if (auto* open = std::get_if<Open>(&state_)) obey(open->watchdog.received_other(now), now, out);
  }
  RequestPtr request;
  if (!message.is_request() && !is_between_neighbours(message)) {
    request = take_request_of(message.header());
    if (request == nullptr) return out.count(counter::answers_unmatched);
  }
  out.count(siglane::counter::protocol_violations);
  out.drop(objection.reason, command_text(message) + ": " + objection.what);
  if (message.is_request()) {
    return answer_here(message, objection.result, objection.what, caused_at,
                       objection.violation ? &*objection.violation : nullptr, out);
  }
  if (request == nullptr) return;
  // Whoever sent the request cannot use an answer that nobody vouches for. It may have been carried
  // out all the same, so no other peer is asked.
  AnswerPtr refused = make_answer(
      *request, error_answer(out.buffers(), request->view(), *config_, result::unable_to_deliver,
                             "the answer was refused: " + objection.what));
  refused->why = Why::refused;
  out.forward(request->origin, std::move(refused));
}

// --- Watchdog, RFC 6733 §5.5 and RFC 3539 --------------------------------------------------------

void PeerSession::on_dwr(const MessageView& dwr, Instant caused_at, Outbox& out) {
  if (!std::holds_alternative<Open>(state_) && !std::holds_alternative<Closing>(state_)) return;
  if (const auto violation = objection_to(dwr)) {
    return on_invalid_base_request(dwr, *violation, caused_at, out);
  }
  auto dwa = begin_answer(out.buffers(), dwr, *config_, result::success);
  if (config_->origin_state_id != 0) dwa.add(avp::origin_state_id, config_->origin_state_id);
  transmit(std::move(dwa).finish(), caused_at, 0, out);
}

void PeerSession::on_dwa(const MessageView& dwa, Instant now, Outbox& out) {
  auto* open = std::get_if<Open>(&state_);
  if (open == nullptr) return;
  if (dwa.header().hop_by_hop != open->dwr) {
    out.count(counter::answers_unmatched);
    out.drop(kUnmatched, describe(dwa));
    return obey(open->watchdog.received_other(now), now, out);
  }
  obey(open->watchdog.received_dwa(now), now, out);
}

void PeerSession::send_dwr(Outbox& out) {
  auto& open = std::get<Open>(state_);
  open.dwr = pending_.next_id();
  auto dwr = MessageBuilder::request(out.buffers(), command::device_watchdog, open.dwr,
                                     static_cast<std::uint32_t>(random_.next()));
  dwr.add(avp::origin_host, config_->origin_host).add(avp::origin_realm, config_->origin_realm);
  if (config_->origin_state_id != 0) dwr.add(avp::origin_state_id, config_->origin_state_id);
  out.count(counter::watchdogs_sent);
  transmit(std::move(dwr).finish(), Instant{}, 0, out);
}

void PeerSession::obey(Watchdog::Order order, Instant now, Outbox& out) {
  switch (order) {
    case Watchdog::Order::none:
      return;
    case Watchdog::Order::send_dwr:
      return send_dwr(out);
    case Watchdog::Order::failback:
      return take_requests(out);
    case Watchdog::Order::failover:
      refuse_requests("no answer to its watchdog", PeerChange::State::suspect, out);
      return fail_pending(Why::not_open, out);
    case Watchdog::Order::close:
      well_ = false;
      show(PeerChange::State::failed, out);
      fail_pending(Why::not_open, out);
      return close(CloseMode::abort, now, out);
  }
}

// --- Goodbye, RFC 6733 §5.4 ----------------------------------------------------------------------

// A peer disconnects when it gets a DPA, and stops sending when it gets a DPR. So the answers that
// we owe go before either; and a DPR of ours waits for the answers to our own requests too.
void PeerSession::say_goodbye_if_due(Instant now, Outbox& out) {
  auto* closing = std::get_if<Closing>(&state_);
  if (closing == nullptr || !closing->goodbye_by) return;
  const bool waits = unanswered_ > 0 || (!closing->dpr && pending_.size() > 0);
  if (waits && now < *closing->goodbye_by) return;
  closing->goodbye_by.reset();
  if (!closing->dpr) {
    closing->dpr_sent = true;
    return send_dpr(closing->cause, out);
  }
  send_dpa(*closing->dpr, closing->dpr_caused_at, out);
  // "The receiver of the Disconnect-Peer-Answer message initiates the transport disconnect." Wait
  // for that, within limits.
  if (closing->by) closing->by = std::min(*closing->by, now + config_->disconnect_timeout);
}

void PeerSession::send_dpr(DisconnectCause cause, Outbox& out) {
  auto dpr = MessageBuilder::request(out.buffers(), command::disconnect_peer, pending_.next_id(),
                                     static_cast<std::uint32_t>(random_.next()));
  dpr.add(avp::origin_host, config_->origin_host)
      .add(avp::origin_realm, config_->origin_realm)
      .add(avp::disconnect_cause, cause);
  transmit(std::move(dpr).finish(), Instant{}, 0, out);
}

void PeerSession::on_dpr(const MessageView& dpr, Instant caused_at, Instant now, Outbox& out) {
  if (!std::holds_alternative<Open>(state_) && !std::holds_alternative<Closing>(state_)) return;
  if (const auto violation = objection_to(dpr)) {
    return on_invalid_base_request(dpr, *violation, caused_at, out);
  }
  if (auto* closing = std::get_if<Closing>(&state_)) {
    // The peer disconnects, so that we need not. A second DPR does not wait any longer.
    if (closing->dpr && closing->goodbye_by) {
      send_dpa(*closing->dpr, closing->dpr_caused_at, out);
      closing->goodbye_by = now;
    }
    closing->goodbye_by = closing->goodbye_by.value_or(now);
    closing->dpr = dpr.header();
    closing->dpr_caused_at = caused_at;
    return;
  }
  const auto cause = dpr.get(avp::disconnect_cause).value_or(DisconnectCause::rebooting);
  // RFC 6733 §5.4.3, of BUSY and of DO_NOT_WANT_TO_TALK_TO_YOU: "A receiver of a DPR with the above
  // result code SHOULD NOT attempt reconnection."
  const bool unwelcome =
      cause == DisconnectCause::busy || cause == DisconnectCause::do_not_want_to_talk_to_you;
  well_ = false;
  show(PeerChange::State::closed, out);
  out.peer_closed("the peer disconnects: " + name_of(cause),
                  unwelcome ? config_->disconnect_holdoff : Duration{});
  state_ = Closing{now + 2 * config_->disconnect_timeout, now + config_->disconnect_timeout,
                   dpr.header(), caused_at};
}

void PeerSession::send_dpa(const Header& dpr, Instant caused_at, Outbox& out) {
  auto dpa = MessageBuilder::answer(out.buffers(), dpr, false);
  dpa.add(avp::result_code, static_cast<std::uint32_t>(result::success))
      .add(avp::origin_host, config_->origin_host)
      .add(avp::origin_realm, config_->origin_realm);
  transmit(std::move(dpa).finish(), caused_at, 0, out);
}

void PeerSession::on_dpa(Outbox& out) {
  auto* closing = std::get_if<Closing>(&state_);
  if (closing == nullptr || !closing->dpr_sent) {
    out.count(counter::answers_unmatched);
    return out.drop(kUnmatched, "Disconnect-Peer answer");
  }
  closing->dpr_sent = false;
  out.close(CloseMode::graceful);
}

// --- What is to be sent --------------------------------------------------------------------------

PeerEvent PeerSession::on(Submitted& submitted, Instant now, Outbox& out) {
  switch (kind_of(*submitted.parcel)) {
    case ParcelKind::request:
      send_request(parcel_cast<RequestParcel>(std::move(submitted.parcel)), submitted.from, now,
                   out);
      break;
    case ParcelKind::answer:
      send_answer(parcel_cast<AnswerParcel>(std::move(submitted.parcel)), out);
      break;
    case ParcelKind::peer_change:
    case ParcelKind::call:
      break;  // for the control plane alone
  }
  return PeerEvent::send_message;
}

void PeerSession::send_request(RequestPtr request, AssociationId from, Instant now, Outbox& out) {
  if (request->origin == AssociationId::none) request->origin = from;
  if (!well_ || blocked_) return give_back(std::move(request), Why::not_open, out);
  if (congested_) return give_back(std::move(request), Why::congested, out);
  const Duration timeout =
      request->timeout > Duration::zero() ? request->timeout : config_->request_timeout;
  if (request->answer_by == Instant{}) request->answer_by = now + timeout;
  // It was somewhere else for so long.
  if (request->answer_by <= now) return give_back(std::move(request), Why::timed_out, out);
  const auto hop_by_hop = pending_.add(request, request->answer_by);
  if (!hop_by_hop) return give_back(std::move(request), Why::congested, out);
  RequestParcel& kept = *pending_.find(*hop_by_hop);
  // RFC 6733 §3, T: "set when resending requests not yet acknowledged, as an indication of a
  // possible duplicate due to a link failure".
  set_identifiers(kept.message, *hop_by_hop, kept.header.end_to_end,
                  kept.sent ? command_flag::kRetransmitted : std::uint8_t{0}, out.buffers());
  kept.sent = true;
  transmit(kept.message, kept.received_at, stream_for(*hop_by_hop), out);
}

void PeerSession::send_answer(AnswerPtr answer, Outbox& out) {
  if (!std::holds_alternative<Open>(state_) && !std::holds_alternative<Closing>(state_)) {
    out.count(counter::answers_orphaned);
    return out.drop(kOrphaned, answer->describe());
  }
  if (unanswered_ > 0) --unanswered_;
  set_identifiers(answer->message, answer->hop_by_hop, answer->end_to_end, 0, out.buffers());
  transmit(std::move(answer->message), answer->caused_at, stream_for(answer->hop_by_hop), out);
}

PeerEvent PeerSession::on(AssociationUnsent& unsent, Instant, Outbox& out) {
  const auto header = Header::read(unsent.message.payload.bytes());
  if (!header) return PeerEvent::unsent;
  if (!header->is_request()) {
    out.count(counter::answers_orphaned);
    out.drop(kAnswerRefused, describe(unsent.message.payload.bytes()));
  } else if (RequestPtr request = pending_.take(header->hop_by_hop)) {
    if (!unsent.sent_unacknowledged) request->sent = header->is_retransmitted();
    give_back(std::move(request), Why::refused, out);
  } else {
    out.drop(kNotSent, describe(unsent.message.payload.bytes()));  // a CER, DWR or DPR
  }
  return PeerEvent::unsent;
}

void PeerSession::answer_here(const MessageView& request, ResultCode result, std::string_view why,
                              Instant caused_at, const Violation* violation, Outbox& out) {
  transmit(
      error_answer(out.buffers(), request, *config_, result, why, violation), caused_at,
      is_between_neighbours(request) ? std::uint16_t{0} : stream_for(request.header().hop_by_hop),
      out);
}

void PeerSession::transmit(Buffer payload, Instant caused_at, std::uint16_t stream, Outbox& out) {
  count_sent(payload.bytes(), out);
  out.transmit(Message{StreamId{stream}, kPayloadProtocol, false, caused_at, std::move(payload)});
}

// Base messages keep to stream 0; the others spread, so that none waits for another's loss. While
// we close, all keep to it, so that no DPA overtakes an answer.
std::uint16_t PeerSession::stream_for(std::uint32_t hop_by_hop) const {
  const auto* open = std::get_if<Open>(&state_);
  if (streams_out_ == 1 || open == nullptr || !open->settled) return 0;
  return static_cast<std::uint16_t>(1 + hop_by_hop % (streams_out_ - 1u));
}

// --- What should not arrive ----------------------------------------------------------------------

// A DWR or DPR, whose grammar is checked here.
void PeerSession::on_invalid_base_request(const MessageView& request, const Violation& violation,
                                          Instant caused_at, Outbox& out) {
  const std::string text = violation.text();
  violated(command_text(request) + ": " + text, out);
  answer_here(request, violation.result, text, caused_at, &violation, out);
}

void PeerSession::on_malformed(const Message& message, const DecodeError& error, Instant now,
                               Outbox& out) {
  const Bytes bytes = message.payload.bytes();
  std::optional<Violation> violation;
  if (error.result == result::invalid_avp_length) {
    violation = broken_avp(bytes, error.offset, dictionary());
  }
  const std::string text = violation ? violation->text() : std::string(error.what);
  out.count(counter::malformed);
  violated(describe(bytes) + ": " + text, out);
  if (std::holds_alternative<Closing>(state_) || std::holds_alternative<Closed>(state_)) return;
  const auto rest = MessageView::salvage(bytes);
  const bool open = std::holds_alternative<Open>(state_);
  // Of another version nothing is known, not even where on a byte stream its next message begins.
  const bool last = !open || !rest || error.result == result::unsupported_version;
  const Violation* failed = violation ? &*violation : nullptr;
  bool answered = false;
  // RFC 6733 §7.2: "A message with the 'E' bit MUST NOT be sent as a response to an answer
  // message."
  if (rest && rest->is_request()) {
    if (open) {
      answer_here(*rest, error.result, text, message.caused_at, failed, out);
      answered = true;
    } else if (std::holds_alternative<WaitCer>(state_) &&
               rest->is(command::capabilities_exchange)) {
      answer_cer(rest->header(), error.result, text, message.caused_at, failed, out);
      answered = true;
    }
  }
  if (!last) return;
  refuse_requests("protocol violation: " + text, PeerChange::State::closed, out);
  close(answered ? CloseMode::graceful : CloseMode::abort, now, out);
}

}  // namespace siglane::diameter
