#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "core/framing.h"
#include "core/peer_table.h"
#include "core/session.h"

namespace siglane {

// A protocol, as the framework sees it. const functions are called on any shard's thread, read one
// immutable snapshot, never block, never wait.
class ProtocolModule : public Framing {
 public:
  virtual ~ProtocolModule() = default;

  virtual std::string_view name() const = 0;
  virtual std::span<const PayloadProtocol> payload_protocols() const = 0;
  // `seed` is all the randomness the session will ever have. The session is stepped with `up` right
  // after. Who the peer is may be known only later: the session then says Identify.
  virtual std::unique_ptr<Session> open_session(AssociationId id, const AssociationUp& up,
                                                const PeerTable& peers,
                                                std::uint64_t seed) const = 0;
  // May its sessions be given such parcels by sessions of other modules? Its own parcels they are
  // given in any case, others come back as Undelivered.
  virtual bool takes(const ParcelDomain&) const { return false; }
  // Where an accepted parcel goes: Forward to an application or another association; excludes
  // parcel->tried(). `from` is the session that accepted it, `shard` where that lives.
  virtual void route(ShardId shard, AssociationId from, ParcelPtr parcel, Instant now,
                     Outbox& out) const = 0;
  // A parcel that `from` forwarded, or was given, did not get on; the id that failed is in tried().
  // Route it again, answer for it (Forward to its origin), or count it.
  virtual void undelivered(ShardId shard, AssociationId from, ParcelPtr parcel, Why why,
                           Instant now, Outbox& out) const = 0;
  // Control plane: a session's state changed (its Publish). Builds and publishes a new snapshot for
  // route(). Called on the shard's thread under no lock: the module serialises.
  virtual void publish(ShardId shard, AssociationId from, ParcelPtr change) = 0;
  // This shard follows the config that the module was given last. Called on the shard's thread;
  // Reconfigured follows for each of its sessions there.
  virtual void adopt(ShardId) {}
  // The steps of a Reroute on each shard (core/diversion.h), for modules whose flows have an order:
  // until follow(), route() on this shard keeps to the path that it followed last, and between
  // hold() and follow() it forwards the flow to its coordinator, where the shard holds it.
  virtual void hold(ShardId, AssociationId /*coordinator*/) {}
  virtual void follow(ShardId, AssociationId /*coordinator*/) {}
};

}  // namespace siglane
