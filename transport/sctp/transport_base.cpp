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
                                                         bool speaks) {
  ReconfiguredEndpoint next = reconfigured(open.config, open.tls, config);
  if (!next.problem.empty()) {
    tell_of(open, next.problem);
  } else if (speaks && next.tls != open.tls) {
    tell_of(open, next.tls->notices("from now on the "));
  }
  return open.with(std::move(next.config), std::move(next.tls));
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
