#include "tests/support/diseases.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "core/random.h"
#include "tests/support/busy_node.h"
#include "tests/support/gap_peer.h"
#include "tests/support/raw_peer.h"
#include "tests/support/udp_encapsulation.h"
#include "transport/counters.h"
#include "transport/sctp/kernel/socket.h"

namespace siglane::test {
namespace {

using transport::Loop;

Duration quantile(std::vector<Duration>& times, double q) {
  if (times.empty()) return {};
  const auto at =
      std::min(times.size() - 1, static_cast<std::size_t>(q * static_cast<double>(times.size())));
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(at), times.end());
  return times[at];
}

void sleep_until(Instant at) {
  const Instant now = Loop::fresh_now();
  if (at > now) std::this_thread::sleep_for(at - now);
}

// `done` within `limit`?
template <class Done>
bool within(Duration limit, Done done) {
  const Instant give_up = Loop::fresh_now() + limit;
  while (!done()) {
    if (Loop::fresh_now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

// A thread that is told to stop, and waited for.
class Background {
 public:
  template <class Body>
  explicit Background(Body body) : thread_([this, body = std::move(body)] { body(stop_); }) {}
  ~Background() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

std::vector<std::unique_ptr<RawPeer>> connect(std::size_t count, std::uint16_t port) {
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (std::size_t i = 0; i < count; ++i) peers.push_back(std::make_unique<RawPeer>(port));
  return peers;
}

void wait_for_any(const std::vector<std::unique_ptr<RawPeer>>& peers, Duration longest) {
  std::vector<pollfd> all;
  for (const auto& peer : peers) all.push_back({peer->fd(), POLLIN, 0});
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(longest).count();
  ::poll(all.data(), all.size(), static_cast<int>(std::max<std::int64_t>(ms, 0)));
}

}  // namespace

// --- A loud peer --------------------------------------------------------------------------------

PingTimes ping_beside_a_flood(bool peels, Duration measured,
                              std::optional<double> flood_per_second) {
  constexpr std::size_t kPingers = 16, kFloodBytes = 200, kPingBytes = 12;
  constexpr Duration kEach = 100ms;  // one ping of each pinger; spread over that time
  BusyNode server({.shards = 2, .peels = peels});
  auto pingers = connect(kPingers, server.port());
  Background flood([port = server.port(), flood_per_second](const std::atomic<bool>& stop) {
    RawPeer peer(port);
    std::array<std::byte, kFloodBytes> message{std::byte{static_cast<int>(Demand::work)}};
    const Duration each(flood_per_second ? static_cast<Duration::rep>(1e9 / *flood_per_second) : 0);
    for (Instant next = Loop::fresh_now(); !stop; next += each) {
      sleep_until(next);
      while (!stop && !peer.send(message)) peer.wait(true, 50);
    }
  });

  PingTimes result;
  if (peels) {
    // A flood that nobody has to wait for stays where it is.
    const Duration patience = flood_per_second ? 10s : 30s;
    result.moved = within(patience, [&] { return server.said("association_moved"); });
    result.peeled = server.said("association_peeled");
  }
  std::this_thread::sleep_for(3s);  // the backlog there was, or the one that is to stand

  struct Ping {
    Instant sent;
    bool answered = false;
  };
  std::vector<Ping> pings;
  std::vector<Duration> times;
  const Instant begin = Loop::fresh_now(), end = begin + measured, last = end + 5s;
  Instant next = begin;
  std::array<std::byte, kPingBytes> message{std::byte{static_cast<int>(Demand::echo)}};
  std::size_t answered = 0;
  // Open loop: a ping is due when it is due, and counts from then.
  for (Instant now = begin; now < end || (answered < pings.size() && now < last);
       now = Loop::fresh_now()) {
    for (; next <= now && next < end; next += kEach / static_cast<int>(kPingers)) {
      store_u32(message.data() + 4, static_cast<std::uint32_t>(pings.size()));
      RawPeer& pinger = *pingers[pings.size() % kPingers];
      pings.push_back({next});
      if (!pinger.send(message)) throw std::runtime_error("a ping could not be sent");
    }
    for (auto& pinger : pingers) {
      while (const auto echo = pinger->receive()) {
        Ping& ping = pings.at(load_u32(echo->data() + 4));
        ping.answered = true;
        ++answered;
        times.push_back(Loop::fresh_now() - ping.sent);
      }
    }
    wait_for_any(pingers, std::max(next - Loop::fresh_now(), Duration(1ms)));
  }
  const Instant over = Loop::fresh_now();
  for (const Ping& ping : pings) {
    if (!ping.answered) times.push_back(over - ping.sent);
  }
  result.pings = pings.size();
  result.unanswered = pings.size() - answered;
  result.p50 = quantile(times, 0.5);
  result.p99 = quantile(times, 0.99);
  return result;
}

// --- A clogged peer -----------------------------------------------------------------------------

namespace {

constexpr std::size_t kQuestionBytes = 16;

std::array<std::byte, kQuestionBytes> question(std::uint16_t answer_bytes) {
  std::array<std::byte, kQuestionBytes> bytes{std::byte{static_cast<int>(Demand::answer)}};
  store_u16(bytes.data() + 1, answer_bytes);
  return bytes;
}

// So many peers, each with one question under way all the time; counts the answers.
std::unique_ptr<Background> keep_asking(std::size_t count, std::uint16_t port,
                                        std::uint16_t answer_bytes,
                                        std::atomic<std::uint64_t>& answers) {
  return std::make_unique<Background>([=, &answers](const std::atomic<bool>& stop) {
    auto peers = connect(count, port);
    const auto ask = question(answer_bytes);
    for (auto& peer : peers) (void)peer->send(ask);
    while (!stop) {
      wait_for_any(peers, 50ms);
      for (auto& peer : peers) {
        while (peer->receive()) {
          ++answers;
          (void)peer->send(ask);
        }
      }
    }
  });
}

// The usual loop on a one-to-many socket, with the buffers that an endpoint of ours has: when the
// socket takes no more, it waits until it does, and the answer that did not fit stands first.
class BareServer {
 public:
  explicit BareServer(const SctpOptions& options = {}) {
    const auto address = *transport::SocketAddress::parse("127.0.0.1", 0);
    const auto opened = transport::open_one_to_many({&address, 1}, options, false);
    if (opened.error != 0 || transport::listen_on(opened.fd) != 0) {
      throw std::runtime_error("no bare server: " + opened.step);
    }
    fd_ = opened.fd;
    thread_.emplace([this](const std::atomic<bool>& stop) { serve(stop); });
  }
  ~BareServer() {
    thread_.reset();
    ::close(fd_);
  }
  std::uint16_t port() const { return transport::local_port(fd_); }
  // Full of what nobody can read.
  bool is_wedged() const {
    const auto memory = transport::socket_memory(fd_);
    pollfd one{fd_, POLLIN, 0};
    return memory && memory->receive_used >= memory->receive_max && ::poll(&one, 1, 0) == 0;
  }

 private:
  void serve(const std::atomic<bool>& stop) {
    std::vector<std::byte> space(65536);
    while (!stop) {
      pollfd one{fd_, POLLIN, 0};
      if (::poll(&one, 1, 50) <= 0) continue;
      iovec into{space.data(), space.size()};
      const auto piece = transport::receive_piece(fd_, {&into, 1});
      if (piece.error != 0 || piece.is_notification) continue;
      std::vector<std::byte>& begun = begun_[piece.id];
      begun.insert(begun.end(), space.begin(),
                   space.begin() + static_cast<std::ptrdiff_t>(piece.size));
      if (!piece.ends) continue;
      std::vector<std::byte> whole = std::exchange(begun, {});
      if (whole[0] != std::byte{static_cast<int>(Demand::answer)}) continue;
      whole.resize(load_u16(whole.data() + 1));
      Message answer;
      answer.payload = Buffer::copy_of(whole);
      while (!stop && transport::send_message(fd_, piece.id, answer, {}) == EAGAIN) {
        pollfd room{fd_, POLLOUT, 0};
        ::poll(&room, 1, 50);
      }
    }
  }

  int fd_ = -1;
  std::map<transport::SctpId, std::vector<std::byte>> begun_;  // messages; of each peer, one
  std::optional<Background> thread_;
};

ExchangeRates exchange_with(std::uint16_t port, Duration measured) {
  constexpr std::size_t kExchanging = 15;
  constexpr std::uint16_t kAnswerBytes = 1000, kClogBytes = 20000;
  std::atomic<std::uint64_t> answers = 0;
  const auto exchanging = keep_asking(kExchanging, port, kAnswerBytes, answers);
  const auto rate = [&] {
    const Instant begin = Loop::fresh_now();
    const std::uint64_t before = answers;
    sleep_until(begin + measured);
    return static_cast<double>(answers - before) / seconds(Loop::fresh_now() - begin);
  };
  within(10s, [&] { return answers > 1000; });
  ExchangeRates rates;
  rates.undisturbed = rate();

  // 200 questions a second, whose answers stay in the buffers.
  Background stopped([port](const std::atomic<bool>& stop) {
    RawPeer peer(port, {.receive = 65536});
    const auto ask = question(kClogBytes);
    for (Instant next = Loop::fresh_now(); !stop; next += 5ms) {
      (void)peer.send(ask);
      sleep_until(next);
    }
  });
  std::this_thread::sleep_for(4s);
  rates.beside_a_stopped_peer = rate();
  return rates;
}

}  // namespace

ExchangeRates exchange_beside_a_stopped_peer(Server server, Duration measured) {
  if (server == Server::bare) {
    BareServer bare;
    return exchange_with(bare.port(), measured);
  }
  BusyNode node({.peels = server == Server::node});
  return exchange_with(node.port(), measured);
}

// --- The receive-buffer wedge -------------------------------------------------------------------

namespace {

// The kernel doubles both. The second is as much as it takes by default, and with the half of it,
// which it gives by default, the six have not been seen to overrun the first.
constexpr std::size_t kLittleMemory = 200'000;
constexpr int kPeerBuffer = 212'992;

// One of the six, on a thread of its own: sends numbered messages, and checks what comes back.
class TwoWay {
 public:
  TwoWay(std::uint16_t port, std::uint64_t seed, std::size_t count)
      : peer_(port, {.send = kPeerBuffer}),
        sizes_(seed),
        expected_(seed),
        count_(count),
        thread_([this](const auto& stop) {
          while (!stop && !done()) {
            pump();
            peer_.wait(sends(), 50);
          }
        }) {}

  bool done() const { return arrived == count_; }

  std::atomic<std::size_t> sent = 0, arrived = 0, wrong = 0;

 private:
  // Fewer bytes under way than one association may queue in the node.
  bool sends() const { return sent < count_ && sent < arrived + 1500; }
  void pump() {
    while (sends()) {
      if (next_.empty()) next_ = message(sizes_, sent);
      if (!peer_.send(next_)) break;
      next_.clear();
      ++sent;
    }
    while (const auto echo = peer_.receive()) {
      const std::vector<std::byte> right = message(expected_, arrived);
      if (!std::equal(echo->begin(), echo->end(), right.begin(), right.end())) ++wrong;
      ++arrived;
    }
  }
  // Mostly small ones: their bytes fit the windows that the node offers, and what the kernel spends
  // on them does not fit its memory.
  static std::vector<std::byte> message(Random& sizes, std::size_t number) {
    const auto kind = sizes.below(100);
    const std::size_t size = kind == 0  ? 20000
                             : kind < 9 ? 8 + sizes.below(3000)
                                        : 8 + sizes.below(192);
    std::vector<std::byte> bytes(size, static_cast<std::byte>(number));
    bytes[0] = std::byte{static_cast<int>(Demand::answer)};
    store_u16(bytes.data() + 1, static_cast<std::uint16_t>(size));
    store_u32(bytes.data() + 4, static_cast<std::uint32_t>(number));
    return bytes;
  }

  RawPeer peer_;
  Random sizes_, expected_;
  std::size_t count_;
  std::vector<std::byte> next_;
  Background thread_;
};

// `at_end`: while the peers are still there.
template <class AtEnd>
TwoWayRun exchange_both_ways_with(std::uint16_t port, std::size_t messages_each,
                                  Duration silence_max, AtEnd at_end) {
  constexpr std::size_t kPeers = 6;
  std::vector<std::unique_ptr<TwoWay>> peers;
  for (std::size_t i = 0; i < kPeers; ++i) {
    peers.push_back(std::make_unique<TwoWay>(port, i + 1, messages_each));
  }
  TwoWayRun run;
  const std::size_t all = kPeers * messages_each;
  Duration silence{};
  for (Instant last = Loop::fresh_now(); run.arrived < all && silence <= silence_max;) {
    std::this_thread::sleep_for(5ms);
    std::size_t arrived = 0;
    for (const auto& peer : peers) arrived += peer->arrived;
    silence = Loop::fresh_now() - last;
    run.longest_silence = std::max(run.longest_silence, silence);
    if (arrived > std::exchange(run.arrived, arrived)) last = Loop::fresh_now();
  }
  for (const auto& peer : peers) {
    run.sent += peer->sent;
    run.wrong += peer->wrong;
  }
  at_end(run);
  return run;
}

// Nobody is loud: a wedge alone peels.
BusyNodeOptions with_little_memory(bool peels) {
  return {
      .peels = peels, .loud_per_second = 1e9, .receive_buffer_bytes = kLittleMemory, .work = {}};
}

SctpOptions bare_with_little_memory() {
  SctpOptions options;
  options.receive_buffer_bytes = kLittleMemory;
  return options;
}

WedgeCare care_of(BusyNode& node) {
  return {node.node().count(transport::counter::receive_stalls),
          node.said("association_peeled", "receive_wedge"), node.said("notice", "doubled to")};
}

}  // namespace

TwoWayRun exchange_with_little_receive_buffer(Server server, std::size_t messages_each,
                                              Duration silence_max) {
  if (server == Server::bare) {
    BareServer bare(bare_with_little_memory());
    return exchange_both_ways_with(bare.port(), messages_each, silence_max,
                                   [&](TwoWayRun& run) { run.ends_wedged = bare.is_wedged(); });
  }
  BusyNode node(with_little_memory(server == Server::node));
  return exchange_both_ways_with(node.port(), messages_each, silence_max,
                                 [&](TwoWayRun& run) { run.care = care_of(node); });
}

namespace {

WedgedRun exchange_beside_gaps_with(std::uint16_t port, Duration measured) {
  constexpr std::size_t kExchanging = 6, kGaps = 6;
  constexpr std::uint16_t kAnswerBytes = 200;
  // Within the window of each, and together more than the memory.
  constexpr std::size_t kBehindEach = 120, kBytesEach = 1400;
  std::atomic<std::uint64_t> answers = 0;
  const auto exchanging = keep_asking(kExchanging, port, kAnswerBytes, answers);
  if (!within(10s, [&] { return answers > 100; })) throw std::runtime_error("nobody answers");
  std::vector<std::unique_ptr<GapPeer>> gaps;
  for (std::size_t i = 0; i < kGaps; ++i) {
    gaps.push_back(std::make_unique<GapPeer>(UdpEncapsulation::kPort, port));
    gaps.back()->send_behind_a_gap(kBehindEach, kBytesEach,
                                   std::byte{static_cast<int>(Demand::work)});
  }
  WedgedRun run;
  const Instant begin = Loop::fresh_now();
  const std::uint64_t before = answers;
  std::uint64_t seen = before;
  for (Instant now = begin, last = begin; now - begin < measured; now = Loop::fresh_now()) {
    if (std::exchange(seen, answers) != answers) last = now;
    run.longest_silence = std::max(run.longest_silence, now - last);
    std::this_thread::sleep_for(5ms);
  }
  run.answers = seen - before;
  run.gaps_filled = within(5s, [&] {
    bool all = true;
    for (auto& peer : gaps) {
      if (peer->all_acknowledged()) continue;
      peer->fill_the_gap();
      all = false;
    }
    return all;
  });
  return run;
}

}  // namespace

WedgedRun exchange_beside_gaps(Server server, Duration measured) {
  const UdpEncapsulation encapsulation;
  if (server == Server::bare) {
    BareServer bare(bare_with_little_memory());
    return exchange_beside_gaps_with(bare.port(), measured);
  }
  BusyNode node(with_little_memory(server == Server::node));
  WedgedRun run = exchange_beside_gaps_with(node.port(), measured);
  run.care = care_of(node);
  return run;
}

}  // namespace siglane::test
