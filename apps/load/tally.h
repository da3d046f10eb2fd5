#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "apps/load/latency.h"

namespace siglane::load {

// What a group of senders has to answer for. For M3UA "answered" means: has arrived.
struct Tally {
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;      // each counted once
  std::uint64_t lost = 0;          // sent, and nothing came; timeouts and refusals included
  std::uint64_t timed_out = 0;     // of the lost: nothing within the request's own time
  std::uint64_t refused = 0;       // of the lost: our own node could not send it
  std::uint64_t unanswered = 0;    // under way when a connection broke that was allowed to
  std::uint64_t duplicated = 0;    // came once more
  std::uint64_t out_of_order = 0;  // M3UA: a later one of its flow came first
  std::uint64_t damaged = 0;       // M3UA: content, addressee or flow was not what was sent
  std::uint64_t skipped = 0;       // due, but never sent: no connection, or no room in the window
  std::map<std::uint32_t, std::uint64_t> error_results;  // Diameter: answers by result code
  Latency latency;     // from when a message was due to its answer (M3UA: its arrival), warmed up
  Latency send_delay;  // from when it was due until it was handed over: what the tool itself adds

  std::uint64_t errors() const {
    std::uint64_t count = 0;
    for (const auto& [code, times] : error_results) count += times;
    return count;
  }
  void merge(const Tally& other) {
    sent += other.sent;
    answered += other.answered;
    lost += other.lost;
    timed_out += other.timed_out;
    refused += other.refused;
    unanswered += other.unanswered;
    duplicated += other.duplicated;
    out_of_order += other.out_of_order;
    damaged += other.damaged;
    skipped += other.skipped;
    for (const auto& [code, times] : other.error_results) error_results[code] += times;
    latency.merge(other.latency);
    send_delay.merge(other.send_delay);
  }
};

struct GroupTally {
  std::string name;
  std::size_t peers = 0;
  Tally tally;
};

}  // namespace siglane::load
