#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/drops.h"
#include "core/snapshot.h"
#include "protocols/m3ua/config.h"
#include "protocols/m3ua/networks.h"
#include "protocols/m3ua/parcels.h"
#include "protocols/m3ua/route_table.h"

// What ASP sessions, AS sessions and the module of the SG side say to one another.
namespace siglane::m3ua {

inline constexpr DropReason kAsNotActive{"m3ua.as_not_active",
                                         "the AS that serves the destination is not active"};
inline constexpr DropReason kAsRemoved{"m3ua.as_removed",
                                       "the AS of this DATA was removed from the config"};

// One revision of the config, and who is who: immutable.
//
// ASs and ASPs have places, which are in parcels, views and tables on all shards: so a place means
// the same AS or ASP for the life of the node. What is new takes the next one. What is removed
// leaves an empty one behind. An ASP that returns takes its old place. An AS never does, because
// its earlier life may not be over on every shard. Nor does one that returns with another routing
// context, network or traffic mode, which its peers must take for another AS.
struct Gateway {
  struct Server {
    ApplicationServerConfig config;  // removed: as it was last, without ASPs
    AssociationId coordinator{};
    bool removed = false;
  };

  std::uint64_t number = 1;  // ascending
  M3uaConfig config;         // as it was given
  Networks networks;
  std::vector<Server> servers;         // by place
  std::vector<std::string> asp_names;  // by place, of the removed ones too
  RoutingRules rules;
  // Those that have other rules than in the revision before.
  std::vector<std::uint32_t> changed_destinations;

  // The first revision. `c` must have passed check().
  explicit Gateway(M3uaConfig c) : Gateway(std::move(c), nullptr) {}
  // The one that follows `before`.
  Gateway(M3uaConfig c, const Gateway& before) : Gateway(std::move(c), &before) {}

  const AspConfig* find_asp(std::string_view name) const;
  const AspConfig* find_asp(std::uint32_t identifier) const;
  // Its place; kNobody: there is no such ASP.
  std::uint32_t place_of_asp(std::string_view name) const;
  // The name of the ASP that DATA came from; empty: not known.
  std::string sender_of(const DataParcel& data) const;
  // Does the ASP belong to the AS of that place?
  bool is_in(const std::string& asp, std::size_t server) const;
  // The places of the ASs that the ASP belongs to, ascending.
  const std::vector<std::size_t>& servers_of(const std::string& asp) const;
  // The place of the AS; nothing: it has none in this revision.
  std::optional<std::size_t> place_of(AssociationId coordinator) const;

 private:
  Gateway(M3uaConfig c, const Gateway* before);
  std::vector<std::size_t> take_places(const Gateway* before);

  std::unordered_map<std::string, std::vector<std::size_t>> servers_of_;
  std::unordered_map<std::string, std::size_t> asp_at_;       // in config.asps
  std::unordered_map<std::string, std::uint32_t> asp_place_;  // in asp_names
};

// ASP -> AS: what became of the ASP, or what it asks for (RFC 4666 §4.3.1). The AS answers each but
// `lost`, and the ASP's session says nothing more to that AS until then. Where the AS is no more,
// the module answers: removed.
class AspEventParcel final : public M3uaParcel {
 public:
  enum class Event : std::uint8_t { up, down, lost, activate, deactivate };
  AspEventParcel(Event e, std::string_view name, std::optional<std::uint32_t> identifier)
      : M3uaParcel(ParcelKind::asp_event), event(e), asp(name), asp_identifier(identifier) {}

  Event event;
  std::string asp;
  std::optional<std::uint32_t> asp_identifier;
  std::uint32_t asp_place = DataParcel::kNobody;
  std::size_t server = 0;   // the place of the AS it is for
  std::uint32_t epoch = 0;  // which ASPUP it belongs to
};

// AS -> ASP: the answer, or what the ASP is to be told.
class AsOrderParcel final : public M3uaParcel {
 public:
  enum class Order : std::uint8_t {
    noted,
    activated,
    deactivated,
    notify,
    removed,  // the AS is no more
  };
  AsOrderParcel(Order o, std::size_t as_place, std::uint32_t asp_epoch)
      : M3uaParcel(ParcelKind::as_order), order(o), as(as_place), epoch(asp_epoch) {}
  bool is_answer() const { return order != Order::notify && !unasked; }

  Order order;
  std::size_t as;
  std::uint32_t epoch;                          // of the event it answers, or the last one
  bool unasked = false;                         // deactivated: override by another ASP; removed
  NotifyStatus status{};                        // notify
  std::optional<std::uint32_t> asp_identifier;  // notify: of the ASP that it is about
  bool was_serving = false;                     // removed: AS-ACTIVE or AS-PENDING until then
};

// An ASP that follows a new revision -> module: of the destinations whose rules have changed, it is
// to hear which became available or unavailable by that.
class RoutesChangedParcel final : public M3uaParcel {
 public:
  RoutesChangedParcel() : M3uaParcel(ParcelKind::routes_changed) {}
  std::vector<std::size_t> active_in;  // places
};

// AS -> module, by Publish.
class AsChangeParcel final : public Parcel {
 public:
  AsChangeParcel(std::size_t i, std::shared_ptr<const AsView> v) : as(i), view(std::move(v)) {}
  std::size_t as;
  std::shared_ptr<const AsView> view;
};

}  // namespace siglane::m3ua
