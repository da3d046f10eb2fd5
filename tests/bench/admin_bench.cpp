// What it costs a node to tell an operator of many associations, in one run: the longest turn of
// the node's loop where its shard answers in one piece, and where it answers in slices
// (Node::walk); and the p99 of peers that exchange messages with it, without a client of its admin
// API and with one that asks all the time.
//
//   admin_bench ASSOCIATIONS
//
// And the same p99 of a node with a hundred peers, without clients and with a crowd of them: 50
// requests a second for each path, and 20 listeners to events that read a byte at a time.
//
//   admin_bench crowd
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apps/ctl/admin_client.h"
#include "apps/runtime/admin/service.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "apps/runtime/program.h"
#include "core/histogram.h"
#include "tests/component/echo_module.h"
#include "tests/support/raw_http.h"
#include "tests/support/temporary_directory.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// The loop's own work, whatever else the machine does.
double thread_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

std::unique_ptr<Node> listening_node(const std::string& admin_socket) {
  NodeConfig config;
  config.name = "node";
  config.admin.socket = admin_socket;
  config.admission.accept_unknown_peers = true;
  NodeEndpoint endpoint;
  endpoint.module = "echo";
  endpoint.endpoint.name = "main";
  endpoint.endpoint.transport = TransportKind::tcp;
  endpoint.endpoint.addresses = {"127.0.0.1"};
  endpoint.endpoint.listening = true;
  endpoint.endpoint.associations_max = 100'000;
  config.endpoints = {endpoint};
  NodeBuilder builder(config);
  builder.embed();
  builder.add_module(std::make_unique<siglane::testing::EchoModule>("node"));
  auto node = std::move(builder).build();
  if (!node) {
    std::fprintf(stderr, "%s\n", node.error().what.c_str());
    std::exit(1);
  }
  return std::move(*node);
}

std::uint16_t port_of(Node& node) {
  for (;; node.turn(false)) {
    for (const KeptFact& kept : node.facts().after(0, 100)) {
      for (const FactField& field : kept.fact.fields) {
        if (field.key == "port") return static_cast<std::uint16_t>(std::stoi(field.value));
      }
    }
  }
}

// The longest turn of the loop until `done`, in milliseconds.
double longest_turn(Node& node, const bool& done) {
  double longest = 0;
  while (!done) {
    const double began = thread_ms();
    node.turn(false);
    longest = std::max(longest, thread_ms() - began);
  }
  return longest;
}

double in_slices(Node& node, const admin::Request& request) {
  bool done = false;
  admin::Response kept;  // the node has others destroy it
  answer_admin(node, request, [&](admin::Response response) {
    kept = std::move(response);
    done = true;
  });
  return longest_turn(node, done);
}

// All of a shard in one turn, and the answer encoded there too.
double in_one_piece(Node& node) {
  bool done = false;
  node.call([&] {
    const WallClock time(transport::Loop::fresh_now());
    admin::Response response;
    node.on_each_shard(
        [&](const Shard& shard, const Transport& transport) {
          shard.visit_sessions([&](const SessionView& view) {
            *response.mutable_associations()->add_association() =
                admin_association(view, shard.id(), transport, time);
          });
        },
        [&] { done = !response.SerializeAsString().empty(); });
  });
  return longest_turn(node, done);
}

struct Turns {
  double one_piece, associations, peers, by_peer;
};

constexpr std::array kQuestions{admin::Request::kAssociations, admin::Request::kPeers,
                                admin::Request::kStats};

admin::Request question(admin::Request::WhatCase what) {
  admin::Request request;
  if (what == admin::Request::kAssociations) request.mutable_associations();
  if (what == admin::Request::kPeers) request.mutable_peers();
  if (what == admin::Request::kStats) request.mutable_stats()->set_by_peer(true);
  return request;
}

void write_all(int fd, const void* data, std::size_t size) {
  if (::write(fd, data, size) != static_cast<ssize_t>(size)) fail("write");
}
void read_all(int fd, void* data, std::size_t size) {
  for (auto* at = static_cast<char*>(data); size > 0;) {
    const ssize_t got = ::read(fd, at, size);
    if (got <= 0) fail("a child ended");
    at += got;
    size -= static_cast<std::size_t>(got);
  }
}

