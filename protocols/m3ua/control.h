#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/drops.h"
#include "protocols/m3ua/config.h"
#include "protocols/m3ua/networks.h"
#include "protocols/m3ua/parcels.h"
#include "protocols/m3ua/route_table.h"

// What ASP sessions, AS sessions and the module of the SG side say to one another.
namespace siglane::m3ua {

inline constexpr DropReason kAsNotActive{"m3ua.as_not_active",
                                         "the AS that serves the destination is not active"};

// Immutable once the node runs: the config, and who is who.
struct Gateway {
  M3uaConfig config;
  Networks networks;
  RoutingRules rules;
  std::vector<AssociationId> coordinators;  // by index of application_servers

  explicit Gateway(M3uaConfig c)
      : config(std::move(c)),
        networks(config),
        rules(config),
        coordinators(config.application_servers.size()) {}

  const AspConfig* find_asp(std::string_view name) const;
  const AspConfig* find_asp(std::uint32_t identifier) const;
  std::uint32_t index_of_asp(std::string_view name) const;
  // The name of the ASP that DATA came from; empty: not known any more.
  std::string sender_of(const DataParcel& data) const;
  // Indices of the ASs that the ASP belongs to, in the order of the config.
  std::vector<std::size_t> servers_of(std::string_view asp) const;
};

// ASP -> AS: what became of the ASP, or what it asks for (RFC 4666 §4.3.1). The AS answers each but
// `lost`, and the ASP's session says nothing more to that AS until then.
class AspEventParcel final : public M3uaParcel {
 public:
  enum class Event : std::uint8_t { up, down, lost, activate, deactivate };
  AspEventParcel(Event e, std::string_view name, std::optional<std::uint32_t> identifier)
      : M3uaParcel(ParcelKind::asp_event), event(e), asp(name), asp_identifier(identifier) {}

  Event event;
  std::string asp;
  std::optional<std::uint32_t> asp_identifier;
  std::size_t server = 0;   // the AS it is for
  std::uint32_t epoch = 0;  // which ASPUP it belongs to
};

// AS -> ASP: the answer, or what the ASP is to be told.
class AsOrderParcel final : public M3uaParcel {
 public:
  enum class Order : std::uint8_t { noted, activated, deactivated, notify };
  AsOrderParcel(Order o, std::size_t as_index, std::uint32_t asp_epoch)
      : M3uaParcel(ParcelKind::as_order), order(o), as(as_index), epoch(asp_epoch) {}
  bool is_answer() const { return order != Order::notify && !unasked; }

  Order order;
  std::size_t as;
  std::uint32_t epoch;                          // of the event it answers, or the last one
  bool unasked = false;                         // deactivated: override by another ASP
  NotifyStatus status{};                        // notify
  std::optional<std::uint32_t> asp_identifier;  // notify: of the ASP that it is about
};

// AS -> module, by Publish.
class AsChangeParcel final : public Parcel {
 public:
  AsChangeParcel(std::size_t i, std::shared_ptr<const AsView> v) : as(i), view(std::move(v)) {}
  std::size_t as;
  std::shared_ptr<const AsView> view;
};

}  // namespace siglane::m3ua
