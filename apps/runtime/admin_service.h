#pragma once
#include "apps/runtime/admin_frame.h"
#include "core/protocol.h"
#include "core/shard.h"
#include "core/time.h"
#include "core/transport.h"

namespace siglane::runtime {

class Node;

// The node's answer to one request. On the node's thread.
admin::Response answer_admin(const Node& node, const admin::Request& request, Instant now);

// One row of it: what the shard, the session and the transport know of an association.
admin::Association admin_association(const SessionView& view, ShardId shard,
                                     const Transport& transport, Instant now);

}  // namespace siglane::runtime
