#pragma once
#include <functional>

#include "apps/runtime/admin/messages.h"
#include "apps/runtime/wall_time.h"
#include "core/shard.h"
#include "core/transport.h"

namespace siglane::runtime {

class Node;

// The node's answer to one request, given to `reply` once every shard that has part in it has said
// its part. On the node's thread, and so is the reply.
void answer_admin(Node& node, const admin::Request& request,
                  std::function<void(admin::Response)> reply);

// One row of it: what the shard, the session and the transport know of an association.
admin::Association admin_association(const SessionView& view, ShardId shard,
                                     const Transport& transport, const WallClock& time);

}  // namespace siglane::runtime
