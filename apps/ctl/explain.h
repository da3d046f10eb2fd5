#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/ctl/node_link.h"
#include "core/result.h"
#include "core/time.h"

namespace siglane::ctl {

// What one node has under a name: a peer, an Application Server, or both; or under a number: an
// association.
struct Findings {
  std::string node;
  std::int64_t now_unix_ms = 0;
  std::optional<admin::Peer> peer = {};
  std::optional<admin::ApplicationServer> server = {};
  std::vector<admin::Association> associations = {};  // the peer's, or the one
};

// Asks the node. An error: it does not answer, or has nothing under that name.
Result<Findings> find(NodeLink& node, const std::string& name, Duration timeout);

// In sentences: what it is, how it stands and since when, the last cause, and what would bring it
// up. Pure.
std::string explanation(const Findings& findings);

}  // namespace siglane::ctl
