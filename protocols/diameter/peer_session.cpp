#include "protocols/diameter/peer_session.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocols/diameter/answers.h"
#include "protocols/diameter/counters.h"
#include "protocols/diameter/text.h"

// The machine itself, and how a connection ends. How it opens stands in peer_capabilities.cpp, what
// passes while it is open in peer_traffic.cpp, and what operators and a new config make of it in
// peer_control.cpp.

namespace siglane::diameter {
namespace {

constexpr DropReason kViolation{"diameter.protocol_violation",
                                "the message breaks a rule of RFC 6733"};
// When the peer already has another connection, which waits for the end of this one: for answers
// that are still to come, and then for what is written to leave.
constexpr Duration kLastAnswers = 1s;
constexpr Duration kGiveWay = 200ms;

}  // namespace

std::string name_of(DisconnectCause cause) {
  switch (cause) {
    case DisconnectCause::rebooting:
      return "REBOOTING";
    case DisconnectCause::busy:
      return "BUSY";
    case DisconnectCause::do_not_want_to_talk_to_you:
      return "DO_NOT_WANT_TO_TALK_TO_YOU";
  }
  return "Disconnect-Cause " + std::to_string(static_cast<std::int32_t>(cause));
}

PeerSession::PeerSession(AssociationId id, const Snapshot<DiameterConfig>& configs,
                         const Snapshot<RouteTable>& routes, std::uint64_t seed)
    : id_(id),
      configs_(configs),
      config_(configs.load()),
      routes_(routes),
      random_(seed),
      pending_({config_->limits.pending_max, config_->limits.pending_bytes_max},
               static_cast<std::uint32_t>(random_.next())) {}

void PeerSession::step(SessionInput input, Instant now, Outbox& out) {
  [[maybe_unused]] const PeerState before = state();
  [[maybe_unused]] const PeerEvent event =
      std::visit([&](auto& one) { return on(one, now, out); }, input);
  say_goodbye_if_due(now, out);
  close_if_done(now, out);
  assert(is_in_table(before, event, state()));
}

PeerState PeerSession::state() const {
  static_assert(std::variant_size_v<State> == 6);
  switch (state_.index()) {
    case 0:
      return PeerState::closed;
    case 1:
      return PeerState::wait_cer;
    case 2:
      return PeerState::wait_i_cea;
    case 3:
      return PeerState::wait_identity;
    case 4:
      return std::get<Open>(state_).initiator ? PeerState::i_open : PeerState::r_open;
    default:
      return PeerState::closing;
  }
}

std::optional<Instant> PeerSession::deadline() const {
  std::optional<Instant> at = pending_.deadline();
  const auto sooner = [&](std::optional<Instant> other) {
    if (other && (!at || *other < *at)) at = other;
  };
  if (const auto* wait = std::get_if<WaitCer>(&state_)) sooner(wait->by);
  if (const auto* wait = std::get_if<WaitCea>(&state_)) sooner(wait->by);
  if (const auto* open = std::get_if<Open>(&state_)) sooner(open->watchdog.deadline());
  if (const auto* closing = std::get_if<Closing>(&state_)) {
    sooner(closing->by);
    sooner(closing->goodbye_by);
  }
  return at;
}

SessionStatus PeerSession::status() const {
  SessionStatus status{peer_.name, "diameter", name_of(state()), pending_.size(), {}};
  if (peer_.origin_host != nullptr) status.detail = *peer_.origin_host + " of " + peer_.realm;
  if (const auto* open = std::get_if<Open>(&state_)) {
    status.detail += ", watchdog " + std::string(diameter::name_of(open->watchdog.state()));
    if (blocked_) status.detail += ", blocked";
  }
  return status;
}

// --- Up and down -------------------------------------------------------------------------------

PeerEvent PeerSession::on(AssociationUp& up, Instant now, Outbox& out) {
  local_addresses_ = std::move(up.local_addresses);
  remote_address_ = up.remote_addresses.empty() ? "unknown" : up.remote_addresses.front();
  streams_out_ = std::max<std::uint16_t>(1, up.streams_out);
  if (!up.initiator) {
    state_ = WaitCer{now + config_->capabilities_timeout};
    return PeerEvent::r_connected;
  }
  expected_peer_ = std::move(up.peer);
  peer_.name = expected_peer_;
  const std::uint32_t hop_by_hop = pending_.next_id();
  transmit(make_cer(out.buffers(), *config_, local_addresses_, hop_by_hop,
                    static_cast<std::uint32_t>(random_.next())),
           Instant{}, 0, out);
  state_ = WaitCea{now + config_->capabilities_timeout, hop_by_hop};
  show(PeerChange::State::connecting, out);
  return PeerEvent::i_connected;
}

PeerEvent PeerSession::on(AssociationDown& down, Instant, Outbox& out) {
  lose("connection is down: " + std::string(siglane::name_of(down.cause)), out);
  state_ = Closed{};
  return PeerEvent::disconnected;
}

// No answer comes over it any more.
void PeerSession::lose(std::string why, Outbox& out) {
  refuse_requests(std::move(why), ended(), out);
  fail_pending(Why::not_open, out);
}

// The peer sends nothing more. If it still reads, it gets what it is owed.
PeerEvent PeerSession::on(AssociationEnding& ending, Instant now, Outbox& out) {
  if (std::holds_alternative<Open>(state_)) {
    lose("the peer has ended the connection", out);
    state_ = Closing{now + config_->disconnect_timeout};
  }
  if (auto* closing = std::get_if<Closing>(&state_)) {
    closing->peer_ended = true;
    if (!closing->dpr) closing->goodbye_by.reset();  // no DPA can come to a DPR of ours
    fail_pending(Why::not_open, out);
    if (unanswered_ > 0 && ending.reads) out.linger();
  } else if (!std::holds_alternative<Closed>(state_)) {
    close(CloseMode::graceful, now, out);
  }
  return PeerEvent::peer_ended;
}

// RFC 6733 §5.6 rejects a second connection (R-Reject) while the first is open. It is as good as
// closed where one of the two has said goodbye, and where the peer has not answered its watchdog:
// then RFC 3539 §3.4.1 has taken its requests elsewhere already, and what remains is to close it.
PeerEvent PeerSession::on(Superseded&, Instant now, Outbox& out) {
  if (const auto* open = std::get_if<Open>(&state_)) {
    if (open->watchdog.state() == Watchdog::State::suspect) {
      lose("no answer to its watchdog", out);
      close(CloseMode::abort, now, out);
    }
  } else if (auto* closing = std::get_if<Closing>(&state_)) {
    closing->superseded = true;
    if (unanswered_ > 0) out.linger();
    if (closing->by) closing->by = std::min(*closing->by, now + kLastAnswers);
  }
  return PeerEvent::superseded;
}

// The peer has ended the connection, or has another, and is owed nothing more.
void PeerSession::close_if_done(Instant now, Outbox& out) {
  auto* closing = std::get_if<Closing>(&state_);
  if (closing == nullptr || unanswered_ > 0) return;
  if (!closing->peer_ended && !closing->superseded) return;
  out.close(CloseMode::graceful);
  if (closing->superseded && closing->by) closing->by = std::min(*closing->by, now + kGiveWay);
  closing->peer_ended = closing->superseded = false;
}

PeerEvent PeerSession::on(Stopping&, Instant now, Outbox& out) {
  if (!std::holds_alternative<Open>(state_)) {
    if (!std::holds_alternative<Closed>(state_) && !std::holds_alternative<Closing>(state_)) {
      close(CloseMode::graceful, now, out);
    }
    return PeerEvent::stop;
  }
  part(DisconnectCause::rebooting, {}, now, out);
  return PeerEvent::stop;
}

void PeerSession::close(CloseMode mode, Instant now, Outbox& out) {
  show(PeerChange::State::closed, out);
  out.close(mode);
  // A graceful close that the peer does not let happen ends with an abort.
  Closing closing;
  if (mode == CloseMode::graceful) closing.by = now + config_->disconnect_timeout;
  state_ = closing;
}

PeerEvent PeerSession::on(Woken&, Instant now, Outbox& out) {
  while (RequestPtr request = pending_.take_expired(now)) {
    out.count(counter::requests_timed_out);
    give_back(std::move(request), Why::timed_out, out);
  }
  const auto due = [&](std::optional<Instant> at) { return at && *at <= now; };
  if (const auto* wait = std::get_if<WaitCer>(&state_); wait != nullptr && due(wait->by)) {
    close(CloseMode::abort, now, out);
  } else if (const auto* cea = std::get_if<WaitCea>(&state_); cea != nullptr && due(cea->by)) {
    out.peer_refused(who(), "no CEA in time");
    close(CloseMode::abort, now, out);
  } else if (auto* closing = std::get_if<Closing>(&state_);
             closing != nullptr && due(closing->by)) {
    closing->by.reset();
    out.close(CloseMode::abort);
  } else if (auto* open = std::get_if<Open>(&state_);
             open != nullptr && due(open->watchdog.deadline())) {
    obey(open->watchdog.timer_expired(now), now, out);
  }
  return PeerEvent::timer;
}

// New requests go elsewhere, so that answers still find room in the queue.
PeerEvent PeerSession::on(AssociationCongestion& congestion, Instant, Outbox&) {
  congested_ = congestion.congested;
  return PeerEvent::other;
}

PeerEvent PeerSession::on(AssociationPathChange&, Instant, Outbox&) {
  return PeerEvent::other;
}

PeerEvent PeerSession::on(Rerouting&, Instant, Outbox&) {
  return PeerEvent::other;  // for coordinators
}

PeerEvent PeerSession::on(Completed&, Instant, Outbox&) {
  return PeerEvent::other;  // it asks no store
}

// --- What the peer may not say ------------------------------------------------------------------

std::optional<Violation> PeerSession::objection_to(const MessageView& message) const {
  const std::size_t depth = config_->limits.avp_depth_max;
  if (auto violation = validate(message, dictionary(), depth)) return violation;
  return check_command(message, dictionary(), depth);
}

// The connection's names decide whose a message is (origin.h).
std::optional<OriginObjection> PeerSession::objection_to_origin(const MessageView& message) const {
  const Speaker speaker{*peer_.origin_host, peer_.realm,
                        peer_.config != nullptr ? &peer_.config->routed_realms : nullptr};
  return diameter::objection_to_origin(message, speaker, *config_);
}

// --- What the control plane and the operator hear ------------------------------------------------

void PeerSession::publish(PeerChange::State state, Outbox& out) {
  out.publish(change_of(state));
}

std::unique_ptr<PeerChange> PeerSession::change_of(PeerChange::State state) const {
  auto parcel = std::make_unique<PeerChange>();
  parcel->state = state;
  parcel->name = peer_.name;
  if (peer_.origin_host != nullptr) {
    parcel->origin_host = *peer_.origin_host;
  } else {
    const DiameterPeerConfig* expected = config_->peer_named(peer_.name);
    if (expected != nullptr) parcel->origin_host = expected->origin_host;
  }
  parcel->configured = peer_.config != nullptr;
  if (parcel->configured) parcel->routed_realms = peer_.config->routed_realms;
  parcel->realm = peer_.realm;
  parcel->relay = peer_.relay;
  parcel->applications = peer_.applications;
  return parcel;
}

// It is said once, and a connection that has failed is closed after that.
void PeerSession::show(PeerChange::State state, Outbox& out) {
  const bool failed = state == PeerChange::State::failed;
  const PeerChange::State before =
      std::exchange(shown_, failed ? PeerChange::State::closed : state);
  if (before == state) return;
  publish(state, out);
  const bool open = state == PeerChange::State::open;
  if (open != (before == PeerChange::State::open)) tell_applications(state, out);
}

// Those that could send it a request, or could not any more.
void PeerSession::tell_applications(PeerChange::State state, Outbox& out) {
  const auto routes = routes_.load();
  for (const LocalApplication& local : routes->applications) {
    const bool common = peer_.relay || std::ranges::count(peer_.applications, local.id) > 0;
    if (common) out.forward(local.coordinator, change_of(state));
  }
}

// While it is open.
PeerChange::State PeerSession::standing() const {
  if (!well_) return PeerChange::State::suspect;
  return blocked_ ? PeerChange::State::blocked : PeerChange::State::open;
}

// RFC 3539 Appendix A sends every peer whose connection went down through REOPEN. Here it is only
// one whose watchdog failed: who merely restarted would be kept waiting for two Tw more.
PeerChange::State PeerSession::ended() const {
  const auto* open = std::get_if<Open>(&state_);
  const bool failed = open != nullptr && open->watchdog.state() == Watchdog::State::suspect;
  return failed ? PeerChange::State::failed : PeerChange::State::closed;
}

void PeerSession::take_requests(Outbox& out) {
  if (std::exchange(well_, true)) return;
  show(standing(), out);
  out.peer_opened();
}

void PeerSession::refuse_requests(std::string why, PeerChange::State change, Outbox& out) {
  show(change, out);
  if (std::exchange(well_, false)) out.peer_closed(std::move(why));
}

void PeerSession::give_back(RequestPtr request, Why why, Outbox& out) {
  const auto& before = request->returned_by;
  const bool again = before != nullptr && *before == peer_.name;
  request->returns = static_cast<std::uint8_t>(again ? request->returns + 1 : 1);
  request->returned_by = peer_.shared_name;
  out.undelivered(std::move(request), why);
}

void PeerSession::fail_pending(Why why, Outbox& out) {
  while (RequestPtr request = pending_.take_any()) give_back(std::move(request), why, out);
}

void PeerSession::violated(std::string_view what, Outbox& out) {
  out.count(siglane::counter::protocol_violations);
  // Before it is known who the peer is, its address tells.
  out.drop(kViolation,
           peer_.name.empty() ? remote_address_ + ": " + std::string(what) : std::string(what));
}

std::string PeerSession::who() const {
  return peer_.name.empty() ? remote_address_ : peer_.name;
}

}  // namespace siglane::diameter
