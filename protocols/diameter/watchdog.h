#pragma once
#include <cstdint>
#include <string_view>

#include "core/random.h"
#include "core/time.h"

namespace siglane::diameter {

// The watchdog algorithm of RFC 3539 (§3.4.1, its table in Appendix A) for one open connection,
// pure. It says what to do; whoever owns it does it.
class Watchdog {
 public:
  enum class State { okay, suspect, reopen, down };
  enum class Order {
    none,
    send_dwr,  // SendWatchdog
    failover,  // to SUSPECT: pending requests go elsewhere, no new ones come
    failback,  // to OKAY: requests may come (again)
    close      // CloseConnection; the state is DOWN
  };

  // `interval`: Tw before jitter.
  Watchdog(Duration interval, std::uint64_t seed) : random_(seed), interval_(interval) {}

  // The connection is open. `reopen`: this peer's watchdog failed last time, so that it must answer
  // three before it is trusted; then the order is send_dwr.
  Order connection_up(bool reopen, Instant now);
  Order received_dwa(Instant now);
  Order received_other(Instant now);
  // Precondition: deadline() <= now.
  Order timer_expired(Instant now);

  // Tw from the next setting of the timer on; a deadline that stands stays.
  void use(Duration interval) { interval_ = interval; }

  State state() const { return state_; }
  Instant deadline() const { return expires_; }

 private:
  void set_timer(Instant now);

  Random random_;
  Duration interval_;
  State state_ = State::down;
  bool pending_ = false;  // a DWR waits for its DWA
  int dwas_ = 0;          // NumDWA
  Instant expires_{};
};

std::string_view name_of(Watchdog::State state);

}  // namespace siglane::diameter
