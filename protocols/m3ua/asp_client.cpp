#include "protocols/m3ua/asp_client.h"

#include <algorithm>

#include "protocols/m3ua/asp_client_session.h"
#include "protocols/m3ua/counters.h"
#include "protocols/m3ua/module.h"

namespace siglane::m3ua {
namespace {

constexpr std::array kPayloadProtocols = {kPayloadProtocol};

constexpr DropReason kNotRouted{
    "m3ua.not_routed", "DATA without an address: on the ASP side the user names the association"};
constexpr DropReason kUserGone{"m3ua.user_gone", "the user of this DATA is gone"};

}  // namespace

AspClientModule::AspClientModule(AspClientsConfig config) : config_(std::move(config)) {}

void AspClientModule::set_user(std::string_view asp, AssociationId user) {
  user_of_[std::string(asp)] = user;
}

std::span<const PayloadProtocol> AspClientModule::payload_protocols() const {
  return kPayloadProtocols;
}

Result<std::optional<std::size_t>> AspClientModule::frame_length(Bytes head) const {
  return frame_length_of(head);
}

std::unique_ptr<Session> AspClientModule::open_session(AssociationId, const AssociationUp& up,
                                                       const PeerTable&, std::uint64_t) const {
  const auto config = std::ranges::find(config_.asps, up.peer, &AspClientConfig::name);
  const auto user = user_of_.find(up.peer);
  return std::make_unique<AspClientSession>(
      config_, config != config_.asps.end() ? *config : unknown_,
      up.peer.empty() ? std::string("unknown gateway") : up.peer,
      user != user_of_.end() ? user->second : user_);
}

// Nothing is routed: the user addresses an association, and the association its user.
void AspClientModule::route(ShardId, AssociationId, ParcelPtr parcel, Instant, Outbox& out) const {
  out.count(counter::data_unroutable);
  out.drop(kNotRouted, parcel->describe());
}

// The user's DATA comes back to it; what came for a user that is gone is counted.
void AspClientModule::undelivered(ShardId, AssociationId from, ParcelPtr parcel, Why why, Instant,
                                  Outbox& out) const {
  if (static_cast<M3uaParcel&>(*parcel).kind() != ParcelKind::data) return;
  auto& data = static_cast<DataParcel&>(*parcel);
  const bool from_user =
      from == user_ || std::ranges::any_of(user_of_, [&](auto& u) { return u.second == from; });
  if (data.returned || !from_user) {
    out.count(counter::data_discarded);
    return out.drop(kUserGone, data.describe());
  }
  data.returned = why;
  out.forward(from, std::move(parcel));
}

}  // namespace siglane::m3ua
