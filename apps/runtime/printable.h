#pragma once
#include <string>
#include <string_view>

namespace siglane::runtime {

// Text from outside as an operator may see it: printable ASCII stands as it is, every other
// character as JSON escapes it (\n, \u001b, \u202e), a byte that is not UTF-8 as \xNN. So nothing
// that a peer or a file says moves a terminal's cursor, hides text or changes its order.
// Characters of `also` get a backslash in front. With the backslash among them, no two texts look
// the same; without it, text that is printable already stays as it is.
std::string printable(std::string_view text, std::string_view also = "\\");

// The same for each line of several; the ends of the lines stay.
std::string printable_lines(std::string_view text);

// The same between double quotes.
std::string in_quotes(std::string_view text);

bool is_printable(std::string_view text);
bool is_utf8(std::string_view text);

}  // namespace siglane::runtime
