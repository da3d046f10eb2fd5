#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace siglane {

// Everything a node counts, by name. One list for the whole node, grouped by room; a counter's
// name is what operators see, so it is never reused for something else.
#define SIGLANE_COUNTERS(X)                                                 \
  /* shard */                                                               \
  X(associations_opened, "associations.opened")                             \
  X(associations_closed, "associations.closed")                             \
  X(associations_refused_address, "associations.refused.address")           \
  X(associations_refused_identity, "associations.refused.identity")         \
  X(associations_refused_limit, "associations.refused.limit")               \
  X(associations_gave_way, "associations.gave_way")                         \
  X(associations_unidentified_timeout, "associations.unidentified_timeout") \
  X(connects_failed, "connects.failed")                                     \
  X(messages_received, "messages.received")                                 \
  X(messages_sent, "messages.sent")                                         \
  X(bytes_received, "bytes.received")                                       \
  X(bytes_sent, "bytes.sent")                                               \
  X(messages_refused, "messages.refused")                                   \
  X(messages_unsent, "messages.unsent")                                     \
  X(parcels_undelivered, "parcels.undelivered")                             \
  X(parcels_exhausted, "parcels.exhausted")                                 \
  X(mailbox_full, "mailbox.full")                                           \
  X(parcels_lost, "parcels.lost")                                           \
  X(inputs_paused, "inputs.paused")                                         \
  X(moves, "shard.moves")                                                   \
  X(moves_refused, "shard.moves.refused")                                   \
  X(protocol_violations, "protocol.violations")                             \
  /* transport */                                                           \
  X(peels, "transport.peels")                                               \
  X(peels_gone, "transport.peels.gone")                                     \
  X(peels_lost, "transport.peels.lost")                                     \
  X(peels_starved, "transport.peels.starved")                               \
  X(cargoes_dropped, "transport.cargoes_dropped")                           \
  X(partial_deliveries, "transport.partial_deliveries")                     \
  X(messages_oversized, "transport.messages.oversized")                     \
  X(send_blocked, "transport.send_blocked")                                 \
  X(receive_stalls, "transport.receive_stalls")                             \
  X(accepts_failed, "transport.accepts_failed")                             \
  X(tls_handshakes_failed, "transport.tls.handshakes_failed")               \
  X(tls_messages_too_long, "transport.tls.messages_too_long")               \
  X(notifications_malformed, "transport.notifications.malformed")           \
  /* diameter */                                                            \
  X(diameter_requests_received, "diameter.requests.received")               \
  X(diameter_requests_sent, "diameter.requests.sent")                       \
  X(diameter_answers_received, "diameter.answers.received")                 \
  X(diameter_answers_sent, "diameter.answers.sent")                         \
  X(diameter_answers_error, "diameter.answers.error")                       \
  X(diameter_answers_unmatched, "diameter.answers.unmatched")               \
  X(diameter_answers_orphaned, "diameter.answers.orphaned")                 \
  X(diameter_requests_timed_out, "diameter.requests.timed_out")             \
  X(diameter_requests_unroutable, "diameter.requests.unroutable")           \
  X(diameter_watchdogs_sent, "diameter.watchdogs.sent")                     \
  X(diameter_malformed, "diameter.malformed")                               \
  /* m3ua */                                                                \
  X(m3ua_data_received, "m3ua.data.received")                               \
  X(m3ua_data_sent, "m3ua.data.sent")                                       \
  X(m3ua_data_unroutable, "m3ua.data.unroutable")                           \
  X(m3ua_data_discarded, "m3ua.data.discarded")                             \
  X(m3ua_errors_sent, "m3ua.errors.sent")                                   \
  X(m3ua_errors_received, "m3ua.errors.received")                           \
  X(m3ua_malformed, "m3ua.malformed")                                       \
  /* hss */                                                                 \
  X(hss_air_received, "hss.air.received")                                   \
  X(hss_ulr_received, "hss.ulr.received")                                   \
  X(hss_pur_received, "hss.pur.received")                                   \
  X(hss_vectors_sent, "hss.vectors.sent")                                   \
  X(hss_clr_sent, "hss.clr.sent")                                           \
  X(hss_clr_failed, "hss.clr.failed")                                       \
  X(hss_resynchronisations, "hss.resynchronisations")                       \
  X(hss_unknown_users, "hss.unknown_users")                                 \
  X(hss_denied, "hss.denied")                                               \
  X(hss_too_busy, "hss.too_busy")                                           \
  X(hss_store_failures, "hss.store_failures")                               \
  /* store */                                                               \
  X(store_requests, "store.requests")                                       \
  X(store_commits, "store.commits")                                         \
  X(store_failures, "store.failures")                                       \
  X(store_refused_full, "store.refused.full")                               \
  X(store_refused_share, "store.refused.share")                             \
  X(store_abandoned, "store.abandoned")

enum class Counter : std::size_t {
#define X(id, text) id,
  SIGLANE_COUNTERS(X)
#undef X
};

inline constexpr std::array kCounterNames = {
#define X(id, text) std::string_view{text},
    SIGLANE_COUNTERS(X)
#undef X
};

inline constexpr std::size_t kCounterCount = kCounterNames.size();

// One shard's counters: written by its thread alone, read by any.
class Counters {
 public:
  void add(Counter counter, std::uint64_t n = 1) {
    auto& value = values_[static_cast<std::size_t>(counter)];
    value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t get(Counter counter) const {
    return values_[static_cast<std::size_t>(counter)].load(std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<std::uint64_t>, kCounterCount> values_{};
};

}  // namespace siglane
