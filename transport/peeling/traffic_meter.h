#pragma once
#include <cstdint>

#include "core/time.h"

namespace siglane::transport {

// What one association carried in the last window, for each second. "Traffic" without a direction
// is both together.
struct TrafficRates {
  double messages_in = 0, messages_out = 0;
  double bytes_in = 0, bytes_out = 0;

  double messages() const { return messages_in + messages_out; }
  double bytes() const { return bytes_in + bytes_out; }
};

// When traffic counts as loud; 0: never by this measure.
struct TrafficThreshold {
  double messages_per_second_min = 0;
  double bytes_per_second_min = 0;

  bool met_by(const TrafficRates& rates) const {
    return (messages_per_second_min > 0 && rates.messages() >= messages_per_second_min) ||
           (bytes_per_second_min > 0 && rates.bytes() >= bytes_per_second_min);
  }
};

// Counts where messages pass, four additions at most for each; looks at the counts once a window.
class TrafficMeter {
 public:
  explicit TrafficMeter(Instant since) : window_began_(since) {}

  void count_in(std::size_t bytes) {
    ++messages_in_;
    bytes_in_ += bytes;
  }
  void count_out(std::size_t bytes) {
    ++messages_out_;
    bytes_out_ += bytes;
  }

  // Ends the window, if it is at least `window_min` long, and begins the next.
  void roll(Instant now, Duration window_min, const TrafficThreshold& threshold);

  TrafficRates rates() const {
    return {messages_in_rate_, messages_out_rate_, bytes_in_rate_, bytes_out_rate_};
  }
  // Nothing passed, in the last window and since.
  bool idle() const {
    return messages_in_rate_ + messages_out_rate_ == 0 && messages_in_ + messages_out_ == 0;
  }
  // How long every window has met the threshold, up to the end of the last one.
  Duration above_threshold() const { return above_threshold_; }

 private:
  // Every association has one of these: small types.
  std::uint32_t messages_in_ = 0, messages_out_ = 0;
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0;
  float messages_in_rate_ = 0, messages_out_rate_ = 0, bytes_in_rate_ = 0, bytes_out_rate_ = 0;
  Instant window_began_;
  Duration above_threshold_{};
};

}  // namespace siglane::transport
