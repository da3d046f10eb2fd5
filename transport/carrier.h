#pragma once
#include <memory>

#include "core/transport.h"
#include "transport/peeling/policy.h"

namespace siglane::transport {

class TlsContext;

// A transport of one kind, as a TransportSet has it: what a node that runs may change. On the
// loop's thread, like all of Transport; what there is to tell comes from the loop.
class Carrier : public Transport {
 public:
  // As TransportSet::reconfigure(). An endpoint that is not open here is left alone.
  virtual void reconfigure(EndpointId endpoint, const EndpointConfig& config,
                           std::shared_ptr<const TlsContext> loaded) = 0;
  virtual void reconfigure(const PeeloffLimits& limits) = 0;
  // What an open endpoint has now. Precondition: it is open here.
  virtual const EndpointConfig& config(EndpointId endpoint) const = 0;
};

}  // namespace siglane::transport
