#include "tests/support/session_script.h"

#include <algorithm>
#include <cstdio>

namespace siglane::test {
namespace {

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

// By their place in SessionInput and Action.
constexpr const char* kInputs[] = {"<- AssociationUp",
                                   "<- AssociationReceived",
                                   "<- AssociationEnding",
                                   "<- Congestion",
                                   "<- AssociationPathChange",
                                   "<- AssociationUnsent",
                                   "<- AssociationDown",
                                   "<- Submitted",
                                   "<- Completed",
                                   "<- Woken",
                                   "<- Identified",
                                   "<- IdentityRefused",
                                   "<- Stopping",
                                   "<- Superseded",
                                   "<- Operate",
                                   "<- Reconfigured",
                                   "<- Rerouting"};
constexpr const char* kActions[] = {"   -> Transmit",    "   -> Close",       "   -> Linger",
                                    "   -> Identify",    "   -> Accept",      "   -> Forward",
                                    "   -> Undelivered", "   -> Ask",         "   -> Publish",
                                    "   -> Reroute",     "   -> PauseInput",  "   -> PeerOpened",
                                    "   -> PeerClosed",  "   -> PeerRefused", "   -> Violation",
                                    "   -> Announce",    "   -> Drop"};
static_assert(std::size(kInputs) == std::variant_size_v<SessionInput>);
static_assert(std::size(kActions) == std::variant_size_v<Action>);

std::string number_of(AssociationId id) {
  return "#" + std::to_string(static_cast<std::uint64_t>(id));
}

}  // namespace

void SessionScript::give(AssociationId id, SessionInput input) {
  work_.emplace_back(id, std::move(input));
  run();
}

void SessionScript::receive(AssociationId id, Buffer payload, StreamId stream,
                            PayloadProtocol protocol) {
  give(id, AssociationReceived{{stream, protocol, false, now, std::move(payload)}});
}

void SessionScript::submit(AssociationId id, ParcelPtr parcel, AssociationId from) {
  give(id, Submitted{from, std::move(parcel)});
}

void SessionScript::route(AssociationId from, ParcelPtr parcel) {
  Action accept = Accept{std::move(parcel)};
  carry_out(from, accept);
  run();
}

void SessionScript::down(AssociationId id) {
  give(id, AssociationDown{DownCause::lost, {}});
  sessions.erase(id);
}

bool SessionScript::wake_next(Instant until) {
  std::optional<Instant> next;
  AssociationId who{};
  for (const auto& [id, session] : sessions) {
    const auto at = session->deadline();
    if (at && *at <= until && (!next || *at < *next)) {
      next = at;
      who = id;
    }
  }
  if (!next) return false;
  now = std::max(now, *next);
  give(who, Woken{});
  return true;
}

void SessionScript::pass(Duration span) {
  const Instant end = now + span;
  while (wake_next(end)) {
  }
  now = end;
}

std::vector<Buffer> SessionScript::sent(AssociationId id) {
  std::vector<Buffer> all;
  for (Message& message : std::exchange(wire[id], {})) all.push_back(std::move(message.payload));
  return all;
}

Buffer SessionScript::sent_one(AssociationId id) {
  auto all = sent(id);
  return all.size() == 1 ? all.front() : Buffer();
}

void SessionScript::run() {
  if (std::exchange(running_, true)) return;
  while (!work_.empty()) {
    auto [id, input] = std::move(work_.front());
    work_.pop_front();
    step(id, std::move(input));
  }
  running_ = false;
}

void SessionScript::step(AssociationId id, SessionInput input) {
  const auto session = sessions.find(id);
  if (session == sessions.end()) {
    auto* lost = std::get_if<Submitted>(&input);
    if (lost == nullptr) return;
    if (module_ == nullptr) return forwarded.push_back({id, std::move(lost->parcel)});
    return fail(lost->from, id, std::move(lost->parcel), Why::no_such_association);
  }
  note(id, kInputs[input.index()],
       std::visit(Overloaded{[&](const AssociationReceived& in) { return in_words(in.message); },
                             [&](const AssociationUnsent& in) { return in_words(in.message); },
                             [](const Submitted& in) { return "of " + number_of(in.from); },
                             [](const IdentityRefused& in) { return in.why; },
                             [](const Operate& in) { return in.why; },
                             [](const auto&) { return std::string(); }},
                  input));
  Outbox out(pool, counters);
  session->second->step(std::move(input), now, out);
  carry_out(id, out);
}

// As a shard does where a parcel has not got on.
void SessionScript::fail(AssociationId from, AssociationId failed, ParcelPtr parcel, Why why) {
  Outbox out(pool, counters);
  if (!parcel->mark_tried(failed)) why = Why::exhausted;
  module_->undelivered(ShardId{}, from, std::move(parcel), why, now, out);
  carry_out(from, out);
}

void SessionScript::carry_out(AssociationId id, Outbox& out) {
  for (Action& action : out.actions()) carry_out(id, action);
}

void SessionScript::carry_out(AssociationId id, Action& action) {
  note(id, kActions[action.index()],
       std::visit(
           Overloaded{
               [&](const Transmit& out) { return in_words(out.message); },
               [](const Close& out) {
                 return std::string(out.mode == CloseMode::abort ? "abort" : "graceful");
               },
               [](const Identify& out) { return out.peer; },
               [](const Forward& out) { return "to " + number_of(out.to); },
               [](const Undelivered& out) { return std::string(name_of(out.why)); },
               [](const PauseInput& out) { return std::string(out.paused ? "paused" : "resumed"); },
               [](const PeerClosed& out) { return out.why; },
               [](const PeerRefused& out) { return out.who + ": " + out.why; },
               [](const Violation& out) { return out.what; },
               [](const Announce& out) { return std::string(out.fact.kind.name); },
               [](const Drop& out) { return std::string(out.reason.name) + ": " + out.example; },
               [](const auto&) { return std::string(); }},
           action));
  if (on_action && on_action(id, action)) return;
  std::visit(
      Overloaded{[&](Transmit& out) { wire[id].push_back(std::move(out.message)); },
                 [&](Close& out) { closes[id].push_back(out.mode); },
                 [&](Linger&) { ++lingers[id]; }, [&](Identify& out) { identify(id, out.peer); },
                 [&](Accept& out) {
                   if (module_ == nullptr) return accepted.push_back(std::move(out.parcel));
                   Outbox routed(pool, counters);
                   module_->route(ShardId{}, id, std::move(out.parcel), now, routed);
                   carry_out(id, routed);
                 },
                 [&](Forward& out) {
                   work_.emplace_back(out.to, Submitted{id, std::move(out.parcel)});
                 },
                 [&](Undelivered& out) {
                   if (module_ == nullptr) return undelivered.push_back(std::move(out));
                   fail(id, id, std::move(out.parcel), out.why);
                 },
                 [&](Ask& out) { asked.push_back(std::move(out.request)); },
                 [&](Publish& out) {
                   if (module_ == nullptr) return published.push_back(std::move(out.change));
                   module_->publish(ShardId{}, id, std::move(out.change));
                 },
                 [&](Reroute&) {
                   ++reroutes[id];
                   if (answers_reroute) work_.emplace_front(id, Rerouting{});
                 },
                 [&](PauseInput& out) { paused[id] = out.paused; },
                 [&](PeerOpened&) { ++peers_opened; },
                 [&](PeerClosed& out) { peers_closed.push_back(std::move(out)); },
                 [&](PeerRefused& out) { peers_refused.push_back(std::move(out)); },
                 [&](Violation& out) { violations.push_back(std::move(out)); },
                 [&](Announce& out) { facts.push_back(std::move(out.fact)); },
                 [&](Drop& out) { drops.push_back(std::move(out)); }},
      action);
}

void SessionScript::identify(AssociationId id, const std::string& peer) {
  identified.push_back(peer);
  std::optional<SessionInput> answer = Identified{};
  if (on_identify) answer = on_identify(id, peer);
  if (answer) work_.emplace_front(id, std::move(*answer));
}

void SessionScript::note(AssociationId who, const char* what, std::string detail) {
  if (history_.size() == kHistoryMax) history_.pop_front();
  history_.push_back({now, who, what, std::move(detail)});
}

std::string SessionScript::in_words(const Message& message) const {
  if (describe) return describe(message);
  return std::to_string(message.payload.size()) + " bytes";
}

std::string SessionScript::history() const {
  std::string text;
  for (const Seen& seen : history_) {
    char time[32];
    std::snprintf(time, sizeof time, "%8.3f s  ",
                  std::chrono::duration<double>(seen.at.time_since_epoch()).count());
    text += time + number_of(seen.who) + " " + seen.what;
    if (!seen.detail.empty()) text += ", " + seen.detail;
    text += '\n';
  }
  return text;
}

}  // namespace siglane::test
