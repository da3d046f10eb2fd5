#pragma once
#include <cstddef>
#include <string>

#include "apps/runtime/json_document.h"
#include "core/result.h"

namespace siglane::runtime {

// A config whose parts may stand elsewhere:
//
//   {
//     "include": ["conf.d/*.json", "peers.json"],
//     "diameter": {
//       "origin_host": {"from_env": "ORIGIN_HOST"},
//       "origin_realm": {"from_file": "/run/secrets/realm"}
//     }
//   }
//
// "include" stands at the root of a file, also of an included one. A pattern (glob(7)) may match
// nothing, and its files are taken in the order of their names; a plain name must exist. Each file
// is included once. What is included is merged: objects are joined key by key, elements of an array
// are appended, and a scalar that stands in two files is an error.
//
// A string or number may be {"from_env": NAME} or {"from_file": PATH}: the environment variable's
// value, or the file's text without a line break at its end. It becomes a secret (JsonValue).
//
// Names of files begin in the directory of the file where they stand.
struct IncludeLimits {
  std::size_t depth_max = 16;  // files that include one another
  std::size_t files_max = 4096;
  std::size_t value_bytes_max = std::size_t{64} << 10;  // of from_file
};

// Errors read `config/peers.json:31: /diameter/peers/0/name: WHAT IS WRONG`, with the file and the
// line where the value stands.
Result<JsonDocument> load_config_document(const std::string& file, const JsonLimits& json = {},
                                          const IncludeLimits& limits = {});

}  // namespace siglane::runtime
