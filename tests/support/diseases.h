#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/time.h"

// What ails a shared one-to-many socket, provoked on the kernel's SCTP by peers that know nothing
// of us (raw_peer.h). Each function makes its node, its peers, and its measurement, and takes some
// ten seconds. For the benchmark, and for the tests that see each disease come and go.
namespace siglane::test {

// A loud peer: it floods with messages of 100 us of work each, while 16 others ping now and then.
// As fast as it goes, or so many a second.
struct PingTimes {
  std::size_t pings = 0, unanswered = 0;
  Duration p50{}, p99{};  // unanswered ones count as waiting until the end
  bool peeled = false, moved = false;
};
PingTimes ping_beside_a_flood(bool peels, Duration measured,
                              std::optional<double> flood_per_second = std::nullopt);

// A clogged peer: it asks for answers and reads none of them, while 15 others exchange.
enum class Server {
  bare,  // a plain loop that sends until EAGAIN and then waits for POLLOUT, as is usual
  node_without_peeling,
  node,
};
struct ExchangeRates {
  double undisturbed = 0, beside_a_stopped_peer = 0;  // answers to the 15, per second

  double kept() const { return beside_a_stopped_peer / undisturbed; }
};
ExchangeRates exchange_beside_a_stopped_peer(Server server, Duration measured);

// What a node has done about a wedged receive buffer.
struct WedgeCare {
  std::uint64_t stalls = 0;  // that it has noticed
  bool peeled = false, enlarged = false;
};

// The receive-buffer wedge: six peers send and are answered as fast as it goes, 8 to 20,000 bytes,
// against 400 KB of shared receive buffer. Most such runs wedge it, and not all. Ends when all have
// come back, or nothing has for `silence_max`.
struct TwoWayRun {
  std::size_t sent = 0, arrived = 0;  // arrived: came back
  std::size_t wrong = 0;              // of those: damaged, or out of order
  Duration longest_silence{};         // of all six together
  bool ends_wedged = false;           // a bare server; its peers are still there
  WedgeCare care;                     // of a node
};
TwoWayRun exchange_with_little_receive_buffer(Server server, std::size_t messages_each,
                                              Duration silence_max);

// The same, brought about by hand (gap_peer.h): six peers, of whose messages the first is missing,
// hold all of the receive memory with what nobody can read, while six others exchange.
struct WedgedRun {
  std::size_t answers = 0;  // to the six, once the memory was full
  Duration longest_silence{};
  bool gaps_filled = false;  // at last they sent what was missing, and all of it was taken
  WedgeCare care;            // of a node
};
WedgedRun exchange_beside_gaps(Server server, Duration measured);

}  // namespace siglane::test
