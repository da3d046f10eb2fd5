#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/counters.h"
#include "core/transport.h"
#include "transport/loop/loop.h"
#include "transport/peeling/policy.h"

namespace siglane::transport {

class Carrier;
class SctpTransport;
class StreamTransport;
class TlsContext;
class UsrsctpTransport;

struct TransportOptions {
  PeeloffLimits peeloff;
  // Sockets given so far, by all sets that share this.
  std::shared_ptr<std::atomic<std::size_t>> peeled = std::make_shared<std::atomic<std::size_t>>(0);
};

// Which transport an endpoint gets, and what the operator should know about that choice.
struct ResolvedTransport {
  TransportKind kind{};
  std::string notice;  // empty: as configured
};
// `sctp` is kernel SCTP where the kernel has it, else usrsctp where the endpoint has a UDP port for
// it; the error names both ways out. `kernel_sctp` is asked only for endpoints that could use it.
Result<ResolvedTransport> resolve_transport(const EndpointConfig& endpoint,
                                            bool (*kernel_has_sctp)());
// On this machine.
Result<ResolvedTransport> resolve_transport(const EndpointConfig& endpoint);

// Every message costs the kernel time in proportion to the associations on its socket, as long as
// net.sctp.sndbuf_policy is 0. Sets it to 1, for all sockets that are opened from now on in this
// network namespace; says what came of it, or nothing where there is nothing to do.
std::string tune_kernel();
// How many shared sockets an endpoint should have for so many associations, as the kernel is now.
std::size_t sockets_wanted(std::size_t associations);

// All transports of one loop as one. Each is made when the first endpoint needs it.
class TransportSet final : public Transport {
 public:
  // All must outlive the set. set_sink() before anything else.
  TransportSet(Loop& loop, BufferPool& buffers, Counters& counters, TransportOptions options = {});
  ~TransportSet() override;
  void set_sink(TransportSink& sink) { sink_ = &sink; }

  Result<EndpointId> open(const EndpointConfig& endpoint, const Framing& framing) override;
  AssociationId connect(EndpointId local, const PeerConfig& peer) override;
  Association* find(AssociationId id) override;
  void bind(AssociationId id, const PeerConfig& peer) override;
  DetachOutcome detach(AssociationId id) override;
  void adopt(std::unique_ptr<DetachedAssociation> cargo) override;
  Seat seat(AssociationId id) const override;
  void pause_input(AssociationId id) override;
  void resume_input(AssociationId id) override;

  // What an endpoint has otherwise than when it was opened. One that is not open here is left
  // alone.
  //   associations_max, limits   at once, also of associations that exist
  //   sctp                       buffers and nodelay at once on shared sockets; all else of
  //                              associations to come
  //   stream                     of what begins from now on
  //   tls                        of handshakes to come, by what was made of the files already, if
  //                              that is given (`loaded`). Else they are read, even if nothing
  //                              differs; if they cannot be used, the old ones stay. A Notice says
  //                              what came of it.
  // All else is fixed while the endpoint is open, whatever `config` says: also whether it has tls,
  // and require_sctp_auth. Messages that wait stay, and what is peeled stays peeled.
  void reconfigure(EndpointId endpoint, const EndpointConfig& config,
                   std::shared_ptr<const TlsContext> loaded = nullptr);
  // What earns a socket of its own from now on. What is peeled stays peeled.
  void reconfigure(const PeeloffLimits& limits);
  // reconfigure() with the config that it has. Does nothing if it is not open here.
  void use_credentials(EndpointId endpoint, std::shared_ptr<const TlsContext> loaded);
  std::optional<AssociationStatus> status(AssociationId id) const override;
  const Histogram* residence(AssociationId id) const override;

 private:
  Carrier& carrier_for(TransportKind kind);
  template <class Kind, class... Options>
  Carrier& make(std::unique_ptr<Kind>& carrier, Options... options);
  Carrier* carrier_of(AssociationId id) const;
  void tell_notices();

  Loop& loop_;
  BufferPool& buffers_;
  Counters& counters_;
  TransportOptions options_;
  TransportSink* sink_ = nullptr;
  std::unique_ptr<StreamTransport> stream_;
  std::unique_ptr<SctpTransport> sctp_;
  std::unique_ptr<UsrsctpTransport> usrsctp_;
  std::vector<Carrier*> carriers_;  // those that exist
  std::unordered_map<EndpointId, Carrier*> endpoints_;
  std::vector<std::string> notices_;
  Soon soon_;
};

}  // namespace siglane::transport
