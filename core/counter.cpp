#include "core/counter.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace siglane {
namespace {

struct Catalogue {
  std::vector<CounterInfo> counters;
  std::atomic<bool> closed = false;
};

// In a function: counters are defined before main(), in whichever order the linker chose.
Catalogue& catalogue() {
  static Catalogue all;
  return all;
}

// Our bug, or that of the application's author: it shows at the first start, and nothing that such
// a program counts could be trusted.
[[noreturn]] void refuse(std::string_view name, const char* why) {
  std::fprintf(stderr, "counter %.*s: %s\n", static_cast<int>(name.size()), name.data(), why);
  std::abort();
}

bool same_names(std::span<const Label> a, std::span<const Label> b) {
  return std::ranges::equal(a, b, {}, &Label::name, &Label::name);
}

}  // namespace

Counter::Counter(std::string_view name, std::string_view help, std::span<const Label> labels)
    : index_(static_cast<std::uint32_t>(catalogue().counters.size())) {
  auto& counters = catalogue().counters;
  const auto known = std::ranges::find(counters, name, &CounterInfo::name);
  if (known != counters.end()) {
    if (known->help != help || !same_names(known->labels, labels)) {
      refuse(name, "is defined twice, with different words");
    }
    index_ = known->counter.index_;
    return;
  }
  if (catalogue().closed) {
    refuse(
        name,
        "is defined after the node was made; define it as a constant of namespace scope, so that "
        "it is known before main()");
  }
  counters.push_back(
      {*this, std::string(name), std::string(help), std::vector(labels.begin(), labels.end())});
}

std::span<const CounterInfo> counter_catalogue() {
  return catalogue().counters;
}

void close_counter_catalogue() {
  catalogue().closed = true;
}

}  // namespace siglane
