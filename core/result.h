#pragma once
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace siglane {

// What went wrong in words that an operator can act on: names the file, peer or address it is
// about.
struct Error {
  std::string what;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> failure(std::string what) {
  return tl::unexpected<Error>(Error{std::move(what)});
}

}  // namespace siglane
