#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "apps/runtime/credentials.h"
#include "apps/runtime/node.h"
#include "core/revision.h"

namespace siglane::runtime {

// All that a node needs of its next revision, made beside its loops (Node::build_revision). Once
// the node follows it, it holds what it has replaced.
struct Node::NextRevision {
  std::shared_ptr<const NodeConfig> config;
  Credentials credentials;
  std::function<void(const ShardSetUp&)> on_shard;
  Revised revised;
  std::size_t next_link = 0;
  std::unordered_map<std::string, std::int64_t> peers_added_unix_ms;
};

}  // namespace siglane::runtime
