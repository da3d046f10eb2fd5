#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/module.h"
#include "protocols/m3ua/config.h"
#include "protocols/m3ua/parcels.h"

namespace siglane::m3ua {

// The ASP side: each association to a signalling gateway is brought to ASP-ACTIVE and kept there
// (ASPUP, ASPAC, T(ack), NTFY, BEAT). A local **user** (a coordinator) does the talking:
//
//   AspClientModule module(config);
//   AssociationId user = shard.add_coordinator(std::make_unique<MyUser>(), module, now);
//   module.set_user(user);                        // before the first connect
//   shard.keep_connected(endpoint, peer);         // peer.name is an AspClientConfig's name
//
// The user is Submitted, from the association's id:
//   AspStatusParcel      ASP-ACTIVE (in each routing context), ASP-INACTIVE, ASP-DOWN
//   DataParcel           received DATA; with `returned` set: its own, which could not be sent
//   NetworkStatusParcel  DUNA, DAVA, DRST, SCON, DUPU
// and Forwards DataParcels to that id.
class AspClientModule final : public ProtocolModule {
 public:
  // `config` must have passed check().
  explicit AspClientModule(AspClientsConfig config);

  // Who gets what arrives. Set-up, before any association. The second form is for one ASP alone,
  // and beats the first.
  void set_user(AssociationId user) { user_ = user; }
  void set_user(std::string_view asp, AssociationId user);

  std::string_view name() const override { return "m3ua"; }
  std::span<const PayloadProtocol> payload_protocols() const override;
  Result<std::optional<std::size_t>> frame_length(Bytes head) const override;
  PayloadProtocol stream_protocol() const override { return kPayloadProtocol; }
  std::unique_ptr<Session> open_session(AssociationId id, const AssociationUp& up,
                                        const PeerTable& peers, std::uint64_t seed) const override;
  void route(ShardId shard, AssociationId from, ParcelPtr parcel, Instant now,
             Outbox& out) const override;
  void undelivered(ShardId shard, AssociationId from, ParcelPtr parcel, Why why, Instant now,
                   Outbox& out) const override;
  void publish(ShardId, AssociationId, ParcelPtr) override {}

 private:
  AspClientsConfig config_;
  AspClientConfig unknown_;  // for a gateway that connected to us and has no entry
  AssociationId user_ = AssociationId::none;
  std::unordered_map<std::string, AssociationId> user_of_;
};

}  // namespace siglane::m3ua
