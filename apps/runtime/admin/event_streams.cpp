#include "apps/runtime/admin/event_streams.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "apps/runtime/admin/facts.h"
#include "apps/runtime/admin/json.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

// A person sees no delay, and a node with a listener wakes up ten times a second for it.
constexpr Duration kPause = 100ms;
// Proxies and browsers give up on what is silent for longer.
constexpr Duration kSilenceMax = 15s;
constexpr std::size_t kFactsAtOnce = 100;

// "1700000000000-17": of the node that was started then, the 17th. A client that comes back says
// it.
std::optional<std::uint64_t> resumed(const HttpRequest& request, std::int64_t started_unix_ms) {
  const std::string* id = request.header("last-event-id");
  if (id == nullptr) return std::nullopt;
  const std::string of_this_run = fmt::format("{}-", started_unix_ms);
  if (!id->starts_with(of_this_run)) return 0;  // of an earlier run: all that there is is new
  std::uint64_t number = 0;
  std::from_chars(id->data() + of_this_run.size(), id->data() + id->size(), number);
  return number;
}

}  // namespace

EventStreams::EventStreams(transport::Loop& loop, const Limits& limits,
                           std::int64_t node_started_unix_ms, Next next)
    : limits_(limits),
      started_unix_ms_(node_started_unix_ms),
      next_(std::move(next)),
      again_(loop.timer([this] { look(); })) {}

bool EventStreams::add(std::shared_ptr<HttpExchange> exchange, std::optional<std::uint64_t> after,
                       std::uint64_t latest) {
  std::erase_if(streams_, [](const Stream& one) { return !one.exchange->is_open(); });
  const std::string owner = exchange->request().client.owner();
  const auto of_owner = std::ranges::count_if(streams_, [&owner](const Stream& one) {
    return one.exchange->request().client.owner() == owner;
  });
  if (streams_.size() >= limits_.streams_max ||
      static_cast<std::size_t>(of_owner) >= limits_.of_one_client_max) {
    return false;
  }
  if (!after) after = resumed(exchange->request(), started_unix_ms_);
  exchange->begin_stream({.content_type = "text/event-stream",
                          .headers = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}}});
  Stream& added = streams_.emplace_back(
      Stream{std::move(exchange), after.value_or(latest), transport::Loop::fresh_now()});
  added.exchange->write(": facts of this node, as they happen\n\n");
  again_.start_after(0ms);
  return true;
}

void EventStreams::look() {
  std::erase_if(streams_, [](const Stream& one) { return !one.exchange->is_open(); });
  const Instant now = transport::Loop::fresh_now();
  std::optional<Batch> batch;
  for (Stream& one : streams_) {
    if (!one.exchange->is_drained()) continue;
    if (!batch || batch->after != one.last) batch = batch_after(one.last);
    if (batch->last != one.last) {
      one.exchange->write(batch->text);
      one.last = batch->last;
      one.heard_at = now;
    } else if (now - one.heard_at >= kSilenceMax) {
      one.exchange->write(":\n\n");
      one.heard_at = now;
    }
  }
  if (!streams_.empty()) again_.start_after(kPause);
}

EventStreams::Batch EventStreams::batch_after(std::uint64_t after) const {
  Batch batch{after, after, {}};
  const FactLog::Facts facts = next_(after, kFactsAtOnce);
  if (facts.empty()) return batch;
  if (facts.front()->number > after + 1) {
    batch.text =
        fmt::format("event: missed\ndata: {{\"facts\":{}}}\n\n", facts.front()->number - after - 1);
  }
  for (const auto& kept : facts) {
    admin::Fact fact;
    fill(*kept, fact);
    batch.text += fmt::format("id: {}-{}\nevent: fact\ndata: {}\n\n", started_unix_ms_,
                              kept->number, to_json(fact));
  }
  batch.last = facts.back()->number;
  return batch;
}

}  // namespace siglane::runtime
