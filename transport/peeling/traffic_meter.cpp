#include "transport/peeling/traffic_meter.h"

#include <utility>

namespace siglane::transport {

void TrafficMeter::roll(Instant now, Duration window_min, const TrafficThreshold& threshold) {
  const Duration length = now - window_began_;
  if (length < window_min || length <= 0ns) return;
  const auto rate = [&](auto& count) {
    return static_cast<float>(static_cast<double>(std::exchange(count, 0)) / seconds(length));
  };
  messages_in_rate_ = rate(messages_in_);
  messages_out_rate_ = rate(messages_out_);
  bytes_in_rate_ = rate(bytes_in_);
  bytes_out_rate_ = rate(bytes_out_);
  above_threshold_ = threshold.met_by(rates()) ? above_threshold_ + length : 0ns;
  window_began_ = now;
}

}  // namespace siglane::transport
