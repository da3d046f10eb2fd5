#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "transport/secure/tls_context.h"

namespace siglane::transport {

// What becomes of an open endpoint's config by another one.
struct ReconfiguredEndpoint {
  EndpointConfig config;
  std::shared_ptr<const TlsContext> tls;  // null: in clear
  // Why the certificates of before stay, and all else of `tls` with them; empty: those of `config`
  // are in use.
  std::string problem;
  std::vector<std::string> news;  // of new certificates, for the operator
};
// `open` with what may change while it is open as `changed` has it: associations_max, limits, sctp,
// stream, and of `tls` all but require_sctp_auth, which is a property of the open socket. Whether
// there is `tls` does not change either. `loaded`: what whoever asks has made of the files, and has
// warned of; null: they are read here, even if nothing differs.
ReconfiguredEndpoint reconfigured(const EndpointConfig& open, std::shared_ptr<const TlsContext> tls,
                                  const EndpointConfig& changed,
                                  std::shared_ptr<const TlsContext> loaded = nullptr);

}  // namespace siglane::transport
