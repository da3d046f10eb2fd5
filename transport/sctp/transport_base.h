#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "transport/carrier.h"
#include "transport/loop/loop.h"
#include "transport/sctp/association_base.h"
#include "transport/socket_option.h"

namespace siglane::transport {

// A transport on either SCTP stack, as far as they are alike: what it tells of its endpoints, of
// what its associations have received, and of their end; and how a peel is decided on and told.
class SctpTransportBase : public Carrier {
 public:
  // Before the loop runs; must outlive the transport.
  void set_sink(TransportSink& sink) { sink_ = &sink; }

  void reconfigure(const PeeloffLimits& limits) final;
  using Carrier::reconfigure;

  const Histogram* residence(AssociationId id) const final;
  // Bytes of half-received messages of one association.
  std::size_t partial_bytes(AssociationId id) const;

 protected:
  SctpTransportBase(Loop& loop, BufferPool& buffers, Counters& counters,
                    const PeeloffLimits& peeloff)
      : loop_(loop), buffers_(buffers), counters_(counters), peeloff_(peeloff) {}

  void emit(AssociationId id, AssociationEvent event) {
    sink_->on_event(id, std::move(event), loop_.now());
  }
  // Soon.
  virtual void tell(AssociationId about, Fact fact) = 0;
  void tell_of(const SctpEndpoint& endpoint, const std::string& text,
               Severity severity = Severity::info);
  void tell_of(const SctpEndpoint& endpoint, const std::vector<std::string>& texts);
  void tell_unset(const SctpEndpoint& endpoint, const OptionOutcome& outcome);
  // An open endpoint with what may change of it. What comes of its certificates is told: success
  // only if it `speaks` for the endpoint's other shards.
  std::shared_ptr<SctpEndpoint> renewed(const SctpEndpoint& open, const EndpointConfig& config,
                                        std::shared_ptr<const TlsContext> loaded, bool speaks);
  // A peer that is to have a socket of its own need not wait for the next look at all associations:
  // peel_pinned() comes soon.
  void pin(const SctpAssociationBase& association);
  void peel_pinned();
  bool peel(const PeeloffDecision& decision);
  // Of a look at all associations: who has earned a socket, too.
  void tell_starved(std::size_t associations);
  const PeeloffLimits& peeloff() const { return peeloff_; }

  // A whole message, as the stack had it. Whoever hears of it may take the association away.
  void take_whole(SctpAssociationBase& association, Message&& message);
  // All that its channel has to say. Whoever hears it may take the association away: what it has
  // not said yet goes along.
  void read_sealed(AssociationId id);
  void refuse_oversized(SctpAssociationBase& association);
  // At its end: what was not sent, and then that it is over.
  void tell_unsent(SctpAssociationBase& ended);
  void tell_down(const SctpAssociationBase& ended);

  Loop& loop_;
  BufferPool& buffers_;
  Counters& counters_;
  TransportSink* sink_ = nullptr;

 private:
  virtual SctpAssociationBase* find_association(AssociationId id) const = 0;
  // The end of this turn is to come, and with it peel_pinned().
  virtual void attend_soon() = 0;
  // Sockets given so far, by all that share peeled_max.
  virtual std::size_t peeled_now() const = 0;
  // Its channel is open.
  virtual void tell_secured(SctpAssociationBase& association) = 0;

  void deliver(SctpAssociationBase& association, Message&& message);
  void starve(AssociationId id, std::string why);

  PeeloffLimits peeloff_;
  std::vector<AssociationId> pinned_;  // to be peeled off
  bool starved_ = false;               // and told
};

}  // namespace siglane::transport
