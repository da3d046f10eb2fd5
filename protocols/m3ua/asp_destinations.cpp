// What an AspSession hears and says of destinations (SSNM, RFC 4666 §3.4). A destination is a point
// code in a network: whatever is asked, answered or reported is of one network at a time.
#include <algorithm>
#include <utility>

#include "protocols/m3ua/asp.h"
#include "protocols/m3ua/text.h"

namespace siglane::m3ua {
namespace {

// An SSNM names at most so many destinations; more make another message.
constexpr std::size_t kAffectedMax = 1024;
// A DAUD that names no network is answered for so many; where its ASP is in more, it must name one.
constexpr std::size_t kNetworksMax = 16;

// What its association does is told to the others (report_congestion).
constexpr DropReason kSconOfAsp{"m3ua.scon_of_asp",
                                "congestion that an ASP reports is not passed on to others"};

std::vector<AffectedPointCode> affected_of(const MessageView& view) {
  std::vector<AffectedPointCode> affected;
  for (const std::uint32_t word : view.list(Tag::affected_point_code)) {
    affected.push_back(AffectedPointCode::unpack(word));
  }
  // RFC 4666 §3.4.4, SCON: whose message met the congestion.
  if (const auto concerned = view.u32(Tag::concerned_destination)) {
    affected.push_back({0, AffectedPointCode::unpack(*concerned).point_code});
  }
  return affected;
}

}  // namespace

void AspSession::on_ssnm(const MessageView& view, Outbox& out) {
  if (state() != AspState::active) {
    return link_.error(ErrorCode::unexpected_message, view.bytes(), out);
  }
  const auto networks = networks_of(view, out);
  if (view.type() == MessageType::scon) {
    if (!networks.empty()) out.drop(kSconOfAsp, describe(view.bytes()));
    return;
  }
  // Without a Network Appearance it may ask in several networks: each has an answer of its own.
  for (const Network& network : networks) {
    auto audit = std::make_unique<NetworkStatusParcel>();
    audit->type = MessageType::daud;
    audit->network_appearance = network;
    audit->affected = affected_of(view);
    out.accept(std::move(audit));
  }
}

std::vector<Network> AspSession::networks_of(const MessageView& ssnm, Outbox& out) {
  const Network said = ssnm.u32(Tag::network_appearance);
  std::vector<Membership*> named = named_memberships(ssnm, out);
  if (named.empty()) return {};
  std::erase_if(named, [](const Membership* m) { return m->state != AspState::active; });
  if (named.empty()) {
    const U32List contexts = ssnm.list(Tag::routing_context);
    link_.error(ErrorCode::unexpected_message, ssnm.bytes(), out,
                {{contexts.begin(), contexts.end()}, {}});
    return {};
  }
  std::vector<Network> networks;
  for (const Membership* m : named) {
    const auto network = gateway_->networks.of(server(*m).network_appearance, said);
    if (network && std::ranges::find(networks, *network) == networks.end()) {
      networks.push_back(*network);
    }
  }
  if (networks.empty()) {
    link_.error(ErrorCode::invalid_network_appearance, ssnm.bytes(), out, {{}, said});
    return {};
  }
  if (networks.size() > kNetworksMax) {
    link_.error(ErrorCode::missing_parameter, ssnm.bytes(), out);
    return {};
  }
  const auto affected = affected_of(ssnm);
  std::erase_if(networks, [&](const Network& network) {
    return !std::ranges::all_of(
        affected, [&](const auto& pc) { return gateway_->networks.fits(network, pc); });
  });
  if (networks.empty()) link_.error(ErrorCode::invalid_parameter_value, ssnm.bytes(), out);
  return networks;
}

// RFC 4666 §3.4.1: Network Appearance says which network the destinations are of, Routing Context
// which ASs of this ASP are concerned: those in that network.
void AspSession::send_status(const NetworkStatusParcel& status, Instant now, Outbox& out) {
  const Network network = status.network_appearance;
  const auto contexts = active_contexts_in(network);
  if (phase_ != Phase::up || contexts.empty()) return;
  std::vector<AffectedPointCode> outdated;
  std::vector<std::uint32_t> affected;
  for (const AffectedPointCode& pc : status.affected) {
    if (is_outdated(status, pc)) {
      outdated.push_back(pc);
      continue;
    }
    if (!status.limited || may_report({network, pc.point_code}, now)) affected.push_back(pc.pack());
  }
  for (std::size_t at = 0; at < affected.size(); at += kAffectedMax) {
    MessageBuilder message(out.buffers(), status.type);
    message.u32_if(Tag::network_appearance, network)
        .list(Tag::routing_context, contexts)
        .list(Tag::affected_point_code,
              std::span(affected).subspan(at, std::min(kAffectedMax, affected.size() - at)))
        .u32_if(Tag::congestion_indications, status.congestion_level);
    link_.transmit(std::move(message).finish(), out);
  }
  if (outdated.empty()) return;
  auto audit = std::make_unique<NetworkStatusParcel>();
  audit->type = MessageType::daud;
  audit->network_appearance = network;
  audit->affected = std::move(outdated);
  out.accept(std::move(audit));
}

// It was said by the rules before those that this session follows, which are others for that
// destination: what it has been told by the new ones may be newer. So it asks how it is now.
bool AspSession::is_outdated(const NetworkStatusParcel& status, const AffectedPointCode& pc) const {
  if (status.type == MessageType::scon || status.revision >= gateway_->number) return false;
  if (status.revision + 1 < gateway_->number) return true;
  return std::ranges::binary_search(gateway_->changed_destinations, pc.point_code);
}

// An AS without a network of its own is in the one that its ASP has asked about.
std::vector<std::uint32_t> AspSession::active_contexts_in(Network network) const {
  std::vector<std::uint32_t> inside, anywhere;
  for (const Membership& m : memberships_) {
    if (m.state != AspState::active) continue;
    const Network own = server(m).network_appearance;
    if (own == network) inside.push_back(server(m).routing_context);
    if (!own) anywhere.push_back(server(m).routing_context);
  }
  return inside.empty() ? anywhere : inside;
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
  for (const Membership& m : of) {
    auto report = std::make_unique<NetworkStatusParcel>();
    report->type = MessageType::scon;
    report->server = m.as;
    report->congestion_level = congested ? 1 : 0;
    out.accept(std::move(report));
  }
}

// One DUNA for a destination per interval, whatever the ASP goes on sending there.
bool AspSession::may_report(const Destination& destination, Instant now) {
  const Duration interval = gateway_->config.destination_report_interval;
  for (const Reported& r : reported_) {
    if (r.destination == destination && now < r.at + interval) return false;
  }
  if (reported_.size() < kReportedMax) reported_.emplace_back();
  reported_[next_reported_] = {destination, now};
  next_reported_ = (next_reported_ + 1) % kReportedMax;
  return true;
}

}  // namespace siglane::m3ua
