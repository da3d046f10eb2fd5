#pragma once
#include "core/counter.h"

// What the thread of a store counts.
namespace siglane::runtime::counter {

inline const Counter store_requests{"store.requests", "requests that the store ran"};
inline const Counter store_commits{"store.commits", "transactions of the store"};
inline const Counter store_failures{"store.failures", "requests of transactions that failed"};
inline const Counter store_refused_full{
    "store.refused.full",
    "requests that the store did not take because its whole queue was full: the disk is too slow "
    "for all peers together"};
inline const Counter store_refused_share{
    "store.refused.share",
    "requests that the store did not take because their peer had its share of the queue"};
inline const Counter store_abandoned{
    "store.abandoned",
    "requests that were dropped before the store began them, because their connection was gone"};

}  // namespace siglane::runtime::counter
