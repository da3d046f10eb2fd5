#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "transport/counters.h"
#include "transport/sctp/kernel/transport.h"
#include "transport/transport_facts.h"

// SctpTransport: who sits where, and why.
namespace siglane::transport {
namespace {

// How long a graceful close may take before it becomes an abort: a peer that does not read would
// hold it up for as long as it answers probes of its closed window.
constexpr Duration kCloseTimeout = 5s;
// Under pressure a window may be short.
constexpr Duration kPressedWindow = 200ms;
constexpr std::size_t kKeptSamples = 64;
constexpr std::size_t kReceiveBufferMax = std::size_t{64} << 20;

class SctpCargo final : public DetachedAssociation {
 public:
  SctpCargo(std::unique_ptr<SctpAssociation> association, int fd, Counters& counters)
      : association_(std::move(association)), fd_(fd), counters_(counters) {}
  ~SctpCargo() override {
    if (fd_ < 0) return;
    close_aborting(fd_);
    counters_.add(counter::cargoes_dropped);
  }
  AssociationId id() const override { return id_; }

  std::unique_ptr<SctpAssociation> take_association() { return std::move(association_); }
  int take_fd() { return std::exchange(fd_, -1); }

 private:
  std::unique_ptr<SctpAssociation> association_;
  AssociationId id_ = association_->id();
  int fd_;
  Counters& counters_;
};

}  // namespace

bool SctpTransport::made(const DetachedAssociation& cargo) {
  return dynamic_cast<const SctpCargo*>(&cargo) != nullptr;
}

// --- Moving ---------------------------------------------------------------------------------

DetachOutcome SctpTransport::detach(AssociationId id) {
  SctpAssociation* association = find_association(id);
  if (association == nullptr || !association->can_move()) return Gone{};
  if (!association->peeled()) return peel_off(*association);
  leave_own(association->fd());
  const int fd = association->own_socket()->release();
  std::unique_ptr<SctpAssociation> owned = remove(id);
  owned->leave_socket();
  return Peeled{std::make_unique<SctpCargo>(std::move(owned), fd, counters_)};
}

DetachOutcome SctpTransport::peel_off(SctpAssociation& association) {
  if (auto why = reserve_.give_up_spare()) {
    counters_.add(counter::peels_starved);
    return Starved{std::move(*why)};
  }
  const int shared_fd = association.fd();
  const int fd =
      sctp_peeloff_flags(shared_fd, association.stack_id(), SOCK_NONBLOCK | SOCK_CLOEXEC);
  const int error = errno;
  reserve_.restore();
  if (fd < 0 && (error == EMFILE || error == ENFILE || error == EFAULT)) {
    // The kernel migrates first and allocates second, and tells nobody.
    counters_.add(counter::peels_lost);
    end_soon(association, DownCause::lost,
             std::string("peeloff failed and took it along: ") + std::strerror(error));
    return Lost{};
  }
  if (fd < 0) {  // ended meanwhile: its last data and its notification wait on the shared socket
    counters_.add(counter::peels_gone);
    return Gone{};
  }
  copy_uninherited(shared_fd, fd);
  // A peer that begins anew there is asked again; an error means that it was not the first time.
  if (association.endpoint().tls != nullptr) (void)enable_auth(fd);
  std::unique_ptr<SctpAssociation> owned = remove(association.id());
  owned->leave_socket();
  return Peeled{std::make_unique<SctpCargo>(std::move(owned), fd, counters_)};
}

void SctpTransport::adopt(std::unique_ptr<DetachedAssociation> cargo) {
  auto* ours = dynamic_cast<SctpCargo*>(cargo.get());
  if (ours == nullptr) return;  // dropping it aborts it
  const AssociationId id = ours->id();
  const int fd = ours->take_fd();
  auto socket =
      WatchedSocket::create(loop_, fd, [this, fd](PollEvents events) { on_peeled(fd, events); });

  std::unique_ptr<SctpAssociation> owned = ours->take_association();
  SctpAssociation& association = *owned;
  association.move_to(*this, buffers_);
  by_stack_id_[association.stack_id()] = &association;
  associations_.emplace(id, std::move(owned));
  ++association.endpoint().config.pool->associations;
  keep_ticking();

  if (!socket) {
    close_aborting(fd);
    end_soon(association, DownCause::lost, socket.error().what);
    return;
  }
  association.sit_on(std::move(*socket));
  follow(association);
  peeled_[fd] = &association;
  ++*options_.peeled;
  const bool secure = association.security() != nullptr;
  if (secure) soon([this, id] { read_sealed(id); });  // what its channel has not said yet
  if (!association.queue.empty() || secure) flush_at_end_of_turn(association);
}

Seat SctpTransport::seat(AssociationId id) const {
  const SctpAssociation* association = find_association(id);
  if (association == nullptr || !association->can_move()) return Seat::bound;
  return association->peeled() ? Seat::own : Seat::shared;
}

void SctpTransport::pause_input(AssociationId id) {
  SctpAssociation* association = find_association(id);
  if (association != nullptr && association->peeled()) association->own_socket()->pause(true);
}

void SctpTransport::resume_input(AssociationId id) {
  SctpAssociation* association = find_association(id);
  if (association != nullptr && association->peeled()) association->own_socket()->pause(false);
}

void SctpTransport::leave_own(int fd) {
  peeled_.erase(fd);
  --*options_.peeled;
}

// --- Deciding -------------------------------------------------------------------------------

void SctpTransport::tick() {
  const Instant now = loop_.now();
  if (!handshakes_.empty()) end_late_handshakes(now);
  pressures_.clear();
  bool pressed = std::exchange(pressed_, false);
  for (auto& [fd, shared] : shared_by_fd_) {
    if (shared->associations == 0) continue;
    if (!shared->blocked.empty()) retry_blocked(*shared);
    const SharedPressure pressure = pressure_of(*shared, now);
    shared->refuses_sends = pressure.send_blocked;
    pressed |= is_send_tight(pressure) || pressure.since_progress >= kWedgedAfter;
    pressures_.emplace_back(shared, pressure);
  }
  // EAGAIN although writable is no reason to spin, and none to give up either.
  for (const auto& [fd, association] : peeled_) {
    if (association->blocked) association->own_socket()->want_writable(true);
  }
  if (!pressed && now - last_sample_ < options_.sample_interval) return;
  tell_unconfirmed_paths(now);
  sample_all(now, pressed ? kPressedWindow : options_.sample_interval / 2);
  for (auto& [shared, pressure] : pressures_) evaluate(*shared, pressure, now);
}

void SctpTransport::end_late_handshakes(Instant now) {
  std::erase_if(handshakes_, [&](const std::pair<AssociationId, Instant>& under_way) {
    SctpAssociation* association = find_association(under_way.first);
    if (association == nullptr || association->phase() != SctpAssociation::Phase::securing) {
      return true;
    }
    if (now < under_way.second) return false;
    association->security_failed("no handshake within handshake_timeout_ms");
    return true;
  });
}

SharedPressure SctpTransport::pressure_of(Shared& shared, Instant now) {
  SharedPressure pressure;
  pressure.send_blocked = !shared.blocked.empty();
  const auto memory = socket_memory(shared.socket.fd());
  if (!memory || memory->receive_max == 0 || memory->send_max == 0) return pressure;
  const auto share = [](std::size_t used, std::size_t max) {
    return static_cast<double>(used) / static_cast<double>(max);
  };
  pressure.receive_memory_share = share(memory->receive_used, memory->receive_max);
  pressure.send_memory_share = share(memory->send_used, memory->send_max);

  const bool read = std::exchange(shared.data_since_tick, false);
  if (pressure.receive_memory_share < kReceiveMemoryFull || read) {
    shared.full_since.reset();
    shared.wedge_counted = false;
  }
  if (pressure.receive_memory_share >= kReceiveMemoryFull) {
    if (!shared.full_since) shared.full_since = now;
    pressure.since_progress = now - *shared.full_since;
  }
  shared.receive_memory_max = memory->receive_max;
  return pressure;
}

void SctpTransport::sample_all(Instant now, Duration window_min) {
  last_sample_ = now;
  const TrafficThreshold threshold = peeloff().threshold();
  for (auto& [fd, shared] : shared_by_fd_) shared->samples.clear();
  for (auto& [id, association] : associations_) {
    end_overdue_close(*association, now);
    association->meter.roll(now, window_min, threshold);
    if (association->meter.idle()) association->queue.release_memory();
    Shared* shared = shared_of(*association);
    if (shared == nullptr || !association->can_move()) continue;
    // Most are sporadic, and have nothing to say.
    const bool holds =
        association->near_cap() || (shared->refuses_sends && association->held_bytes());
    if (association->meter.idle() && !holds && !shared->full_since &&
        association->placement != Placement::always_peeled) {
      continue;
    }
    shared->samples.push_back(
        association->sample(now, shared->full_since.has_value(), shared->refuses_sends));
  }
  for (auto& [fd, shared] : shared_by_fd_) {
    auto& samples = shared->samples;
    if (samples.capacity() > kKeptSamples && samples.size() * 4 < samples.capacity()) {
      samples.shrink_to_fit();
    }
  }
}

void SctpTransport::end_overdue_close(SctpAssociation& association, Instant now) {
  using Phase = SctpAssociation::Phase;
  if (association.phase() != Phase::draining && association.phase() != Phase::shutting_down) return;
  const auto [since, first] = closing_.try_emplace(association.id(), now);
  if (now - since->second < kCloseTimeout) return;
  association.fail(DownCause::local_close, "the peer did not take the rest in time");
}

void SctpTransport::evaluate(Shared& shared, const SharedPressure& pressure, Instant now) {
  const bool wedged = pressure.since_progress >= kWedgedAfter;
  const bool newly_wedged = wedged && !std::exchange(shared.wedge_counted, true);
  if (newly_wedged) counters_.add(counter::receive_stalls);
  const PeeloffChoice choice =
      choose_peeloffs(shared.samples, pressure, peeloff(), *options_.peeled);
  bool relieved = false;
  for (const PeeloffDecision& decision : choice.chosen) {
    if (!peel(decision)) continue;
    relieved |= decision.reason == PeeloffReason::receive_wedge;
  }
  tell_starved(choice.starved);
  if (!wedged || relieved) return;
  const std::string why_not = enlarge_receive_buffer(shared);
  if (why_not.empty() || !newly_wedged) return;
  sink_->on_fact(AssociationId::none,
                 notice("endpoint " + shared.endpoint->config.name +
                            ": receive buffer wedged; nothing that fills it may be peeled off, "
                            "and the buffer " +
                            why_not,
                        Severity::warning),
                 now);
}

// The other cure of a wedged receive buffer, where nothing can be peeled.
std::string SctpTransport::enlarge_receive_buffer(Shared& shared) {
  // What is read back is the double of what was set, so setting it doubles it.
  const std::size_t bytes = shared.receive_memory_max;
  if (bytes == 0 || bytes > kReceiveBufferMax / 2) {
    return "has " + std::to_string(bytes) + " bytes already";
  }
  if (const int error = force_receive_buffer(shared.socket.fd(), bytes); error != 0) {
    return std::string("cannot be doubled (") + std::strerror(error) +
           "): that needs CAP_NET_ADMIN";
  }
  shared.window = bytes;
  sink_->on_fact(
      AssociationId::none,
      notice("endpoint " + shared.endpoint->config.name + ": receive buffer wedged, doubled to " +
             std::to_string(2 * bytes) + " bytes"),
      loop_.now());
  return {};
}

}  // namespace siglane::transport
