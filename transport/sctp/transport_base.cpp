#include "transport/sctp/transport_base.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "transport/counters.h"
#include "transport/endpoint_config.h"

namespace siglane::transport {
namespace {

constexpr Duration kTick = 250ms;
// How long a graceful close may take before it becomes an abort: a peer that does not read would
// hold it up for as long as it answers probes of its closed window. And how long the stack may take
// to tell that an abort was carried out.
constexpr Duration kCloseTimeout = 5s;

DownCause cause_of_connect_error(int error) {
  switch (error) {
    case EISCONN:
    case EALREADY:
      return DownCause::already_connected;
    case ECONNREFUSED:
      return DownCause::refused;
    default:
      return DownCause::unreachable;
  }
}

}  // namespace

SctpTransportBase::SctpTransportBase(Loop& loop, BufferPool& buffers, Counters& counters,
                                     TransportKind kind, SctpTransportOptions options)
    : loop_(loop),
      buffers_(buffers),
      counters_(counters),
      options_(std::move(options)),
      kind_(kind),
      soon_(loop.soon([this] { attend(); })),
      tick_(loop.timer([this] { tick(); })) {}

std::optional<AssociationStatus> SctpTransportBase::status(AssociationId id) const {
  const SctpAssociationBase* association = find_association(id);
  if (association == nullptr) return std::nullopt;
  return association->status();
}

const Histogram* SctpTransportBase::residence(AssociationId id) const {
  const SctpAssociationBase* association = find_association(id);
  if (association == nullptr || association->residence.count() == 0) return nullptr;
  return &association->residence;
}

std::size_t SctpTransportBase::partial_bytes(AssociationId id) const {
  const SctpAssociationBase* association = find_association(id);
  return association == nullptr ? 0 : association->reassembly.bytes();
}

// --- Endpoints --------------------------------------------------------------------------------

void SctpTransportBase::keep(std::shared_ptr<const SctpEndpoint> endpoint, bool speaks) {
  if (speaks && endpoint->tls != nullptr) {
    tell_of(*endpoint, endpoint->tls->notices("DTLS over SCTP with the "));
  }
  const EndpointId id = endpoint->id;
  open_.emplace(id, Open{std::move(endpoint), speaks});
}

void SctpTransportBase::reconfigure(EndpointId id, const EndpointConfig& config,
                                    std::shared_ptr<const TlsContext> loaded) {
  const auto found = open_.find(id);
  if (found == open_.end()) return;
  const auto next = renewed(found->second, config, std::move(loaded));
  set_socket_options(*next);
  found->second.endpoint = next;
  for (auto& [of, association] : associations_) {
    if (association->endpoint().id == id) association->follow(next);
  }
}

std::shared_ptr<SctpEndpoint> SctpTransportBase::renewed(const Open& open,
                                                         const EndpointConfig& config,
                                                         std::shared_ptr<const TlsContext> loaded) {
  const SctpEndpoint& endpoint = *open.endpoint;
  ReconfiguredEndpoint next =
      reconfigured(endpoint.config, endpoint.tls, config, std::move(loaded));
  if (!next.problem.empty()) {
    tell_of(endpoint, next.problem, Severity::warning);
  } else if (open.speaks) {
    tell_of(endpoint, next.news);
  }
  return endpoint.with(std::move(next.config), std::move(next.tls));
}

void SctpTransportBase::tell_of(const SctpEndpoint& endpoint, const std::string& text,
                                Severity severity) {
  tell(AssociationId::none, notice("endpoint " + endpoint.config.name + ": " + text, severity));
}

void SctpTransportBase::tell_of(const SctpEndpoint& endpoint,
                                const std::vector<std::string>& texts) {
  for (const std::string& text : texts) tell_of(endpoint, text);
}

void SctpTransportBase::tell_unset(const SctpEndpoint& endpoint, const OptionOutcome& outcome) {
  if (outcome.error == 0) return;
  tell_of(endpoint,
          "not all of its new SCTP options could be set: " + std::string(outcome.which) + ": " +
              std::strerror(outcome.error),
          Severity::warning);
}

// --- Associations -----------------------------------------------------------------------------

AssociationId SctpTransportBase::connect(EndpointId local, const PeerConfig& peer) {
  const AssociationId id = next_association_id();
  const auto fail = [&](DownCause cause, std::string detail) {
    soon([this, id, down = AssociationDown{cause, std::move(detail)}] { emit(id, down); });
    return id;
  };
  if (!open_.contains(local)) return fail(DownCause::unreachable, "no such endpoint");
  auto addresses = parse_all(peer.addresses, peer.port);
  if (!addresses) return fail(DownCause::unreachable, addresses.error().what);
  if (addresses->empty()) return fail(DownCause::unreachable, "no address to connect to");
  const std::string where = joined(*addresses);
  const Connected connected = connect_from(local, id, peer, std::move(*addresses));
  if (!connected.missing.empty()) return fail(DownCause::unreachable, connected.missing);
  if (connected.association == nullptr) {
    const DownCause cause = cause_of_connect_error(connected.error);
    // Whether that is up or on its way.
    const int error = cause == DownCause::already_connected ? EISCONN : connected.error;
    return fail(cause, where + ": " + std::strerror(error));
  }
  SctpAssociationBase& association = *connected.association;
  association.initiator = true;
  association.connecting = std::make_unique<SctpAssociationBase::Connecting>(
      SctpAssociationBase::Connecting{peer.name, peer.identity(), loop_.now(), connected.patience});
  association.placement = peer.placement;
  follow_peer(association, peer, false);
  return id;
}

void SctpTransportBase::bind(AssociationId id, const PeerConfig& peer) {
  SctpAssociationBase* association = find_association(id);
  if (association == nullptr) return;
  association->placement = peer.placement;
  follow_peer(*association, peer, true);
  pin(*association);
}

SctpAssociationBase& SctpTransportBase::keep(std::unique_ptr<SctpAssociationBase> association) {
  ++association->endpoint().config.pool->associations;
  keep_ticking();
  const AssociationId id = association->id();
  return *associations_.emplace(id, std::move(association)).first->second;
}

std::unique_ptr<SctpAssociationBase> SctpTransportBase::remove(AssociationId id) {
  const auto found = associations_.find(id);
  std::unique_ptr<SctpAssociationBase> owned = std::move(found->second);
  associations_.erase(found);
  deadlines_.erase(id);
  --owned->endpoint().config.pool->associations;
  forget(*owned);
  return owned;
}

// --- The turn of the loop ---------------------------------------------------------------------

void SctpTransportBase::soon(std::function<void()> what) {
  later_.push_back(std::move(what));
  soon_.schedule();
}

void SctpTransportBase::tell(AssociationId about, Fact fact) {
  soon([this, about, fact = std::move(fact)] { sink_->on_fact(about, fact, loop_.now()); });
}

void SctpTransportBase::attend() {
  for (const auto& what : std::exchange(later_, {})) what();
  peel_pinned();
  end_of_turn();
}

void SctpTransportBase::congestion_changed(SctpAssociationBase& association) {
  soon([this, id = association.id()] {
    SctpAssociationBase* changed = find_association(id);
    if (changed == nullptr) return;
    if (auto now = changed->queue.congestion_change()) emit(id, AssociationCongestion{*now});
  });
}

void SctpTransportBase::flush_dirty() {
  // flush() may make its association dirty once more (DTLS): that is for the next time. The vector
  // is not taken away, so that it keeps its memory.
  const std::size_t count = dirty_.size();
  for (std::size_t i = 0; i < count; ++i) {
    SctpAssociationBase* association = find_association(dirty_[i]);
    if (association == nullptr) continue;
    association->dirty = false;
    if (!association->blocked) association->flush();
  }
  dirty_.erase(dirty_.begin(), dirty_.begin() + static_cast<std::ptrdiff_t>(count));
}

// --- Time -------------------------------------------------------------------------------------

void SctpTransportBase::keep_ticking() {
  if (tick_.active()) return;
  last_sample_ = loop_.now();
  tick_.start_after(std::min(kTick, options_.sample_interval));
}

void SctpTransportBase::tick() {
  const Instant now = loop_.now();
  end_overdue(now);
  look_at_all(now);
  if (!associations_.empty()) tick_.start_after(std::min(kTick, options_.sample_interval));
}

void SctpTransportBase::entered(SctpAssociationBase& association) {
  using Phase = SctpAssociationBase::Phase;
  const AssociationId id = association.id();
  switch (association.phase()) {
    case Phase::securing:
      deadlines_[id] = loop_.now() + association.endpoint().config.sctp.handshake_timeout;
      return;
    case Phase::draining:
    case Phase::shutting_down:
    case Phase::both_closing:
      deadlines_.try_emplace(id, loop_.now() + kCloseTimeout);
      return;
    case Phase::aborting:
      deadlines_[id] = loop_.now() + kCloseTimeout;
      return;
    case Phase::connecting:
    case Phase::up:
    case Phase::peer_closing:
    case Phase::over:
      deadlines_.erase(id);
      return;
  }
}

// What does not come to its end is ended: first by ABORT, then without the stack.
void SctpTransportBase::end_overdue(Instant now) {
  using Phase = SctpAssociationBase::Phase;
  std::vector<AssociationId> overdue;
  for (const auto& [id, until] : deadlines_) {
    if (until <= now) overdue.push_back(id);
  }
  for (const AssociationId id : overdue) {
    SctpAssociationBase* association = find_association(id);
    if (association == nullptr) continue;
    if (association->phase() == Phase::securing) {
      association->security_failed("no handshake within handshake_timeout_ms");
    } else if (association->phase() == Phase::aborting) {
      association->ended(DownCause::local_close, {});
      finish(id);
    } else {
      association->fail(DownCause::local_close, "the peer did not take the rest in time");
    }
  }
}

}  // namespace siglane::transport
