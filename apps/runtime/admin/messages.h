#pragma once
#include "proto/siglane/admin/v1/admin.pb.h"

namespace siglane::runtime {

namespace admin = siglane::admin::v1;

}  // namespace siglane::runtime
