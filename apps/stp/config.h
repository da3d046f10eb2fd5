#pragma once
#include "apps/runtime/config.h"
#include "protocols/m3ua/config.h"

namespace siglane::stp {

// Reads "m3ua" and checks what matters to an STP beyond a gateway's own rules: that every ASP
// serves an Application Server, that every Application Server can be reached by a route, and that
// no two routes say the same. What is wrong is told to the reader.
m3ua::M3uaConfig read_stp_config(const runtime::ObjectReader& root, runtime::NodeConfig& node);

}  // namespace siglane::stp
