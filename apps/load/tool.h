#pragma once
#include <string>

#include "apps/load/config.h"
#include "apps/load/traffic.h"

namespace siglane::load {

struct ToolOptions {
  std::string json_file;  // where the report goes as JSON; "-": standard output; empty: nowhere
  bool quiet = false;     // no progress line
};

// Runs `traffic` on a node of its own from connecting to the end, shows how it goes, and reports.
// The exit status: 0 if nothing was lost, doubled, damaged or reordered and every peer came up,
// otherwise 1, and the reason stands in the report or on standard error. SIGINT, SIGTERM and SIGHUP
// end the sending; a second one ends the process.
int run_tool(const LoadConfig& config, const ToolOptions& options, Traffic& traffic);

}  // namespace siglane::load
