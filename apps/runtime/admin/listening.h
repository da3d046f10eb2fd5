#pragma once
#include <optional>
#include <string>

#include <sys/types.h>

#include "core/result.h"
#include "transport/address.h"

// Sockets that listen for clients of the admin API. Each error names the socket and what to do.
namespace siglane::runtime {

// A Unix socket at `path`, for its owner, and `group` if there is one. A socket file that nobody
// answers is taken over; one that somebody answers, or any other file, is left alone.
Result<int> listen_at(const std::string& path, std::optional<gid_t> group);
// TCP.
Result<int> listen_on(const transport::SocketAddress& address);

// No such group is an error.
Result<gid_t> group_called(const std::string& name);

}  // namespace siglane::runtime
