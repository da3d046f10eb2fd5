#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "core/module.h"
#include "core/snapshot.h"
#include "protocols/diameter/config.h"
#include "protocols/diameter/parcels.h"
#include "protocols/diameter/routing.h"

namespace siglane::diameter {

// One Diameter node (RFC 6733): its identity, its peers, what it routes where. Sessions point into
// it, so it outlives the shards it is used on. Its const functions, on any shard's thread.
class DiameterModule final : public ProtocolModule {
 public:
  // Precondition: check(config).
  explicit DiameterModule(DiameterConfig config);

  // Requests of `application` that are for this node and arrive on `shard` go to `coordinator`
  // there, and so does what becomes of peers (PeerChange). Control plane; any thread, also while
  // running.
  void add_application(ShardId shard, ApplicationId application, AssociationId coordinator);

  // Its next config, while it runs. A shard uses it from its adopt() on, and so do the sessions
  // there from the Reconfigured that follows; one that opens meanwhile begins with it. The next one
  // is prepared once every shard has adopted this one. Who this node is stays as it was:
  // origin_host, origin_realm and origin_state_id. What was said in a CER or CEA holds until the
  // connection is made anew, so the applications of an open peer do not change.
  // Control plane; any thread. In two steps:
  // 1. What takes long with many peers, beside the shards. Precondition: check(next).
  std::shared_ptr<const DiameterConfig> build(DiameterConfig next) const;
  // 2. `next` is what build() made last.
  void prepare(std::shared_ptr<const DiameterConfig> next);
  void prepare(DiameterConfig next) { prepare(build(std::move(next))); }
  // The one that was prepared last. Any thread; takes a lock.
  std::shared_ptr<const DiameterConfig> config() const { return config_.load(); }
  // Who is open now, with the session's id for RequestParcels sent directly. Keep it for one call.
  std::shared_ptr<const RouteTable> routes() const { return routes_.load(); }

  std::string_view name() const override { return "diameter"; }
  std::span<const PayloadProtocol> payload_protocols() const override;
  // A message of another version is cut out where its length is plausible, so that its sender can
  // be told (5011); the session then closes, for where its next message begins nobody knows.
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

 private:
  void route_request(ShardId shard, RequestPtr request, Why why, Outbox& out) const;
  void relay(const OpenPeer& peer, RequestPtr request, Outbox& out) const;
  void refuse(ShardId shard, RequestPtr request, ResultCode result, Why why, Outbox& out) const;

  const RouteTable& routes_on(ShardId shard) const {
    return views_[static_cast<std::size_t>(shard)].routes.get(routes_);
  }
  const DiameterConfig& config_on(ShardId shard) const {
    return *views_[static_cast<std::size_t>(shard)].config;
  }

  // What one shard reads: on its thread alone, which writes `routes` when the table has changed,
  // and `config` when it adopts one.
  struct alignas(64) View {
    std::shared_ptr<const DiameterConfig> config;
    Snapshot<RouteTable>::Reader routes;
  };

  Snapshot<DiameterConfig> config_;
  std::atomic<std::size_t> message_bytes_max_;  // of config_, for framing on any thread
  Snapshot<RouteTable> routes_;
  mutable std::array<View, kShardsMax> views_;
};

}  // namespace siglane::diameter
