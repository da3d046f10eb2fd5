#include "apps/load/run.h"

#include <algorithm>

namespace siglane::load {

void LoadRun::peer_up(Instant now) {
  ++up_;
  up_most_ = std::max(up_most_, up_);
  if (began_ || up_ < peers_ || interrupted_ || now >= connect_by_) return;
  began_ = now;
  ends_ = now + config_.duration;
}

void LoadRun::peer_down(Instant now) {
  --up_;
  const Phase at = phase(now);
  if (at == Phase::sending || at == Phase::draining) ++connections_lost_;
}

void LoadRun::interrupt(Instant now) {
  interrupted_ = true;
  if (began_) ends_ = std::min(ends_, now);
}

bool LoadRun::measured(Instant due) const {
  return began_ && due >= *began_ + config_.warm_up;
}

Phase LoadRun::phase(Instant now) const {
  if (!began_) return interrupted_ || now >= connect_by_ ? Phase::finished : Phase::connecting;
  if (now < ends_) return Phase::sending;
  return under_way_ > 0 && now < ends_ + config_.drain_max ? Phase::draining : Phase::finished;
}

}  // namespace siglane::load
