#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <uv.h>

#include "apps/runtime/admin_frame.h"
#include "core/result.h"

namespace siglane::runtime {

struct AdminServerLimits {
  std::size_t clients_max = 16;
  std::size_t request_bytes_max = 64 * 1024;
};

// Answers the admin API on a Unix domain socket, from a uv loop. A client is read no further while
// an answer of its is under way, so each holds one request and one answer at most. Only the node's
// own user may connect (mode 0600). On the loop's thread.
class AdminServer {
 public:
  // Once, at once or later, on the loop's thread. Harmless when the client or the server has gone.
  using Reply = std::function<void(admin::Response)>;
  using Handler = std::function<void(const admin::Request&, Reply)>;
  // Does `work` anywhere, and then `then` on the loop's thread, or never. A long answer takes many
  // milliseconds to encode.
  using Beside = std::function<void(std::function<void()> work, std::function<void()> then)>;

  // A socket file that nobody answers is taken over; one that somebody answers, or any other file,
  // is left alone, and the error says so. SIGPIPE is ignored from now on, in the whole process.
  static Result<std::unique_ptr<AdminServer>> create(uv_loop_t* loop, const std::string& path,
                                                     AdminServerLimits limits, Handler handler,
                                                     Beside beside = at_once);
  // Closes everything and removes the socket file.
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  std::size_t clients() const;

 private:
  struct State;
  static void at_once(const std::function<void()>& work, const std::function<void()>& then);
  explicit AdminServer(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace siglane::runtime
