#pragma once
#include <string>
#include <string_view>

#include "apps/hss/subscription.h"
#include "apps/runtime/config_reader.h"
#include "core/result.h"

namespace siglane::hss {

// A subscription as the import file writes it (config/subscribers.json shows all keys).
Subscription read_subscription(const runtime::ObjectReader& reader);
// What an operator may not provision: APNs that are none (TS 23.003 §9.1), or not one each. What
// the database has already is not judged again.
void check_subscription(const runtime::ObjectReader& reader, const Subscription& subscription);

// And as the database keeps it: the same form, one text for equal values.
std::string json_of(const Subscription& subscription);
Result<Subscription> subscription_from_json(std::string_view text);

}  // namespace siglane::hss
