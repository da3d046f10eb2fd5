#include "protocols/diameter/watchdog.h"

#include <algorithm>

namespace siglane::diameter {

std::string_view name_of(Watchdog::State state) {
  switch (state) {
    case Watchdog::State::okay:
      return "OKAY";
    case Watchdog::State::suspect:
      return "SUSPECT";
    case Watchdog::State::reopen:
      return "REOPEN";
    case Watchdog::State::down:
      return "DOWN";
  }
  return "unknown";
}

// SetWatchdog. RFC 3539 §3.4.1: "by using the Twinit value and randomly adding a value drawn
// between -2 and 2 seconds"; an interval shorter than that RFC allows is jittered by a quarter.
void Watchdog::set_timer(Instant now) {
  const Duration jitter = std::min<Duration>(2s, interval_ / 4);
  const auto span = static_cast<std::uint64_t>(2 * jitter.count() + 1);
  expires_ = now + interval_ - jitter + Duration(static_cast<Duration::rep>(random_.below(span)));
}

Watchdog::Order Watchdog::connection_up(bool reopen, Instant now) {
  set_timer(now);
  pending_ = reopen;
  dwas_ = 0;
  state_ = reopen ? State::reopen : State::okay;
  return reopen ? Order::send_dwr : Order::failback;
}

Watchdog::Order Watchdog::received_dwa(Instant now) {
  pending_ = false;
  switch (state_) {
    case State::okay:
      set_timer(now);
      return Order::none;
    case State::suspect:
      set_timer(now);
      state_ = State::okay;
      return Order::failback;
    case State::reopen:
      if (++dwas_ < 3) return Order::none;
      state_ = State::okay;
      return Order::failback;
    case State::down:
      return Order::none;
  }
  return Order::none;
}

Watchdog::Order Watchdog::received_other(Instant now) {
  switch (state_) {
    case State::okay:
      set_timer(now);
      return Order::none;
    case State::suspect:
      set_timer(now);
      state_ = State::okay;
      return Order::failback;
    case State::reopen:
      // "Throwaway()": it proves nothing here. A request is answered all the same: the peer, which
      // may think well of us, would else wait for nothing.
      return Order::none;
    case State::down:
      return Order::none;
  }
  return Order::none;
}

Watchdog::Order Watchdog::timer_expired(Instant now) {
  set_timer(now);
  switch (state_) {
    case State::okay:
      if (!pending_) {
        pending_ = true;
        return Order::send_dwr;
      }
      state_ = State::suspect;
      return Order::failover;
    case State::suspect:
      state_ = State::down;
      return Order::close;
    case State::reopen:
      if (!pending_) {
        pending_ = true;
        return Order::send_dwr;
      }
      if (dwas_ >= 0) {
        dwas_ = -1;
        return Order::none;
      }
      state_ = State::down;
      return Order::close;
    case State::down:
      return Order::none;
  }
  return Order::none;
}

}  // namespace siglane::diameter
