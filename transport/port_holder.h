#pragma once
#include <optional>
#include <string>

#include <sys/types.h>

#include "transport/address.h"

namespace siglane::transport {

enum class PortProtocol { tcp, udp, sctp };

// Who is bound to a port that was asked for.
struct PortHolder {
  pid_t pid = 0;  // 0: the kernel itself
  std::string program;
};

// The holder of a socket that receives at `local` (of TCP and SCTP: that listens), also by a
// wildcard address. Reads /proc, which shows the sockets of other users' programs only to root; and
// reads a line for every descriptor on the machine, so this is for error texts only.
std::optional<PortHolder> port_holder(PortProtocol protocol, const SocketAddress& local);

// As ps(1) names it, in printable characters; empty if there is no such process.
std::string program_name(pid_t pid);

// To follow "Address already in use": " (siglane-stp, process 4711, has it)".
std::string in_use_by(PortProtocol protocol, const SocketAddress& local);

}  // namespace siglane::transport
