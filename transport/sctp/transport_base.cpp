#include "transport/sctp/transport_base.h"

#include <cstring>
#include <string>

#include "transport/counters.h"
#include "transport/endpoint_config.h"
#include "transport/transport_facts.h"

namespace siglane::transport {

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

std::shared_ptr<SctpEndpoint> SctpTransportBase::renewed(const SctpEndpoint& open,
                                                         const EndpointConfig& config,
                                                         std::shared_ptr<const TlsContext> loaded,
                                                         bool speaks) {
  ReconfiguredEndpoint next = reconfigured(open.config, open.tls, config, std::move(loaded));
  if (!next.problem.empty()) {
    tell_of(open, next.problem, Severity::warning);
  } else if (speaks) {
    tell_of(open, next.news);
  }
  return open.with(std::move(next.config), std::move(next.tls));
}

// --- Peeling ----------------------------------------------------------------------------------

void SctpTransportBase::reconfigure(const PeeloffLimits& limits) {
  peeloff_ = limits;
  starved_ = false;  // by other limits
}

void SctpTransportBase::pin(const SctpAssociationBase& association) {
  if (association.placement != Placement::always_peeled || association.peeled()) return;
  pinned_.push_back(association.id());
  attend_soon();
}

void SctpTransportBase::peel_pinned() {
  for (const AssociationId id : std::exchange(pinned_, {})) {
    const SctpAssociationBase* association = find_association(id);
    if (association == nullptr || association->peeled() || !association->can_move()) continue;
    PeeloffSample sample = association->sample_of_traffic(loop_.now());
    const PeeloffChoice choice = choose_peeloffs({&sample, 1}, {}, peeloff_, peeled_now());
    for (const PeeloffDecision& decision : choice.chosen) peel(decision);
    // If there is no room now, the next look at all associations finds it again.
  }
}

bool SctpTransportBase::peel(const PeeloffDecision& decision) {
  SctpAssociationBase* association = find_association(decision.id);
  if (association == nullptr || association->peeled()) return false;
  const TrafficRates rates = association->meter.rates();
  const std::uint64_t bytes_held = association->held_bytes();
  DetachOutcome outcome = detach(decision.id);
  if (auto* starved = std::get_if<Starved>(&outcome)) starve(decision.id, starved->why);
  auto* done = std::get_if<Peeled>(&outcome);
  if (done == nullptr) return false;
  adopt(std::move(done->cargo));
  counters_.add(counter::peels);
  starved_ = false;
  const Instant now = loop_.now();
  find_association(decision.id)->peel_record = std::make_unique<SctpAssociationBase::PeelRecord>(
      SctpAssociationBase::PeelRecord{decision.reason, now, rates.messages()});
  sink_->on_fact(decision.id, association_peeled(decision.reason, rates, bytes_held, peeled_now()),
                 now);
  return true;
}

void SctpTransportBase::tell_starved(std::size_t associations) {
  if (associations == 0) return;
  counters_.add(counter::peels_starved, associations);
  if (starved_) return;  // no text at each look that nobody is told
  starve(AssociationId::none,
         "peeled_max (" + std::to_string(peeloff_.peeled_max) + ") is reached, and " +
             std::to_string(associations) +
             (associations == 1 ? " more association qualifies for a socket of its own"
                                : " more associations qualify for a socket of their own") +
             ": raise peeled_max");
}

// Said once, until a peel succeeds again.
void SctpTransportBase::starve(AssociationId id, std::string why) {
  if (std::exchange(starved_, true)) return;
  sink_->on_fact(id, {kPeeloffStarved, {{"why", std::move(why)}}}, loop_.now());
}

// --- What was received ------------------------------------------------------------------------

void SctpTransportBase::take_whole(SctpAssociationBase& association, Message&& message) {
  if (association.security() == nullptr) return deliver(association, std::move(message));
  association.security()->receive(message);
  read_sealed(association.id());
}

void SctpTransportBase::deliver(SctpAssociationBase& association, Message&& message) {
  association.meter.count_in(message.payload.size());
  message.caused_at = loop_.now();
  emit(association.id(), AssociationReceived{std::move(message)});
}

void SctpTransportBase::read_sealed(AssociationId id) {
  using Phase = SctpAssociationBase::Phase;
  using Event = SctpSecurity::Event;
  for (;;) {
    SctpAssociationBase* association = find_association(id);
    if (association == nullptr || association->phase() == Phase::aborting ||
        association->phase() == Phase::over) {
      return;
    }
    SctpSecurity& security = *association->security();
    Message message;
    switch (security.next(buffers_, message)) {
      case Event::opened:
        association->secured();
        tell_secured(*association);
        break;
      case Event::message:
        if (message.payload.size() > association->endpoint().config.limits.message_bytes_max) {
          return refuse_oversized(*association);
        }
        deliver(*association, std::move(message));
        break;
      case Event::ended:
        return association->peer_said_goodbye();
      case Event::failed:
        return association->security_failed();
      case Event::nothing:
        if (security.has_own_record()) association->flush_soon();
        return;
    }
  }
}

void SctpTransportBase::refuse_oversized(SctpAssociationBase& association) {
  counters_.add(counter::messages_oversized);
  association.fail(DownCause::protocol_error,
                   "a message longer than message_bytes_max (" +
                       std::to_string(association.endpoint().config.limits.message_bytes_max) +
                       ")");
}

// --- Ends -------------------------------------------------------------------------------------

void SctpTransportBase::tell_unsent(SctpAssociationBase& ended) {
  while (!ended.queue.empty()) emit(ended.id(), AssociationUnsent{ended.queue.pop(), false});
}

void SctpTransportBase::tell_down(const SctpAssociationBase& ended) {
  AssociationDown down = ended.down_event();
  if (!ended.was_up() && down.cause == DownCause::tls_failed) {
    counters_.add(counter::tls_handshakes_failed);
  }
  emit(ended.id(), std::move(down));
}

}  // namespace siglane::transport
