#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace siglane::runtime {

// A warning, if everybody on the machine may read or change a file that holds keys: `what` it is,
// its mode, and what to do. A group that may is somebody's choice.
std::optional<std::string> exposed_key_file(std::string_view what, const std::string& file);

}  // namespace siglane::runtime
