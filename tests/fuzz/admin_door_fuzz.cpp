// Any bytes on a connection to the admin API, in pieces, to libmicrohttpd and the door behind it.
// No right is needed at the socket, and none of it may bring more to the node than whole requests
// of its own API.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "apps/runtime/admin/door.h"
#include "apps/runtime/admin/listening.h"
#include "apps/runtime/fact_log.h"
#include "tests/support/raw_http.h"
#include "tests/support/temporary_directory.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

class Node final : public AdminNode {
 public:
  void ask(const admin::Request& request, Reply reply) override {
    if (request.what_case() == admin::Request::WHAT_NOT_SET) std::abort();
    reply(admin::Response());
  }
  void look_alive(std::function<void()> then) override { then(); }
  std::optional<std::string> not_ready() const override { return std::nullopt; }
  const FactLog& facts() const override { return log_; }
  std::int64_t started_unix_ms() const override { return 1; }
  void on_refused(const HttpClient&, unsigned, std::string_view) override {}

 private:
  FactLog log_{LogConfig(), 10, nullptr};
};

struct World {
  World() : loop(std::move(*transport::Loop::create())) {
    Gate gate;
    gate.listening_socket = listen_at(path, std::nullopt).value();
    gate.rules.without_token = Right::change;
    std::vector<Gate> gates;
    gates.push_back(std::move(gate));
    door = std::move(
        *Door::open(*loop, std::move(gates), node, {.questions_per_second_max = 1'000'000}));
  }
  siglane::testing::TemporaryDirectory directory;
  std::string path = directory.path("s");
  std::unique_ptr<transport::Loop> loop;
  Node node;
  std::unique_ptr<Door> door;
};

}  // namespace
}  // namespace siglane::runtime

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static siglane::runtime::World world;
  if (size == 0) return 0;
  siglane::testing::RawHttp client(world.path);
  if (!client.connected()) std::abort();
  std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t piece = 1 + data[0];
  bool closed = false;
  while (!bytes.empty() && !closed) {
    bytes.remove_prefix(std::max<std::size_t>(client.say(bytes.substr(0, piece)), 1));
    for (int turn = 0; turn < 3; ++turn) world.loop->run_once(false);
    closed = client.hear();
  }
  client.half_close();
  for (int turn = 0; turn < 4; ++turn) world.loop->run_once(false);
  return 0;
}
