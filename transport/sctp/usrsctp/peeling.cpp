#include <utility>

#include "transport/counters.h"
#include "transport/sctp/usrsctp/transport.h"

// UsrsctpTransport: who sits where, and why.
namespace siglane::transport {
namespace {

constexpr Duration kTick = 250ms;

// There is one stack and so one loop: a cargo comes back to where it was.
struct UsrsctpCargo final : DetachedAssociation {
  UsrsctpCargo(std::unique_ptr<UsrsctpAssociation> association_,
               std::unique_ptr<UsrsctpSocket> socket_, Counters& counters_)
      : association(std::move(association_)),
        socket(std::move(socket_)),
        counters(counters_),
        id_(association->id()) {}
  ~UsrsctpCargo() override {
    if (socket) counters.add(counter::cargoes_dropped);
  }
  AssociationId id() const override { return id_; }

  std::unique_ptr<UsrsctpAssociation> association;
  std::unique_ptr<UsrsctpSocket> socket;
  Counters& counters;

 private:
  AssociationId id_;
};

}  // namespace

bool UsrsctpTransport::made(const DetachedAssociation& cargo) {
  return dynamic_cast<const UsrsctpCargo*>(&cargo) != nullptr;
}

DetachOutcome UsrsctpTransport::detach(AssociationId id) {
  UsrsctpAssociation* association = find_association(id);
  if (association == nullptr || !association->can_move()) return Gone{};
  std::unique_ptr<UsrsctpSocket> own;
  if (!association->peeled()) {
    int error = 0;
    own = association->socket().peel_off(association->stack_id(), error);
    if (!own) {  // ended meanwhile: its last data and its notification wait on the shared socket
      counters_.add(counter::peels_gone);
      return Gone{};
    }
  }
  std::unique_ptr<UsrsctpAssociation> owned = remove(id);
  std::erase(blocked_, id);
  if (!own) own = owned->take_socket();
  own->on_readable({});
  return Peeled{std::make_unique<UsrsctpCargo>(std::move(owned), std::move(own), counters_)};
}

void UsrsctpTransport::adopt(std::unique_ptr<DetachedAssociation> cargo) {
  auto* ours = dynamic_cast<UsrsctpCargo*>(cargo.get());
  if (ours == nullptr) return;  // dropping it aborts it
  std::unique_ptr<UsrsctpAssociation> owned = std::move(ours->association);
  UsrsctpAssociation& association = *owned;
  const Source source{association.endpoint().id, association.id()};
  watch(*ours->socket, source);
  // What waited in it is delivered next: the stack will not tell of it again.
  ours->socket->noted = true;
  readable_.push_back(source);
  soon_.schedule();
  association.sit_on(std::move(ours->socket));
  association.follow(endpoints_.at(source.endpoint).shared, true);
  stack_->give_own_socket(association.path);
  association.paused = false;
  associations_[association.id()] = std::move(owned);
  ++endpoints_.at(source.endpoint).associations;
  ++peeled_;
  if (!tick_.active()) tick_.start_after(kTick);
  association.dirty = false;
  const bool secure = association.security() != nullptr;
  if (secure) adopted_.push_back(association.id());  // what its channel has not said yet
  if (std::exchange(association.blocked, false) || !association.queue.empty() || secure) {
    flush_at_end_of_turn(association);
  }
}

void UsrsctpTransport::pause_input(AssociationId id) {
  UsrsctpAssociation* association = find_association(id);
  if (association != nullptr && association->peeled()) association->paused = true;
}

void UsrsctpTransport::resume_input(AssociationId id) {
  UsrsctpAssociation* association = find_association(id);
  if (association == nullptr || !std::exchange(association->paused, false)) return;
  UsrsctpHost& host = *this;
  host.read_soon(*association);
}

void UsrsctpTransport::tick() {
  const Instant now = loop_.now();
  close_overdue(now);
  if (now - last_sample_ >= options_.sample_interval) {
    last_sample_ = now;
    // No pressure: in this stack, what an association sends is limited for it alone.
    const TrafficThreshold threshold = peeloff().threshold();
    samples_.clear();
    for (auto& [id, association] : associations_) {
      association->meter.roll(now, options_.sample_interval / 2, threshold);
      if (association->peeled()) {
        stack_->give_own_socket(association->path);  // if it got none for want of descriptors
        continue;
      }
      // Most are sporadic, and have nothing to say.
      const bool earns_nothing =
          association->meter.idle() && association->placement != Placement::always_peeled;
      if (!earns_nothing && association->can_move())
        samples_.push_back(association->sample_of_traffic(now));
    }
    const PeeloffChoice choice = choose_peeloffs(samples_, {}, peeloff(), peeled_);
    for (const PeeloffDecision& decision : choice.chosen) peel(decision);
    tell_starved(choice.starved);
  }
  if (!associations_.empty()) tick_.start_after(std::min(kTick, options_.sample_interval));
}

// A close that does not come to its end is ended: first by ABORT, then without the stack.
void UsrsctpTransport::close_overdue(Instant now) {
  std::vector<AssociationId> overdue;
  for (const auto& [id, association] : associations_) {
    if (association->close_by() && *association->close_by() <= now) overdue.push_back(id);
  }
  for (const AssociationId id : overdue) {
    UsrsctpAssociation* association = find_association(id);
    if (association == nullptr) continue;
    if (association->phase() == UsrsctpAssociation::Phase::securing) {
      association->security_failed("no handshake within handshake_timeout_ms");
    } else if (association->phase() == UsrsctpAssociation::Phase::aborting) {
      association->ended(DownCause::local_close, {});
      finish(id);
    } else {
      association->fail(DownCause::local_close, "the peer did not answer the shutdown in time");
    }
  }
}

}  // namespace siglane::transport
