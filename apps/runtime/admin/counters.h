#pragma once
#include "core/counter.h"
#include "core/facts.h"

// What the admin API counts and tells.
namespace siglane::runtime {
namespace counter {

inline const Counter admin_refused{
    "admin.refused",
    "requests to the admin API without the right to it, or with an unknown token or Host"};

}  // namespace counter

inline constexpr FactKind kAdminRefused{
    "admin_refused", Severity::warning,
    "a client of the admin API had no right to a request, or came with an unknown token or Host. "
    "`requests` is their number since the last such fact. At most once a minute"};

}  // namespace siglane::runtime
