#pragma once
#include "core/counter.h"

// What the HSS counts.
namespace siglane::hss::counter {

inline const Counter air_received{"hss.air.received", "Authentication-Information-Requests"};
inline const Counter ulr_received{"hss.ulr.received", "Update-Location-Requests"};
inline const Counter pur_received{"hss.pur.received", "Purge-UE-Requests"};
inline const Counter vectors_sent{"hss.vectors.sent", "authentication vectors sent"};
inline const Counter clr_sent{"hss.clr.sent", "Cancel-Location-Requests sent"};
inline const Counter clr_failed{"hss.clr.failed",
                                "Cancel-Location-Requests without a successful answer"};
inline const Counter resynchronisations{"hss.resynchronisations", "AUTS that were accepted"};
inline const Counter unknown_users{"hss.unknown_users",
                                   "requests for an IMSI that is not in the database"};
inline const Counter denied{"hss.denied",
                            "requests that were refused: roaming, RAT, realm, no EPS subscription"};
inline const Counter too_busy{
    "hss.too_busy",
    "requests answered with 3004, because the store's queue or the peer's share of it was full"};
inline const Counter store_failures{
    "hss.store_failures",
    "requests answered with 5012, because the store failed or the subscriber's data are damaged"};

}  // namespace siglane::hss::counter
