#pragma once
#include <string>

#include "apps/runtime/admin/http_server.h"

namespace siglane::runtime {

// RFC 9457: what is wrong, and what to do.
struct Problem {
  unsigned status = 400;
  std::string detail;
  HttpHeaders headers = {};
};

HttpAnswer problem_answer(const Problem& problem);

}  // namespace siglane::runtime
