#include <cstring>

#include "transport/counters.h"
#include "transport/sctp/transport_base.h"
#include "transport/transport_facts.h"

// SctpTransportBase: who sits where, and why.
namespace siglane::transport {
namespace {

// An association on its way to another loop, or back. Its socket goes along in it.
class SctpCargo final : public DetachedAssociation {
 public:
  SctpCargo(std::unique_ptr<SctpAssociationBase> association, Counters& counters)
      : association_(std::move(association)), counters_(counters) {}
  ~SctpCargo() override {
    if (association_ != nullptr) counters_.add(counter::cargoes_dropped);
  }
  AssociationId id() const override { return id_; }

  TransportKind kind() const { return association_->kind(); }
  std::unique_ptr<SctpAssociationBase> unload() { return std::move(association_); }

 private:
  std::unique_ptr<SctpAssociationBase> association_;  // dropping it aborts it
  AssociationId id_ = association_->id();
  Counters& counters_;
};

}  // namespace

std::optional<TransportKind> SctpTransportBase::kind_of(const DetachedAssociation& cargo) {
  const auto* ours = dynamic_cast<const SctpCargo*>(&cargo);
  return ours == nullptr ? std::nullopt : std::optional(ours->kind());
}

// --- Moving -----------------------------------------------------------------------------------

DetachOutcome SctpTransportBase::detach(AssociationId id) {
  SctpAssociationBase* association = find_association(id);
  if (association == nullptr || !association->can_move()) return Gone{};
  if (association->peeled()) {
    unwatch(*association);
    take_back_socket();
  } else if (auto why_not = peel_off(*association)) {
    return std::move(*why_not);
  }
  return Peeled{std::make_unique<SctpCargo>(remove(id), counters_)};
}

void SctpTransportBase::adopt(std::unique_ptr<DetachedAssociation> cargo) {
  if (kind_of(*cargo) != kind_) return;  // dropping it aborts it
  SctpAssociationBase& association = keep(static_cast<SctpCargo&>(*cargo).unload());
  association.move_to(*this, buffers_);
  if (std::string why = watch(association); !why.empty()) {
    return end_soon(association, DownCause::lost, std::move(why));
  }
  ++peeled_here_;
  ++*options_.peeled;
  const auto open = open_.find(association.endpoint().id);
  if (open != open_.end()) association.follow(open->second.endpoint);
  const bool secure = association.security() != nullptr;
  // What its channel has not said yet.
  if (secure) soon([this, id = association.id()] { read_sealed(id); });
  if (!association.queue.empty() || secure) flush_at_end_of_turn(association);
}

Seat SctpTransportBase::seat(AssociationId id) const {
  const SctpAssociationBase* association = find_association(id);
  if (association == nullptr || !association->can_move()) return Seat::bound;
  return association->peeled() ? Seat::own : Seat::shared;
}

void SctpTransportBase::pause_input(AssociationId id) {
  using Phase = SctpAssociationBase::Phase;
  SctpAssociationBase* association = find_association(id);
  if (association == nullptr || !association->peeled()) return;
  // The end of one that is aborted is to be read.
  if (association->phase() == Phase::aborting || association->phase() == Phase::over) return;
  association->pause_input(true);
}

void SctpTransportBase::resume_input(AssociationId id) {
  SctpAssociationBase* association = find_association(id);
  if (association != nullptr && association->peeled()) association->pause_input(false);
}

// --- Deciding ---------------------------------------------------------------------------------

void SctpTransportBase::reconfigure(const PeeloffLimits& limits) {
  options_.peeloff = limits;
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
    const PeeloffChoice choice = choose_peeloffs({&sample, 1}, {}, peeloff(), peeled_now());
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
         "peeled_max (" + std::to_string(peeloff().peeled_max) + ") is reached, and " +
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

void SctpTransportBase::roll_meter(SctpAssociationBase& association, Instant now,
                                   Duration window_min) {
  association.meter.roll(now, window_min, peeloff().threshold());
  if (association.meter.idle()) association.queue.release_memory();
}

}  // namespace siglane::transport
