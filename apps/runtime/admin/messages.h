#pragma once
#include <string>
#include <utility>

#include "proto/siglane/admin/v1/admin.pb.h"

namespace siglane::runtime {

namespace admin = siglane::admin::v1;

inline void refuse(admin::Response& response, admin::Error::Code code, std::string text) {
  response.mutable_error()->set_code(code);
  response.mutable_error()->set_text(std::move(text));
}
// There is no such thing.
inline void refuse(admin::Response& response, std::string text) {
  refuse(response, admin::Error::NOT_FOUND, std::move(text));
}

}  // namespace siglane::runtime
