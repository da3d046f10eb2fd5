#pragma once
#include <filesystem>
#include <vector>

#include "apps/hss/subscription.h"
#include "apps/runtime/config_reader.h"
#include "core/result.h"

namespace siglane::hss {

// Reads an import file (JSON): {"subscribers": [...]}, each element one subscriber
//
//   {"imsi": "001010000000001", "k": "465b…", "opc": "cd63…", "amf": "8000", "sqn": 0,
//    "msisdn": "49151…", "subscription": {…}}
//
// or a range, {"imsi_first": "001010000000001", "count": 1000, "k_master": "465b…", …}: IMSI and
// "msisdn_first" count upwards, and each subscriber's K is derived_key(k_master, its IMSI). "op"
// may stand instead of "opc". "subscription" left out: the subscriber has none (AIR and ULR end
// with DIAMETER_ERROR_UNKNOWN_EPS_SUBSCRIPTION). An IMSI may appear once.
//
// Parts of it may stand elsewhere, as in a config (apps/runtime/config_include.h).
//
// Errors name file, line and path; all of them are reported at once.
Result<std::vector<Subscriber>> read_subscribers(const std::filesystem::path& file);
// The same of a file that is being read (config/subscribers-schema.json): what is wrong is told to
// the reader.
Result<std::vector<Subscriber>> read_subscribers(const runtime::ObjectReader& root);

// AES-128 under `master` of the IMSI's digits in ASCII, filled up with zero octets to 16.
Key derived_key(Aes128& aes, const Key& master, const Imsi& imsi);

}  // namespace siglane::hss
