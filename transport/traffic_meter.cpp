#include "transport/traffic_meter.h"

#include <utility>

namespace siglane::transport {

void TrafficMeter::roll(Instant now, Duration window_min, const TrafficThreshold& threshold) {
  const Duration length = now - window_began_;
  if (length < window_min || length <= 0ns) return;
  const auto rate = [&](std::uint64_t& count) {
    return static_cast<double>(std::exchange(count, 0)) / seconds(length);
  };
  rates_ = {rate(messages_in_), rate(messages_out_), rate(bytes_in_), rate(bytes_out_)};
  if (!threshold.met_by(rates_)) {
    loud_since_.reset();
  } else if (!loud_since_) {
    loud_since_ = window_began_;
  }
  window_began_ = now;
}

}  // namespace siglane::transport
