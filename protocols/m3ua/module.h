#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
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
//
// Shards follow a new config one after another, so for a moment they differ. A place (Gateway)
// means the same on all of them. What a shard does not know yet, it asks of the latest revision;
// and what states make of destinations is said by the latest one on all shards alike.
class M3uaModule final : public ProtocolModule {
 public:
  // `config` must have passed check(). `add_application_servers` follows on each shard, before the
  // first association.
  explicit M3uaModule(M3uaConfig config);

  // A new config while the node runs, in four steps; the next one once all shards have done all:
  // 0. What takes long with many routes, on any thread beside the shards. `next` must have passed
  //    check().
  std::shared_ptr<const Gateway> build(M3uaConfig next);
  // 1. On one thread. `next` is what build() made last.
  void prepare(std::shared_ptr<const Gateway> next);
  void prepare(M3uaConfig next) { prepare(build(std::move(next))); }
  // 2. On each shard's thread: makes an AS session for each new Application Server whose place mod
  //    `shards` is this shard's, and gives it to the shard.
  void add_application_servers(Shard& shard, std::size_t shards, Instant now);
  // 3. On each shard's thread, once all have done step 2: Shard::follow(), which calls adopt().

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

  void adopt(ShardId shard) override;
  void hold(ShardId shard, AssociationId coordinator) override;
  void follow(ShardId shard, AssociationId coordinator) override;

  // The latest that any shard follows. Any thread.
  std::shared_ptr<const Gateway> gateway() const { return latest_.load(); }
  // Of every AS of a gateway() that was asked for before; of a later one's, perhaps not.
  std::shared_ptr<const RouteTable> routes() const { return table_.load(); }

 private:
  // What one shard goes by; read and written on its thread alone.
  struct OnShard {
    std::shared_ptr<const Gateway> gateway;
    std::size_t servers_added = 0;  // places whose coordinators are there, if they live here
    std::vector<std::shared_ptr<const AsView>> views;  // by place, as followed
  };
  // The step from one revision to the next.
  struct Turn {
    std::shared_ptr<const Gateway> before;
    std::shared_ptr<const RouteTable> table;  // as it was when the first shard took that step
  };
  // What one network's destinations have become by that step; each list ascends.
  struct Changes {
    std::vector<std::uint32_t> available, unavailable;
  };
  using ChangesPtr = std::shared_ptr<const Changes>;
  // The same for all ASPs of a network, so it is looked up once.
  struct Report {
    std::shared_ptr<const Gateway> latest;
    std::shared_ptr<const RouteTable> table;
    std::map<Network, ChangesPtr> by_network;
  };

  const OnShard& on(ShardId shard) const { return shards_[static_cast<std::size_t>(shard)]; }
  OnShard& on(ShardId shard) { return shards_[static_cast<std::size_t>(shard)]; }
  std::shared_ptr<const AsView>& view_of(ShardId shard, std::size_t place);
  void route_data(ShardId shard, AssociationId from, std::unique_ptr<DataParcel> data,
                  Outbox& out) const;
  void route_status(ShardId shard, AssociationId from, std::unique_ptr<NetworkStatusParcel> status,
                    Outbox& out) const;
  void answer_audit(AssociationId from, const NetworkStatusParcel& audit, Outbox& out) const;
  void report_changes(AssociationId asp, const RoutesChangedParcel& changed, Outbox& out) const;
  ChangesPtr changes_in(Network network, const Turn& turn,
                        const std::shared_ptr<const Gateway>& latest,
                        const std::shared_ptr<const RouteTable>& table) const;
  void give_back(std::unique_ptr<DataParcel> data, Why why, Outbox& out) const;

  // `latest_`: of those that a shard has followed. Sessions begin with it, and take it when they
  // are Reconfigured. It may be ahead of the shard that a session is on, for a moment.
  Snapshot<Gateway> prepared_, latest_;
  Snapshot<RouteTable> table_;  // as published
  mutable std::mutex mutex_;    // over these
  Turn turn_, turn_before_;     // build() destroys the latter, which takes long too
  mutable Report report_;
  std::vector<OnShard> shards_;
};

// The framing of M3UA on a stream transport; shared with AspClientModule.
Result<std::optional<std::size_t>> frame_length_of(Bytes head);

}  // namespace siglane::m3ua
