#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/module.h"
#include "core/snapshot.h"
#include "protocols/m3ua/config.h"
#include "protocols/m3ua/control.h"
#include "protocols/m3ua/route_table.h"

namespace siglane {
class Shard;
}

namespace siglane::m3ua {

// M3UA as a signalling gateway or STP speaks it: ASPs connect, Application Servers are served, DATA
// goes from AS to AS by (network appearance, DPC, SI, OPC). A point code, its state and what is
// said of it belong to a network (Network).
//
// Why DATA keeps its order: the same SLS goes to the same ASP (core/selector_table.h, or the one of
// override) over the same stream (1 + SLS mod n), and every hop between is one FIFO. When an AS
// comes back from AS-PENDING, its AS session drains what it held while new DATA still passes
// through it, behind what is held; only when nothing is held does it publish the direct way. Each
// shard then takes it by the diversion rule (core/diversion.h), behind all that it sent before.
class M3uaModule final : public ProtocolModule {
 public:
  // `config` must have passed check().
  explicit M3uaModule(M3uaConfig config);

  // Set-up, before the first association: makes an AS session for each Application Server whose
  // index mod `shards` is this shard's, and gives it to the shard.
  void add_application_servers(Shard& shard, std::size_t shards, Instant now);
  // The same by hand: the session, and then its id.
  std::unique_ptr<Session> make_application_server(std::size_t index) const;
  void set_coordinator(std::size_t index, AssociationId id);

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
  void publish(ShardId shard, AssociationId from, ParcelPtr change) override;

  void hold(ShardId shard, AssociationId coordinator) override;
  void follow(ShardId shard, AssociationId coordinator) override;

  const M3uaConfig& config() const { return gateway_.config; }
  std::shared_ptr<const RouteTable> routes() const { return table_.load(); }

 private:
  std::size_t index_of(AssociationId coordinator) const;
  void route_data(ShardId shard, AssociationId from, std::unique_ptr<DataParcel> data,
                  Outbox& out) const;
  void route_status(AssociationId from, std::unique_ptr<NetworkStatusParcel> status,
                    Outbox& out) const;
  std::vector<AffectedPointCode> affected_in(Network network, const NetworkStatusParcel& status,
                                             const RouteTable& table) const;
  void answer_audit(AssociationId from, const NetworkStatusParcel& audit, Outbox& out) const;

  Gateway gateway_;
  Snapshot<RouteTable> table_;  // as published
  // As followed: by shard, each read and written on its shard's thread alone.
  std::vector<std::vector<std::shared_ptr<const AsView>>> views_;
};

// The framing of M3UA on a stream transport; shared with AspClientModule.
Result<std::optional<std::size_t>> frame_length_of(Bytes head);

}  // namespace siglane::m3ua
