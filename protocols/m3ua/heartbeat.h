#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/bytes.h"
#include "core/time.h"

namespace siglane::m3ua {

// BEATs of our own (RFC 4666 §4.3.4.6): one each interval, with a number in its Heartbeat Data. "If
// no Heartbeat Ack message (or any other M3UA message) is received from the M3UA peer within
// 2*T(beat), the remote M3UA peer is considered unavailable."
class Heartbeat {
 public:
  enum class Due { nothing, send, peer_is_gone };

  explicit Heartbeat(Duration interval) : interval_(interval) {}

  void start(Instant now) {
    unanswered_ = 0;
    started_ = true;
    schedule(now);
  }
  void stop() {
    started_ = false;
    next_.reset();
  }
  // Another interval from now on. What was sent still waits for its answer.
  void use(Duration interval, Instant now) {
    if (std::exchange(interval_, interval) != interval && started_) schedule(now);
  }
  std::optional<Instant> deadline() const { return next_; }

  Due due(Instant now) {
    if (!next_ || *next_ > now) return Due::nothing;
    if (unanswered_ == 2) return Due::peer_is_gone;
    ++unanswered_;
    ++number_;
    next_ = now + interval_;
    store_u64(data_.data(), number_);
    return Due::send;
  }
  Bytes data() const { return data_; }
  // Anything was received.
  void heard() { unanswered_ = 0; }

 private:
  void schedule(Instant now) {
    next_ = interval_ > Duration{} ? std::optional(now + interval_) : std::nullopt;
  }

  Duration interval_;
  bool started_ = false;
  std::optional<Instant> next_;
  std::uint64_t number_ = 0;
  unsigned unanswered_ = 0;
  std::array<std::byte, 8> data_{};
};

}  // namespace siglane::m3ua
