// Any text as a config: an answer with a line for each mistake, or a config, whose effective form
// is the same config again; never anything else.
#include <cstdint>
#include <cstdlib>

#include "apps/runtime/config.h"
#include "apps/runtime/endpoint_checks.h"
#include "apps/runtime/printable.h"

using namespace siglane::runtime;

namespace {

struct Outcome {
  siglane::Result<void> good;
  std::string effective;
  bool has_secret = false;
};

Outcome read(const JsonDocument& document) {
  ConfigReader reader(document);
  Outcome outcome;
  NodeConfig node = read_node_config(reader.root(), {"echo"});
  for (const ObjectReader& peer : reader.root().objects("peers")) {
    read_peer(peer, "echo", 3868, node);
    peer.decimal("rate", 1, {.min = 0, .max = 10});
    peer.numbers<std::int16_t>("numbers");
    if (!peer.has("key")) continue;
    outcome.has_secret = true;
    peer.hex_bytes("key", 4);
  }
  check_endpoints_used(reader.root(), node);
  outcome.good = reader.finish();
  if (outcome.good && node.endpoints.empty()) std::abort();
  if (outcome.good) outcome.effective = to_text(reader.effective());
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto document = JsonDocument::parse("c.json", text);
  if (!document) {
    const std::string& what = document.error().what;
    if (!what.starts_with("c.json:") || !is_printable(what)) std::abort();
    return 0;
  }
  const Outcome outcome = read(*document);
  if (outcome.good) {
    const auto again = JsonDocument::parse("c.json", outcome.effective);
    if (!again) std::abort();
    // A secret is masked, and its mask is none.
    if (!outcome.has_secret && read(*again).effective != outcome.effective) std::abort();
    return 0;
  }
  std::string what = outcome.good.error().what;
  std::erase(what, '\n');
  if (!is_printable(what)) std::abort();
  return 0;
}
