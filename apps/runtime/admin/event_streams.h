#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/runtime/admin/http_server.h"
#include "apps/runtime/fact_log.h"
#include "transport/loop/uv_handles.h"

namespace siglane::runtime {

// Facts as they happen, to clients that stay (server-sent events, WHATWG HTML §9.2). A client is
// given more only once it has taken what it had, so a slow one costs a few lines; what it misses
// meanwhile is said to it as a number. Whoever writes facts notices nothing: the log of facts is
// looked at again and again as long as somebody listens. On the loop's thread.
class EventStreams {
 public:
  // Of the oldest facts behind a number, so many.
  using Next = std::function<FactLog::Facts(std::uint64_t after, std::size_t count_max)>;
  struct Limits {
    std::size_t streams_max = 48;
    std::size_t of_one_client_max = 24;  // of a user at the socket, of an address over TCP
  };
  EventStreams(transport::Loop& loop, const Limits& limits, std::int64_t node_started_unix_ms,
               Next next);

  // `after`: facts with greater numbers; none: those to come. false: there are too many streams.
  bool add(std::shared_ptr<HttpExchange> exchange, std::optional<std::uint64_t> after,
           std::uint64_t latest);
  std::size_t size() const { return streams_.size(); }

 private:
  struct Stream {
    std::shared_ptr<HttpExchange> exchange;
    std::uint64_t last = 0;  // fact that it was given, or told that it missed
    Instant heard_at{};      // when anything was written last
  };
  // What there is behind a fact: most streams have had the same ones.
  struct Batch {
    std::uint64_t after = 0, last = 0;  // the same: nothing
    std::string text;
  };
  void look();
  Batch batch_after(std::uint64_t after) const;

  const Limits limits_;
  const std::int64_t started_unix_ms_;
  Next next_;
  std::list<Stream> streams_;
  transport::Timer again_;
};

}  // namespace siglane::runtime
