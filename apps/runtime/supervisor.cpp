#include "apps/runtime/supervisor.h"

#include <string>
#include <utility>

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

namespace siglane::runtime {
namespace {

std::optional<Duration> watchdog() {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
  return std::chrono::microseconds(microseconds);
}

}  // namespace

// The environment stays as it is: sd_notify(3) looks there each time.
void Supervisor::notify(const std::string& text) {
  (void)sd_notify(0, text.c_str());
}

Supervisor::Supervisor(transport::Loop& loop, LookAlive look_alive, Say say)
    : watchdog_(watchdog()),
      look_alive_(std::move(look_alive)),
      say_(std::move(say)),
      again_(loop.timer([this] { look(); })) {
  if (watchdog_) again_.start_after(*watchdog_ / 2);
}

void Supervisor::ready(std::string_view status) {
  say_(fmt::format("READY=1\nSTATUS={}", status));
}

void Supervisor::reloading() {
  // With the time, which Type=notify-reload compares (sd_notify(3)).
  const auto now = transport::Loop::fresh_now().time_since_epoch();
  say_(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=Reading the config again",
                   std::chrono::duration_cast<std::chrono::microseconds>(now).count()));
}

void Supervisor::stopping(std::string_view why) {
  say_(fmt::format("STOPPING=1\nSTATUS=Stopping: {}", why));
}

// The next look is due whether this one comes to an end or not: a loop that is stuck must not be
// covered up.
void Supervisor::look() {
  again_.start_after(*watchdog_ / 2);
  look_alive_([say = say_] { say("WATCHDOG=1"); });
}

}  // namespace siglane::runtime
