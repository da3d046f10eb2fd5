#pragma once
#include <string_view>

namespace siglane {

// A fully qualified domain name, as RFC 1035 §2.3.1 and RFC 1123 §2.1 want it: labels of 1 to 63
// letters, digits and hyphens, which begin and end with a letter or digit, dots between them, at
// most 255 octets in all; the last label is not a number, so no IP address is one.
bool is_host_name(std::string_view text);

}  // namespace siglane
