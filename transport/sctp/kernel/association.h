#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "transport/loop/watched_socket.h"
#include "transport/sctp/association_base.h"
#include "transport/sctp/kernel/socket.h"

namespace siglane::transport {

// One association of the kernel's SCTP, on a shared socket or on its own.
class SctpAssociation final : public SctpAssociationBase {
 public:
  using SctpAssociationBase::SctpAssociationBase;
  // Aborted, if it is on its way between two loops.
  ~SctpAssociation() override;

  // Where it sits: on `fd`, a shared socket, where its peer was offered `window` bytes, for all its
  // life; or on an own one, which is watched, or on its way.
  void sit_on_shared(int fd, std::size_t window) {
    fd_ = fd;
    window_ = window;
  }
  void take_own(int fd) {
    fd_ = fd;
    loose_ = true;
  }
  void sit_on(WatchedSocket own);
  void unwatch() {
    fd_ = own_->release();
    own_.reset();
    loose_ = true;
  }
  bool peeled() const override { return own_.has_value() || loose_; }
  int fd() const { return own_ ? own_->fd() : fd_; }
  WatchedSocket* own_socket() { return own_ ? &*own_ : nullptr; }
  void pause_input(bool paused) override {
    if (own_) own_->pause(paused);  // not where nobody could watch it: it ends soon
  }

  TransportKind kind() const override { return TransportKind::kernel_sctp; }
  void dry() override;
  // Once, when paths that work must have been confirmed (RFC 9260 §5.4).
  bool paths_due(Instant now);
  Duration paths_patience{};  // how long after Up that is
  // Those that its peer has otherwise than the endpoint; null: none, or none that are known yet.
  std::unique_ptr<const SctpAssociationOptions> own_options;

  std::uint64_t held_bytes() const override { return held_bytes_; }
  // Half of what it may hold on a shared socket, or more.
  bool near_cap() const { return held_bytes_ * 2 >= held_bytes_max(); }
  AssociationStatus status() const override;
  // Asks the stack whether what is held moves, if that is much or its socket refuses messages; and,
  // if the receive memory is full, what it holds of that: by how much less than all of the window
  // its peer is offered.
  PeeloffSample sample(Instant now, bool receive_memory_full, bool sends_refused);
  std::size_t window() const { return window_; }

 private:
  void send_queued() override;
  bool established_in_stack() const override;
  bool has_room() const override { return !at_cap(); }
  void records_sent() override { watch_for_dry(); }
  void shut_down() override { (void)shut_down_association(fd(), stack_id()); }
  void abort() override;

  // SctpSecurity::Stack
  bool peer_has_auth() override;
  int set_auth_key(std::uint16_t number, Bytes key) override;
  int use_auth_key(std::uint16_t number) override;
  int delete_auth_key(std::uint16_t number) override;
  int send_record(const SendInfo& info, Bytes record, bool more) override;

  static std::uint64_t stack_cost(std::size_t message_bytes);
  // Of the shared send buffer: an eighth of it (the kernel counts double), so that one slow peer
  // leaves room for all others.
  std::uint64_t held_bytes_max() const { return endpoint().send_buffer_bytes / 4; }
  bool reaches_cap(std::uint64_t cost) const {
    return !peeled() && held_bytes_ + cost >= held_bytes_max();
  }
  bool at_cap() const { return reaches_cap(0); }
  void watch_for_dry();

  std::optional<WatchedSocket> own_;
  int fd_ = -1;  // while there is no own_
  bool loose_ = false;
  std::size_t window_ = 0;
  std::uint32_t last_unacknowledged_ = 0;
  std::uint64_t held_bytes_ = 0;  // accepted by the stack since it was last known to be dry
  bool dry_subscribed_ = false, paths_seen_to_ = false;
};

}  // namespace siglane::transport
