#pragma once
#include <string>
#include <vector>

#include "apps/load/tally.h"
#include "core/time.h"

namespace siglane::load {

// How a run went, as it is judged and printed.
struct Report {
  std::string protocol;   // "s6a", "m3ua"
  std::string target;     // "127.0.0.1:3868"
  std::string transport;  // what it came to: "usrsctp"
  std::uint64_t seed = 0;
  Duration lasted{};  // of sending, so far
  Duration warm_up{};
  std::size_t peers = 0, peers_up_most = 0;
  std::uint64_t connections_lost = 0;
  // Diameter answers that matched no request: answered twice, or too late.
  std::uint64_t unmatched_answers = 0;
  bool tolerate_reconnect = false;
  bool tolerate_errors = false;
  bool judges_order = false;
  bool interrupted = false;
  std::vector<GroupTally> groups;
  std::vector<std::string> failures;  // what else went wrong, in words

  // Of all groups; unmatched answers count as duplicates, but for those to requests timed out.
  Tally total() const;
};

// Why the run is not good; empty: every peer came up, and nothing was lost, doubled, damaged or
// reordered.
std::vector<std::string> reasons_against(const Report& report);

// One JSON object with everything, ending in a newline.
std::string to_json(const Report& report);
// The summary for a human, several lines.
std::string to_text(const Report& report);

// A look at a run under way. `since` is what it was at the previous look, `elapsed` ago.
struct Progress {
  Duration at{};
  std::size_t peers = 0, peers_up = 0;
  std::uint64_t under_way = 0;
  Tally total;
};
std::string progress_line(const Progress& now, const Progress& before);

}  // namespace siglane::load