// A process of its own, which ends with this one at the latest.
class Child {
 public:
  explicit Child(const std::function<void(int tell)>& body) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) fail("fork");
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      ::close(ends[0]);
      body(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    hear_ = ends[0];
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(hear_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  template <class Value>
  Value hear() {
    Value value;
    read_all(hear_, &value, sizeof value);
    return value;
  }
  // What it has told and is unheard, to the last of it; a default value if that is nothing.
  template <class Value>
  Value latest() {
    Value value{};
    for (pollfd more{hear_, POLLIN, 0}; ::poll(&more, 1, 0) == 1;) value = hear<Value>();
    return value;
  }

 private:
  pid_t pid_;
  int hear_;
};

// Tells its port, then, once `many` peers are there, its longest turns, and serves on.
void be_the_node(const std::string& admin_socket, std::size_t many, int tell) {
  tune_heap();
  const auto node = listening_node(admin_socket);
  const std::uint16_t port = port_of(*node);
  write_all(tell, &port, sizeof port);
  while (node->count(counter::messages_sent) < many) node->turn(false);
  const Turns turns{in_one_piece(*node), in_slices(*node, question(admin::Request::kAssociations)),
                    in_slices(*node, question(admin::Request::kPeers)),
                    in_slices(*node, question(admin::Request::kStats))};
  write_all(tell, &turns, sizeof turns);
  node->run();
}

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Dashboards and scripts, and listeners that hardly listen. Tells how many answers they have had.
void be_the_crowd(const std::string& admin_socket, int tell) {
  constexpr std::array kPaths{"/v1",
                              "/v1/node",
                              "/v1/peers",
                              "/v1/associations",
                              "/v1/stats",
                              "/v1/stats?by_peer",
                              "/v1/stats?labels",
                              "/v1/drops",
                              "/v1/facts",
                              "/livez",
                              "/readyz"};
  constexpr std::int64_t kPause = 1'000'000'000 / 50;
  constexpr std::size_t kListeners = 20;
  struct Asker {
    siglane::testing::RawHttp http;
    bool waits = false;
  };
  std::vector<Asker> askers;
  for (std::size_t i = 0; i < kPaths.size(); ++i)
    askers.push_back({siglane::testing::RawHttp(admin_socket)});
  std::vector<siglane::testing::RawHttp> listeners;
  for (std::size_t i = 0; i < kListeners; ++i) {
    listeners.emplace_back(admin_socket).get("/v1/events?after=0");
  }
  std::uint32_t answers = 0;
  for (std::int64_t next = now_ns();; next += kPause) {
    write_all(tell, &answers, sizeof answers);
    for (std::size_t i = 0; i < kPaths.size(); ++i) {
      if (!std::exchange(askers[i].waits, true)) askers[i].http.get(kPaths[i]);
    }
    for (auto& one : listeners) one.hear(1);
    while (now_ns() < next + kPause) {
      for (Asker& one : askers) {
        if (!one.waits) continue;
        if (one.http.hear()) fail("the node hung up on its operator");
        if (!one.http.answer()) continue;
        one.waits = false;
        ++answers;
      }
      const timespec pause{0, 1'000'000};
      ::nanosleep(&pause, nullptr);
    }
  }
}

// Asks the next question as soon as it has an answer, and tells how many it has had.
void be_the_operator(const std::string& admin_socket, int tell) {
  ctl::AdminClient client({.socket = admin_socket});
  for (std::uint32_t answers = 0;; ++answers) {
    write_all(tell, &answers, sizeof answers);
    if (!client.ask(question(kQuestions[answers % kQuestions.size()]), 60s)) {
      fail("the node hung up on its operator");
    }
  }
}

void say(int fd, std::string text) {
  text.insert(text.begin(), static_cast<char>(text.size()));
  if (::send(fd, text.data(), text.size(), MSG_NOSIGNAL) < 0) fail("send");
}

// What came: each message's text to `take`.
template <class Take>
void hear(int fd, Take take) {
  std::array<char, 4096> bytes;
  const ssize_t got = ::recv(fd, bytes.data(), bytes.size(), 0);
  if (got <= 0) fail("recv");
  for (std::string_view rest(bytes.data(), static_cast<std::size_t>(got)); !rest.empty();) {
    const auto size = static_cast<unsigned char>(rest[0]);
    if (rest.size() <= size) fail("the end of a message is missing");
    take(rest.substr(1, size));
    rest.remove_prefix(1 + size);
  }
}

class Peers {
 public:
  Peers(std::uint16_t port, std::size_t many) {
    address_.sin_family = AF_INET;
    address_.sin_port = htons(port);
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while (peers_.size() < many) {
      const std::size_t first = peers_.size();
      while (peers_.size() < std::min(first + 64, many)) connect_one();
      for (std::size_t i = first; i < peers_.size(); ++i) hear(peers_[i].fd, [](auto) {});
    }
  }
  ~Peers() {
    for (const pollfd& peer : peers_) ::close(peer.fd);
  }
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  // Of the time from when a message was due to its answer, in microseconds. Some of the peers send
  // in turn, at `rate` messages a second all together, for so many seconds.
  double p99_us(std::int64_t rate, std::int64_t seconds) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    const std::size_t loud = std::min<std::size_t>(peers_.size(), 32);
    const std::int64_t last = rate * seconds, interval = kSecond / rate, began = now_ns();
    Histogram latency;
    for (std::int64_t sent = 0; static_cast<std::int64_t>(latency.count()) < last;) {
      for (; sent < last && now_ns() >= began + sent * interval; ++sent) {
        say(peers_[static_cast<std::size_t>(sent) % loud].fd, "ping " + std::to_string(sent));
      }
      const std::int64_t next = began + sent * interval;
      const timespec patience{
          0, sent < last ? std::max<std::int64_t>(next - now_ns(), 0) : kSecond - 1};
      if (::ppoll(peers_.data(), loud, &patience, nullptr) < 0) fail("ppoll");
      for (std::size_t i = 0; i < loud; ++i) {
        if (peers_[i].revents == 0) continue;
        hear(peers_[i].fd, [&](std::string_view text) {
          const std::int64_t number = std::stoll(std::string(text.substr(5)));  // "pong N"
          latency.record(static_cast<std::uint64_t>(now_ns() - began - number * interval));
        });
      }
    }
    return static_cast<double>(latency.quantile(0.99)) / 1e3;
  }

 private:
  void connect_one() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&address_), sizeof address_) != 0) {
      fail("connect");
    }
    peers_.push_back({fd, POLLIN, 0});
    say(fd, "I am peer" + std::to_string(peers_.size()));
  }

  sockaddr_in address_{};
  std::vector<pollfd> peers_;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

