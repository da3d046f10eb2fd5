#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "core/counter.h"
#include "core/labelled_counts.h"

namespace siglane {

// What one shard counted: written by its thread alone, read by any. labelled(): by its thread alone
// too.
class Counters {
 public:
  Counters() : values_((close_counter_catalogue(), counter_catalogue().size())) {}

  void add(Counter counter, std::uint64_t n = 1) {
    auto& value = values_[counter.index()];
    value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  template <std::size_t N>
  void add(const LabelledCounter<N>& counter,
           const std::type_identity_t<typename LabelledCounter<N>::Values>& labels,
           std::uint64_t n = 1) {
    add(counter.total(), n);
    labelled_.add(counter, labels, n);
  }
  std::uint64_t get(Counter counter) const {
    return values_[counter.index()].load(std::memory_order_relaxed);
  }
  const LabelledCounts& labelled() const { return labelled_; }

 private:
  std::vector<std::atomic<std::uint64_t>> values_;  // by the counters' index
  LabelledCounts labelled_;
};

// What a shard counts, whatever its protocols are.
namespace counter {

inline const Counter associations_opened{"associations.opened",
                                         "associations and connections that came up"};
inline const Counter associations_closed{"associations.closed",
                                         "those that ended, for whatever reason"};
inline const Counter associations_refused_address{"associations.refused.address",
                                                  "newcomers whose address no configured peer has"};
inline const Counter associations_refused_identity{
    "associations.refused.identity",
    "newcomers that said they were a peer and could not be: not configured, wrong address or "
    "certificate, already connected"};
inline const Counter associations_refused_limit{
    "associations.refused.limit",
    "newcomers beyond a limit: `associations_max`, `unidentified_associations_max`, or while the "
    "node stops"};
inline const Counter associations_gave_way{
    "associations.gave_way",
    "newcomers that lost their place to a later one before they said who they are"};
inline const Counter associations_unidentified_timeout{
    "associations.unidentified_timeout",
    "newcomers that did not say who they are within `admission.identification_timeout_ms`"};
inline const Counter connects_failed{"connects.failed", "our attempts to connect that failed"};
inline const Counter messages_received{"messages.received",
                                       "whole messages received, of all protocols"};
inline const Counter messages_sent{"messages.sent", "whole messages sent, of all protocols"};
inline const Counter bytes_received{"bytes.received", "payload bytes of the messages received"};
inline const Counter bytes_sent{"bytes.sent", "payload bytes of the messages sent"};
inline const Counter messages_refused{
    "messages.refused",
    "messages that an association did not take: its send queue was full, or it had ended"};
inline const Counter messages_unsent{"messages.unsent",
                                     "messages that came back unsent when their association ended"};
inline const Counter messages_dropped{
    "messages.dropped",
    "messages dropped, or refused with an error; `siglanectl drops` shows the reasons"};
inline const Counter parcels_undelivered{
    "parcels.undelivered",
    "messages that could not be handed to the session that they were for; their protocol sends "
    "them elsewhere or answers for them"};
inline const Counter parcels_exhausted{
    "parcels.exhausted",
    "messages that failed at five places; their protocol answers with an error"};
inline const Counter mailbox_full{
    "mailbox.full",
    "messages that found no room on their way to another shard, and wait, go elsewhere or are "
    "lost"};
inline const Counter parcels_lost{
    "parcels.lost",
    "messages that were lost between shards, because even the place to wait was full"};
inline const Counter inputs_paused{
    "inputs.paused",
    "how often a peer was not read for a while because it brought more than another shard could "
    "take, or asked again before it had its answer"};
inline const Counter moves{"shard.moves", "associations that moved to another shard"};
inline const Counter moves_refused{
    "shard.moves.refused",
    "moves that were asked for and did not begin, for any reason (`core/move_refusal.h`)"};
inline const Counter protocol_violations{"protocol.violations", "breaches of a protocol by peers"};

}  // namespace counter

}  // namespace siglane
