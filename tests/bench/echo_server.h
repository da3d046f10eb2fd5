#pragma once
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/support/busy_node.h"
#include "tests/support/counting_new.h"
#include "tests/support/raw_peer.h"

// An echo server in a process of its own, whose time and memory are measured from outside.
namespace siglane::test {

// What both processes see.
struct Shared {
  std::atomic<std::uint16_t> port;
  std::atomic<std::size_t> sessions;  // where the server counts them
  Allocations allocations;            // of the server
};
inline Shared* shared = nullptr;

struct EchoCost {
  double cpu_ns = 0, allocations = 0;  // for each message, of the server
};

class EchoServer {
 public:
  explicit EchoServer(pid_t process) : process_(process) {
    while (shared->port == 0) ::usleep(1000);
  }
  std::uint16_t port() const { return shared->port; }
  std::uint64_t bytes_in_use() const { return shared->allocations.bytes_in_use; }
  template <class Work>
  EchoCost cost_of(std::size_t messages, Work work) const {
    const std::uint64_t time = cpu_time(), allocations = shared->allocations.count;
    work();
    const auto each = [&](std::uint64_t now, std::uint64_t before) {
      return static_cast<double>(now - before) / static_cast<double>(messages);
    };
    return {each(cpu_time(), time), each(shared->allocations.count, allocations)};
  }

 private:
  // Of its one thread, in ns.
  std::uint64_t cpu_time() const {
    std::ifstream file("/proc/" + std::to_string(process_) + "/schedstat");
    std::uint64_t time = 0;
    file >> time;
    return time;
  }

  pid_t process_;
};

// `burst` messages are under way at a time, in one bundle, on one peer after another.
inline void echo(std::vector<std::unique_ptr<RawPeer>>& peers, std::size_t burst,
                 std::size_t messages) {
  constexpr std::size_t kEchoBytes = 200;
  const std::array<std::byte, kEchoBytes> message{std::byte{static_cast<int>(Demand::echo)}};
  for (std::size_t sent = 0, turn = 0; sent < messages; sent += burst, ++turn) {
    RawPeer& peer = *peers[turn % peers.size()];
    for (std::size_t i = 0; i < burst; ++i) {
      if (!peer.send(message, i + 1 < burst)) throw std::runtime_error("no room to send");
    }
    for (std::size_t came = 0; came < burst;) {
      peer.wait(false, 5000);
      const std::size_t before = came;
      while (peer.receive()) ++came;
      if (came == before) throw std::runtime_error("an echo did not come");
    }
  }
}

// Runs `serve` in a child until `measure` is done here; main's exit status.
template <class Serve, class Measure>
int run_with_server(Serve serve, Measure measure) {
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  shared = new (memory) Shared{};
  const pid_t server = ::fork();
  if (server < 0) return 1;
  int status = 0;
  try {
    if (server == 0) {
      allocations_counted_in = &shared->allocations;
      serve();
      return 0;
    }
    measure(EchoServer(server));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", server == 0 ? "server" : "client", error.what());
    status = 1;
  }
  if (server == 0) return status;
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return status;
}

}  // namespace siglane::test
