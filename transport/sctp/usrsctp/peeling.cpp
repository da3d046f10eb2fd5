#include <utility>

#include "transport/counters.h"
#include "transport/sctp/usrsctp/transport.h"

// UsrsctpTransport: who sits where, and why.
namespace siglane::transport {

std::optional<DetachOutcome> UsrsctpTransport::peel_off(SctpAssociationBase& of) {
  UsrsctpAssociation& association = ours(of);
  int error = 0;
  auto own = association.socket().peel_off(association.stack_id(), error);
  if (!own) {  // ended meanwhile: its last data and its notification wait on the shared socket
    counters_.add(counter::peels_gone);
    return Gone{};
  }
  association.sit_on(std::move(own));
  return std::nullopt;
}

std::string UsrsctpTransport::watch(SctpAssociationBase& of) {
  UsrsctpAssociation& association = ours(of);
  const Source source{association.endpoint().id, association.id()};
  watch(association.socket(), source);
  // What waited in it is delivered next: the stack will not tell of it again.
  association.socket().noted = true;
  readable_.push_back(source);
  attend_soon();
  stack_->give_own_socket(association.path);
  association.pause_input(false);
  return {};
}

void UsrsctpTransport::unwatch(SctpAssociationBase& association) {
  ours(association).socket().on_readable({});
}

void UsrsctpTransport::look_at_all(Instant now) {
  if (now - last_sample_ < options_.sample_interval) return;
  last_sample_ = now;
  // No pressure: in this stack, what an association sends is limited for it alone.
  samples_.clear();
  for (auto& [id, association] : associations_) {
    roll_meter(*association, now, options_.sample_interval / 2);
    if (association->peeled()) {
      stack_->give_own_socket(ours(*association).path);  // if it got none for want of descriptors
      continue;
    }
    // Most are sporadic, and have nothing to say.
    const bool earns_nothing =
        association->meter.idle() && association->placement != Placement::always_peeled;
    if (!earns_nothing && association->can_move()) {
      samples_.push_back(association->sample_of_traffic(now));
    }
  }
  const PeeloffChoice choice = choose_peeloffs(samples_, {}, peeloff(), peeled_now());
  for (const PeeloffDecision& decision : choice.chosen) peel(decision);
  tell_starved(choice.starved);
}

}  // namespace siglane::transport
