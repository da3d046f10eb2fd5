#pragma once
#include <string_view>

#include "apps/hss/subscription.h"
#include "protocols/diameter/message.h"

namespace siglane::hss {

// Appends Subscription-Data (TS 29.272 §7.3.2) with all that MMEs get to know of a subscriber.
void add_subscription_data(diameter::MessageBuilder& answer, const Subscription& subscription,
                           std::string_view msisdn);

}  // namespace siglane::hss
