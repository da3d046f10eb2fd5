#include "transport/endpoint_config.h"

#include <utility>

namespace siglane::transport {

ReconfiguredEndpoint reconfigured(const EndpointConfig& open, std::shared_ptr<const TlsContext> tls,
                                  const EndpointConfig& changed,
                                  std::shared_ptr<const TlsContext> loaded) {
  ReconfiguredEndpoint next{open, std::move(tls), {}, {}};
  next.config.associations_max = changed.associations_max;
  next.config.limits = changed.limits;
  next.config.sctp = changed.sctp;
  next.config.stream = changed.stream;
  if (next.tls == nullptr || !changed.tls) return next;

  constexpr const char* kNews = "from now on the ";
  TlsConfig wanted = *changed.tls;
  wanted.require_sctp_auth = open.tls->require_sctp_auth;
  if (loaded != nullptr) {
    next.news = {kNews + loaded->summary()};
    next.tls = std::move(loaded);
  } else {
    auto read = TlsContext::load(wanted, next.tls->mode());
    if (!read) {
      next.problem = "kept the certificate it had: " + read.error().what;
      return next;
    }
    next.tls = std::move(*read);
    next.news = next.tls->notices(kNews);
  }
  next.config.tls = std::move(wanted);
  return next;
}

}  // namespace siglane::transport
