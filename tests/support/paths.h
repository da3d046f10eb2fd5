#pragma once
#include <string>

// Where the tree and its build are. Functions, so that only one file is compiled anew when they are
// elsewhere: ccache serves the rest from another clone.
namespace siglane::test {

std::string source_dir();
std::string binary_dir();

}  // namespace siglane::test