int run(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: admin_bench ASSOCIATIONS | crowd\n");
    return 2;
  }
  constexpr std::int64_t kRate = 5'000, kSeconds = 2;
  constexpr int kRounds = 9;
  const bool crowd = std::string_view(argv[1]) == "crowd";
  const std::size_t many = crowd ? 100 : std::stoul(argv[1]);
  const rlimit descriptors{many + 1000, many + 1000};
  if (::setrlimit(RLIMIT_NOFILE, &descriptors) != 0) fail("setrlimit");
  const siglane::testing::TemporaryDirectory directory;
  const std::string admin_socket = directory.path("admin.sock");

  Child node([&](int tell) { be_the_node(admin_socket, many, tell); });
  Peers peers(node.hear<std::uint16_t>(), many);
  const auto turns = node.hear<Turns>();

  std::vector<double> alone, asked;
  std::uint32_t answers = 0;
  for (int round = 0; round < kRounds; ++round) {
    alone.push_back(peers.p99_us(kRate, kSeconds));
    Child client([&](int tell) {
      return crowd ? be_the_crowd(admin_socket, tell) : be_the_operator(admin_socket, tell);
    });
    client.hear<std::uint32_t>();  // it is connected
    asked.push_back(peers.p99_us(kRate, kSeconds));
    answers += client.latest<std::uint32_t>();
  }
  std::printf(
      "{\"associations\": %zu, \"one_piece_ms\": %.2f, \"associations_ms\": %.2f, "
      "\"peers_ms\": %.2f, \"by_peer_ms\": %.2f, \"ratio\": %.1f, \"alone_p99_us\": %.0f, "
      "\"asked_p99_us\": %.0f, \"answers_per_second\": %.1f}\n",
      many, turns.one_piece, turns.associations, turns.peers, turns.by_peer,
      turns.one_piece / turns.associations, median(alone), median(asked),
      answers / static_cast<double>(kRounds * kSeconds));
  return 0;
}

}  // namespace
}  // namespace siglane::runtime

int main(int argc, char** argv) {
  return siglane::runtime::run(argc, argv);
}
