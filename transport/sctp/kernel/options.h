#pragma once
#include "core/config.h"
#include "transport/address.h"
#include "transport/sctp/notification.h"
#include "transport/socket_option.h"

namespace siglane::transport {

// SctpAssociationOptions as options of the kernel's sockets. They belong to an association, so it
// keeps them when it is peeled off.

// What has to be known before there is an association: streams, attempts, timeouts. For all that
// `fd` connects to, or accepts, from now on.
[[nodiscard]] OptionOutcome set_init_options(int fd, const SctpAssociationOptions& options);

// All the rest, of association `id`, or, if that is 0, of those to come.
[[nodiscard]] OptionOutcome set_association_options(int fd, SctpId id,
                                                    const SctpAssociationOptions& options);

// RFC 6458 §8.1.10. `path` is one of the peer's addresses, with its port. An errno value.
[[nodiscard]] int set_primary_path(int fd, SctpId id, const SocketAddress& path);
// Whether nothing was ever heard from that address of the peer's.
bool path_unconfirmed(int fd, SctpId id, const SocketAddress& path);

}  // namespace siglane::transport
