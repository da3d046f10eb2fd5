#include "transport/endpoint_config.h"

#include <utility>

namespace siglane::transport {

ReconfiguredEndpoint reconfigured(const EndpointConfig& open, std::shared_ptr<const TlsContext> tls,
                                  const EndpointConfig& changed) {
  ReconfiguredEndpoint next{open, std::move(tls), {}};
  next.config.associations_max = changed.associations_max;
  next.config.limits = changed.limits;
  next.config.sctp = changed.sctp;
  next.config.stream = changed.stream;
  if (next.tls == nullptr || !changed.tls) return next;

  TlsConfig wanted = *changed.tls;
  wanted.require_sctp_auth = open.tls->require_sctp_auth;
  auto loaded = TlsContext::load(wanted, next.tls->mode());
  if (!loaded) {
    next.problem = "kept the certificate it had: " + loaded.error().what;
    return next;
  }
  next.tls = std::move(*loaded);
  next.config.tls = std::move(wanted);
  return next;
}

}  // namespace siglane::transport
