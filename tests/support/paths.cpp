#include "tests/support/paths.h"

namespace siglane::test {

std::string source_dir() {
  return SIGLANE_SOURCE_DIR;
}
std::string binary_dir() {
  return SIGLANE_BINARY_DIR;
}

}  // namespace siglane::test
