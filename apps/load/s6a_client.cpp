#include "apps/load/s6a_client.h"

#include <algorithm>

#include "protocols/diameter/answers.h"
#include "protocols/diameter/constants.h"

namespace siglane::load {
namespace {

using diameter::MessageBuilder;
using diameter::MessageView;
namespace avp = diameter::avp;
namespace command = diameter::command;

// A client is not told that its peer came up or went away: it looks, and more often while it waits.
constexpr Duration kLookWhileWaiting = 10ms;
constexpr Duration kLookWhileSending = 100ms;
// So that a client that is far behind does not keep the others from their turn.
constexpr std::size_t kBatchMax = 64;
// What cannot be sent is no reason to send the next at once: that would never end.
constexpr Duration kHeldAfterReturn = 10ms;

}  // namespace

S6aClient::S6aClient(const diameter::DiameterModule& module, const S6aClientConfig& config,
                     std::uint64_t seed, LoadRun& run, Tally& tally, AnswerLog* answers)
    : Application(module, seed),
      config_(config),
      requests_(*module.config(), config.requests, seed),
      pacer_(config.pace, seed),
      run_(run),
      tally_(tally),
      answers_(answers) {}

std::optional<Instant> S6aClient::deadline() const {
  if (more_due_) return more_due_;
  if (!began_ || peer_ == AssociationId::none) return next_look_;
  if (held_until_) return std::min(*held_until_, next_look_);
  const auto next = pacer_.deadline(under_way_.size());
  return next ? std::min(*next, next_look_) : next_look_;
}

SessionStatus S6aClient::status() const {
  return {.peer = {},
          .protocol = "s6a-load",
          .state = peer_ == AssociationId::none ? "waiting" : "ready",
          .pending = under_way_.size(),
          .detail = config().origin_host};
}

void S6aClient::on_woken(Instant now, Outbox& out) {
  if (now >= next_look_) look(now);
  send_due(now, out);
}

// Is the HSS there, has the run begun?
void S6aClient::look(Instant now) {
  const auto routes = module().routes();
  const AssociationId peer = routes->peers.empty() ? AssociationId::none : routes->peers.front().id;
  if (peer != peer_) {
    if (peer_ != AssociationId::none) run_.peer_down(now);
    if (peer != AssociationId::none) run_.peer_up(now);
    peer_ = peer;
  }
  if (!began_ && run_.began()) {
    began_ = run_.began();
    pacer_.start(*began_, run_.ends());
  }
  const bool waiting = !began_ || peer_ == AssociationId::none;
  next_look_ = now + (waiting ? kLookWhileWaiting : kLookWhileSending);
}

void S6aClient::send_due(Instant now, Outbox& out) {
  more_due_.reset();
  if (!began_) return;
  if (run_.phase(now) != Phase::sending) {
    tally_.skipped += pacer_.stop(now);
    return;
  }
  if (peer_ == AssociationId::none) {
    tally_.skipped += pacer_.skip(now);
    return;
  }
  if (held_until_ && now < *held_until_) return;
  held_until_.reset();
  for (std::size_t sent = 0; sent < kBatchMax; ++sent) {
    const auto due = pacer_.take(now, under_way_.size());
    if (!due) return;
    send_one(*due, now, out);
  }
  more_due_ = now;
}

void S6aClient::send_one(Instant due, Instant now, Outbox& out) {
  const Request request{draw_kind(), random().below(config_.requests.imsis.count()), due};
  auto parcel = std::make_unique<diameter::RequestParcel>();
  parcel->message = requests_.make(out.buffers(), request.kind, request.imsi);
  parcel->header = *diameter::Header::read(parcel->message.bytes());
  parcel->timeout = config_.request_timeout;
  parcel->tag = under_way_.add(request);
  parcel->direct = true;
  out.forward(peer_, std::move(parcel));
  ++tally_.sent;
  tally_.send_delay.record(now - due);
  run_.sent();
}

S6aRequest S6aClient::draw_kind() {
  const S6aMix& mix = config_.mix;
  const double at = random().unit() * (mix.air + mix.ulr + mix.pur);
  if (at < mix.air) return S6aRequest::authentication_information;
  return at < mix.air + mix.ulr ? S6aRequest::update_location : S6aRequest::purge_ue;
}

void S6aClient::on_answer(diameter::AnswerPtr answer, const MessageView& message, Instant now,
                          Outbox& out) {
  const auto request = under_way_.take(answer->tag);
  if (!request) {
    ++tally_.duplicated;
    return;
  }
  run_.settled();
  if (answer->made_here()) {
    unanswered(answer->why);
    if (answer->why != Why::timed_out) held_until_ = now + kHeldAfterReturn;
    next_look_ = now;  // the peer may be gone: look before anything else is sent
  } else {
    ++tally_.answered;
    if (run_.measured(request->due)) tally_.latency.record(now - request->due);
    const auto result = message.result_code();
    if (result == diameter::result::success) {
      if (answers_ != nullptr) keep(*request, message);
    } else {
      ++tally_.error_results[result ? static_cast<std::uint32_t>(*result) : 0];
    }
  }
  if (now >= next_look_) look(now);
  send_due(now, out);
}

void S6aClient::unanswered(Why why) {
  if (run_.config().tolerate_reconnect) {
    ++tally_.unanswered;
    return;
  }
  ++tally_.lost;
  switch (why) {
    case Why::timed_out:
      ++tally_.timed_out;
      break;
    case Why::no_such_association:
    case Why::not_open:
      break;
    case Why::refused:
    case Why::congested:
    case Why::exhausted:
      ++tally_.refused;
      break;
  }
}

void S6aClient::keep(const Request& request, const MessageView& answer) {
  const std::string imsi = config_.requests.imsis.text(request.imsi);
  switch (request.kind) {
    case S6aRequest::authentication_information:
      if (const auto info = answer.get(avp::authentication_info)) {
        for (const diameter::AvpView& vector : *info) {
          if (!vector.is(avp::e_utran_vector)) continue;
          const auto rand = vector.group().get(avp::rand);
          const auto autn = vector.group().get(avp::autn);
          if (rand && autn) answers_->aia(imsi, config().origin_host, *rand, *autn);
        }
      }
      break;
    case S6aRequest::update_location:
      answers_->ula(imsi, config().origin_host);
      break;
    case S6aRequest::purge_ue:
      answers_->pua(imsi, config().origin_host);
      break;
  }
}

// What an HSS may ask of an MME: Cancel-Location. There is no subscriber to detach here, and
// 3GPP TS 29.272 §5.2.1.2 has an MME that does not know the IMSI answer DIAMETER_SUCCESS.
void S6aClient::on_request(diameter::RequestPtr request, const MessageView& message, Instant,
                           Outbox& out) {
  if (!message.is(command::cancel_location)) {
    return reject(std::move(request), diameter::result::command_unsupported, out);
  }
  MessageBuilder answer =
      diameter::begin_answer(out.buffers(), message, config(), diameter::result::success);
  answer.add(avp::auth_session_state, diameter::AuthSessionState::no_state_maintained);
  reply(std::move(request), std::move(answer), out);
}

void S6aClient::finish(Instant now) {
  tally_.skipped += pacer_.stop(now);
  const auto left = static_cast<std::uint64_t>(under_way_.size());
  (run_.config().tolerate_reconnect ? tally_.unanswered : tally_.lost) += left;
}

}  // namespace siglane::load
