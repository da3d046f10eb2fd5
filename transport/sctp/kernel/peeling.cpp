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

// Under pressure a window may be short.
constexpr Duration kPressedWindow = 200ms;
constexpr std::size_t kKeptSamples = 64;
constexpr std::size_t kReceiveBufferMax = std::size_t{64} << 20;

}  // namespace

// --- Moving ---------------------------------------------------------------------------------

std::optional<DetachOutcome> SctpTransport::peel_off(SctpAssociationBase& of) {
  if (auto why = reserve_.give_up_spare()) {
    counters_.add(counter::peels_starved);
    return Starved{std::move(*why)};
  }
  SctpAssociation& association = ours(of);
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
  --shared_of(association)->associations;
  association.take_own(fd);
  return std::nullopt;
}

std::string SctpTransport::watch(SctpAssociationBase& of) {
  SctpAssociation& association = ours(of);
  by_stack_id_[association.stack_id()] = &association;
  const int fd = association.fd();
  auto socket =
      WatchedSocket::create(loop_, fd, [this, fd](PollEvents events) { on_peeled(fd, events); });
  if (!socket) return socket.error().what;  // and it closes with the association
  association.sit_on(std::move(*socket));
  peeled_[fd] = &association;
  return {};
}

void SctpTransport::unwatch(SctpAssociationBase& of) {
  SctpAssociation& association = ours(of);
  peeled_.erase(association.fd());
  association.unwatch();
}

void SctpTransport::leave_own(int fd) {
  peeled_.erase(fd);
  take_back_socket();
}

// --- Deciding -------------------------------------------------------------------------------

void SctpTransport::look_at_all(Instant now) {
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
  for (auto& [fd, shared] : shared_by_fd_) shared->samples.clear();
  for (auto& [id, of] : associations_) {
    SctpAssociation& association = ours(*of);
    roll_meter(association, now, window_min);
    Shared* shared = shared_of(association);
    if (shared == nullptr || !association.can_move()) continue;
    // Most are sporadic, and have nothing to say.
    const bool holds =
        association.near_cap() || (shared->refuses_sends && association.held_bytes());
    if (association.meter.idle() && !holds && !shared->full_since &&
        association.placement != Placement::always_peeled) {
      continue;
    }
    shared->samples.push_back(
        association.sample(now, shared->full_since.has_value(), shared->refuses_sends));
  }
  for (auto& [fd, shared] : shared_by_fd_) {
    auto& samples = shared->samples;
    if (samples.capacity() > kKeptSamples && samples.size() * 4 < samples.capacity()) {
      samples.shrink_to_fit();
    }
  }
}

void SctpTransport::evaluate(Shared& shared, const SharedPressure& pressure, Instant now) {
  const bool wedged = pressure.since_progress >= kWedgedAfter;
  const bool newly_wedged = wedged && !std::exchange(shared.wedge_counted, true);
  if (newly_wedged) counters_.add(counter::receive_stalls);
  const PeeloffChoice choice = choose_peeloffs(shared.samples, pressure, peeloff(), peeled_now());
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
                 notice("endpoint " + endpoint_of(shared.endpoint)->config.name +
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
      notice("endpoint " + endpoint_of(shared.endpoint)->config.name +
             ": receive buffer wedged, doubled to " + std::to_string(2 * bytes) + " bytes"),
      loop_.now());
  return {};
}

}  // namespace siglane::transport
