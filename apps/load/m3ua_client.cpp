#include "apps/load/m3ua_client.h"

#include <algorithm>
#include <utility>

namespace siglane::load {
namespace {

// So that a sender that is far behind does not keep the others, and the loop, from their turn.
constexpr std::size_t kBatchMax = 64;
// What comes back at once is no reason to send the next at once: that would never end.
constexpr Duration kHeldAfterReturn = 10ms;

}  // namespace

M3uaClient::M3uaClient(std::vector<M3uaSender> senders, M3uaTraffic& traffic, std::uint64_t seed,
                       LoadRun& run)
    : traffic_(traffic), random_(seed), run_(run) {
  senders_.reserve(senders.size());
  for (M3uaSender& sender : senders) {
    const PaceConfig pace = sender.pace;
    senders_.push_back({.config = std::move(sender), .pacer = Pacer(pace, random_.next())});
  }
}

void M3uaClient::step(SessionInput input, Instant now, Outbox& out) {
  if (auto* submitted = std::get_if<Submitted>(&input)) {
    on_submitted(submitted->from, std::move(submitted->parcel), now);
  }
  begin_if_ready();
  send_due(now, out);
}

std::optional<Instant> M3uaClient::deadline() const {
  if (!began_) return std::nullopt;  // an ASP that becomes active wakes us
  std::optional<Instant> earliest = more_due_;
  for (const Sender& sender : senders_) {
    if (!sender.active || sender.congested) continue;
    const auto next =
        sender.held_until ? sender.held_until : sender.pacer.deadline(sender.under_way);
    if (next) earliest = earliest ? std::min(*earliest, *next) : *next;
  }
  return earliest;
}

SessionStatus M3uaClient::status() const {
  return {.peer = {},
          .protocol = "m3ua-load",
          .state = began_ ? "sending" : "waiting",
          .pending = static_cast<std::size_t>(run_.under_way()),
          .detail = {}};
}

void M3uaClient::on_submitted(AssociationId from, ParcelPtr parcel, Instant now) {
  const auto& received = static_cast<const m3ua::M3uaParcel&>(*parcel);
  switch (received.kind()) {
    case m3ua::ParcelKind::asp_status:
      return on_status(from, static_cast<const m3ua::AspStatusParcel&>(received), now);
    case m3ua::ParcelKind::data: {
      const auto& data = static_cast<const m3ua::DataParcel&>(received);
      return data.returned ? on_returned(data, now) : on_data(from, data, now);
    }
    case m3ua::ParcelKind::network_status: {
      const auto& status = static_cast<const m3ua::NetworkStatusParcel&>(received);
      if (status.type == m3ua::MessageType::duna &&
          std::ranges::any_of(status.affected,
                              [this](const auto& pc) { return traffic_.goes_to(pc); })) {
        ++destinations_unavailable_;
      }
      return;
    }
    case m3ua::ParcelKind::asp_event:
    case m3ua::ParcelKind::as_order:
    case m3ua::ParcelKind::routes_changed:
      return;  // between a gateway's own sessions
  }
}

void M3uaClient::on_status(AssociationId from, const m3ua::AspStatusParcel& status, Instant now) {
  const auto sender = std::find_if(senders_.begin(), senders_.end(),
                                   [&](const Sender& s) { return s.config.asp == status.asp; });
  if (sender == senders_.end()) return;
  if (status.routing_context && *status.routing_context != sender->config.routing_context) return;
  const bool down = status.state == m3ua::AspState::down;
  if (down && sender->association != from) return;  // an older association's end
  sender->association = down ? AssociationId::none : from;
  sender->congested = !down && status.congested;
  const bool active = status.state == m3ua::AspState::active;
  if (active == sender->active) return;
  sender->active = active;
  if (active) return run_.peer_up(now);
  run_.peer_down(now);
  write_off();
}

void M3uaClient::on_data(AssociationId from, const m3ua::DataParcel& data, Instant now) {
  const auto receiver = std::find_if(senders_.begin(), senders_.end(),
                                     [&](const Sender& s) { return s.association == from; });
  const auto at = static_cast<std::size_t>(receiver - senders_.begin());
  const M3uaTraffic::Judgement judged = traffic_.judge(data, at);
  Sender& sender = senders_[judged.sender];
  Tally& tally = *sender.config.tally;
  switch (judged.verdict) {
    case M3uaTraffic::Verdict::foreign:
      ++foreign_;
      return;
    case M3uaTraffic::Verdict::damaged:
      ++tally.damaged;
      return;
    case M3uaTraffic::Verdict::duplicate:
      ++tally.duplicated;
      return;
    case M3uaTraffic::Verdict::out_of_order:
      ++tally.out_of_order;
      break;
    case M3uaTraffic::Verdict::in_order:
      break;
  }
  ++tally.answered;
  if (judged.due && run_.measured(*judged.due)) tally.latency.record(now - *judged.due);
  settle(sender);
}

// The association could not take it: it is one of the lost, which are counted by their flow.
void M3uaClient::on_returned(const m3ua::DataParcel& data, Instant now) {
  const auto at = traffic_.sender_of(data);
  if (!at) return;
  ++senders_[*at].config.tally->refused;
  senders_[*at].held_until = now + kHeldAfterReturn;
  settle(senders_[*at]);
}

void M3uaClient::settle(Sender& sender) {
  if (sender.under_way == 0) return;
  --sender.under_way;
  run_.settled();
}

// Nobody tells what was lost with a connection: all that is under way may be. So that it does not
// hold the windows closed, nothing is waited for; what arrives all the same is counted as ever.
void M3uaClient::write_off() {
  for (Sender& sender : senders_) {
    run_.settled(std::exchange(sender.under_way, 0));
  }
}

void M3uaClient::begin_if_ready() {
  if (began_ || !run_.began()) return;
  began_ = true;
  for (Sender& sender : senders_) sender.pacer.start(*run_.began(), run_.ends());
}

void M3uaClient::send_due(Instant now, Outbox& out) {
  more_due_.reset();
  if (!began_) return;
  const bool over = run_.phase(now) != Phase::sending;
  for (Sender& sender : senders_) {
    if (over) {
      sender.config.tally->skipped += sender.pacer.stop(now);
      continue;
    }
    if (!sender.active) {
      sender.config.tally->skipped += sender.pacer.skip(now);
      continue;
    }
    if (sender.congested || (sender.held_until && now < *sender.held_until)) continue;
    sender.held_until.reset();
    for (std::size_t sent = 0;; ++sent) {
      if (sent == kBatchMax) {
        more_due_ = now;
        break;
      }
      const auto due = sender.pacer.take(now, sender.under_way);
      if (!due) break;
      send_one(sender, *due, now, out);
    }
  }
}

void M3uaClient::send_one(Sender& sender, Instant due, Instant now, Outbox& out) {
  const M3uaSender& config = sender.config;
  const std::size_t bytes = config.payload_bytes_min +
                            random_.below(config.payload_bytes_max - config.payload_bytes_min + 1);
  const auto at = static_cast<std::size_t>(&sender - senders_.data());
  auto data = traffic_.make(at, bytes, due, random_, out.buffers());
  data->routing_context = config.routing_context;
  out.forward(sender.association, std::move(data));
  ++sender.under_way;
  ++config.tally->sent;
  config.tally->send_delay.record(now - due);
  run_.sent();
}

void M3uaClient::finish(Instant now) {
  for (std::size_t at = 0; at < senders_.size(); ++at) {
    Tally& tally = *senders_[at].config.tally;
    tally.skipped += senders_[at].pacer.stop(now);
    const bool forgiven = run_.config().tolerate_reconnect && run_.connections_lost() > 0;
    (forgiven ? tally.unanswered : tally.lost) += traffic_.lost(at);
  }
}

}  // namespace siglane::load
