#pragma once
#include <cstddef>
#include <optional>
#include <vector>

#include "core/bytes.h"

struct ssl_st;

namespace siglane::transport {

// The plaintext of an application data record that `ssl` itself has sealed, by DTLS 1.2 with an
// AEAD cipher (GCM or ChaCha20, see TlsContext). OpenSSL can open only what the peer sealed; but
// what an SCTP stack could not send comes back as it was given to it, and is wanted in clear.
// Nothing: it is no such record.
std::optional<std::vector<std::byte>> open_own_record(const ssl_st* ssl, Bytes record);

}  // namespace siglane::transport
