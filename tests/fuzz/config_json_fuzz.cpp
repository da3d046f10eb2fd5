// Any text as a config: an answer with a line for each mistake, or a config; never anything else.
#include <cstdint>
#include <cstdlib>

#include "apps/runtime/config.h"
#include "apps/runtime/endpoint_checks.h"
#include "apps/runtime/printable.h"

using namespace siglane::runtime;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto document = JsonDocument::parse("c.json", text);
  if (!document) {
    const std::string& what = document.error().what;
    if (!what.starts_with("c.json:") || !is_printable(what)) std::abort();
    return 0;
  }
  ConfigReader reader(*document);
  NodeConfig node = read_node_config(reader.root(), {"echo"});
  for (const ObjectReader& peer : reader.root().objects("peers")) {
    read_peer(peer, "echo", 3868, node);
    peer.decimal("rate", 1, {.min = 0, .max = 10});
    peer.numbers<std::int16_t>("numbers");
    if (peer.has("key")) peer.hex_bytes("key", 4);
  }
  check_endpoints_used(reader.root(), node);
  const auto good = reader.finish();
  if (good && node.endpoints.empty()) std::abort();
  if (good) return 0;
  std::string what = good.error().what;
  std::erase(what, '\n');
  if (!is_printable(what)) std::abort();
  return 0;
}
