#include "transport/transport_set.h"

#include <algorithm>
#include <cstring>

#include "transport/sctp/kernel/socket.h"
#include "transport/sctp/kernel/transport.h"
#include "transport/sctp/usrsctp/transport.h"
#include "transport/stream/transport.h"

namespace siglane::transport {
namespace {

constexpr const char* kNoKernelSctp = "this kernel has no SCTP";

}  // namespace

Result<ResolvedTransport> resolve_transport(const EndpointConfig& endpoint, bool (*kernel_has)()) {
  const std::string where = "endpoint " + endpoint.name + ": ";
  switch (endpoint.transport) {
    case TransportKind::tcp:
      return ResolvedTransport{TransportKind::tcp, {}};
    case TransportKind::tls:
      if (endpoint.tls) return ResolvedTransport{TransportKind::tls, {}};
      return failure(where + "transport tls needs \"tls\": certificate, key and ca");
    case TransportKind::simulated:
      return failure(where + "a simulated transport exists only in tests");
    case TransportKind::kernel_sctp:
      if (kernel_has()) return ResolvedTransport{TransportKind::kernel_sctp, {}};
      return failure(where + kNoKernelSctp + "; load it (modprobe sctp), or use transport usrsctp");
    case TransportKind::usrsctp:
      if (endpoint.udp_encapsulation_port != 0) {
        return ResolvedTransport{TransportKind::usrsctp, {}};
      }
      return failure(where + "transport usrsctp needs udp_encapsulation.local_port (RFC 6951)");
    case TransportKind::sctp:
      if (kernel_has()) return ResolvedTransport{TransportKind::kernel_sctp, {}};
      if (endpoint.udp_encapsulation_port != 0) {
        return ResolvedTransport{
            TransportKind::usrsctp,
            where + kNoKernelSctp + ", so SCTP runs in this process (usrsctp) over UDP port " +
                std::to_string(endpoint.udp_encapsulation_port) + " (RFC 6951)"};
      }
      return failure(where + kNoKernelSctp +
                     "; load it (modprobe sctp), or give the endpoint a "
                     "udp_encapsulation.local_port to run SCTP in the process (usrsctp)");
  }
  return failure(where + "unknown transport");
}

Result<ResolvedTransport> resolve_transport(const EndpointConfig& endpoint) {
  return resolve_transport(endpoint, kernel_has_sctp);
}

std::string tune_kernel() {
  const auto policy = sndbuf_policy();
  if (!policy || *policy != 0) return {};
  if (const int error = set_sndbuf_policy(1); error != 0) {
    return std::string("net.sctp.sndbuf_policy stays 0 (") + std::strerror(error) +
           "); set it as root: sysctl -w net.sctp.sndbuf_policy=1";
  }
  return "net.sctp.sndbuf_policy was 0 and is 1 from now on, in this network namespace";
}

std::size_t sockets_wanted(std::size_t associations) {
  constexpr std::size_t kEach = 250, kMost = 24;
  if (sndbuf_policy().value_or(1) != 0) return 1;
  return std::clamp<std::size_t>((associations + kEach - 1) / kEach, 1, kMost);
}

TransportSet::TransportSet(Loop& loop, BufferPool& buffers, Counters& counters,
                           TransportOptions options)
    : loop_(loop),
      buffers_(buffers),
      counters_(counters),
      options_(options),
      soon_(loop.soon([this] { tell_notices(); })) {}

TransportSet::~TransportSet() = default;

template <class Kind, class... Options>
Carrier& TransportSet::make(std::unique_ptr<Kind>& carrier, Options... options) {
  if (!carrier) {
    carrier = std::make_unique<Kind>(loop_, buffers_, counters_, options...);
    carrier->set_sink(*sink_);
    carriers_.push_back(carrier.get());
  }
  return *carrier;
}

// Of a resolved kind.
Carrier& TransportSet::carrier_for(TransportKind kind) {
  const SctpTransportOptions sctp{.peeloff = options_.peeloff, .peeled = options_.peeled};
  if (kind == TransportKind::kernel_sctp) return make(sctp_, sctp);
  if (kind == TransportKind::usrsctp) return make(usrsctp_, sctp);
  return make(stream_);
}

Result<EndpointId> TransportSet::open(const EndpointConfig& endpoint, const Framing& framing) {
  auto resolved = resolve_transport(endpoint);
  if (!resolved) return tl::unexpected(resolved.error());
  Carrier& carrier = carrier_for(resolved->kind);
  auto id = carrier.open(endpoint, framing);
  if (!id) return id;
  endpoints_[*id] = &carrier;
  if (!resolved->notice.empty()) {
    notices_.push_back(resolved->notice);
    soon_.schedule();
  }
  return id;
}

void TransportSet::tell_notices() {
  for (const std::string& text : std::exchange(notices_, {})) {
    sink_->on_fact(AssociationId::none, notice(text), loop_.now());
  }
}

AssociationId TransportSet::connect(EndpointId local, const PeerConfig& peer) {
  return endpoints_.at(local)->connect(local, peer);
}

// A node has one or two carriers, so asking each is cheaper than a table of all associations.
Carrier* TransportSet::carrier_of(AssociationId id) const {
  for (Carrier* carrier : carriers_) {
    if (carrier->find(id) != nullptr) return carrier;
  }
  return nullptr;
}

Association* TransportSet::find(AssociationId id) {
  for (Carrier* carrier : carriers_) {
    if (Association* association = carrier->find(id)) return association;
  }
  return nullptr;
}

void TransportSet::bind(AssociationId id, const PeerConfig& peer) {
  if (Carrier* carrier = carrier_of(id)) carrier->bind(id, peer);
}

DetachOutcome TransportSet::detach(AssociationId id) {
  Carrier* carrier = carrier_of(id);
  return carrier == nullptr ? DetachOutcome{Gone{}} : carrier->detach(id);
}

void TransportSet::adopt(std::unique_ptr<DetachedAssociation> cargo) {
  carrier_for(SctpTransportBase::kind_of(*cargo).value_or(TransportKind::tcp))
      .adopt(std::move(cargo));
}

Seat TransportSet::seat(AssociationId id) const {
  const Carrier* carrier = carrier_of(id);
  return carrier == nullptr ? Seat::bound : carrier->seat(id);
}

void TransportSet::pause_input(AssociationId id) {
  if (Carrier* carrier = carrier_of(id)) carrier->pause_input(id);
}

void TransportSet::resume_input(AssociationId id) {
  if (Carrier* carrier = carrier_of(id)) carrier->resume_input(id);
}

void TransportSet::reconfigure(EndpointId endpoint, const EndpointConfig& config,
                               std::shared_ptr<const TlsContext> loaded) {
  const auto open = endpoints_.find(endpoint);
  if (open != endpoints_.end()) open->second->reconfigure(endpoint, config, std::move(loaded));
}

void TransportSet::reconfigure(const PeeloffLimits& limits) {
  options_.peeloff = limits;
  for (Carrier* carrier : carriers_) carrier->reconfigure(limits);
}

void TransportSet::use_credentials(EndpointId endpoint, std::shared_ptr<const TlsContext> loaded) {
  const auto open = endpoints_.find(endpoint);
  if (open == endpoints_.end()) return;
  const EndpointConfig config = open->second->config(endpoint);
  open->second->reconfigure(endpoint, config, std::move(loaded));
}

std::optional<AssociationStatus> TransportSet::status(AssociationId id) const {
  const Carrier* carrier = carrier_of(id);
  return carrier == nullptr ? std::nullopt : carrier->status(id);
}

const Histogram* TransportSet::residence(AssociationId id) const {
  const Carrier* carrier = carrier_of(id);
  return carrier == nullptr ? nullptr : carrier->residence(id);
}

}  // namespace siglane::transport
