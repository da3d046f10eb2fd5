#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/time.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {

// What systemd, or another supervisor that speaks sd_notify(3), hears of this process: that it
// serves, reads its config again, stops; and, if it has a watchdog, that all loops still turn.
// Without a supervisor (NOTIFY_SOCKET) nothing happens. On the loop's thread.
class Supervisor {
 public:
  // Calls `then` on the loop's thread once every loop of the node has taken a turn.
  using LookAlive = std::function<void(std::function<void()> then)>;
  // What sd_notify(3) takes; it may block.
  using Say = std::function<void(std::string)>;
  Supervisor(transport::Loop& loop, LookAlive look_alive, Say say = notify);

  // `status` is a line for people (`systemctl status`).
  void ready(std::string_view status);
  // Until ready() again.
  void reloading();
  void stopping(std::string_view why);

  static void notify(const std::string& text);

 private:
  void look();

  const std::optional<Duration> watchdog_;  // it must hear of the loops so often
  LookAlive look_alive_;
  Say say_;
  transport::Timer again_;
};

}  // namespace siglane::runtime
