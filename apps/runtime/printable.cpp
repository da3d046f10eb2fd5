#include "apps/runtime/printable.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include <fmt/format.h>

namespace siglane::runtime {

namespace {

constexpr bool is_printable_ascii(unsigned char c) {
  return c >= ' ' && c < 0x7f;
}

struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 0;  // 0: the bytes are not UTF-8 (RFC 3629)
};

Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  std::uint32_t code = lead & (0xffu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[bytes] || code > 0x10ffff || surrogate) return {};
  return {code, bytes};
}

void escape(std::uint32_t code, std::string& into) {
  constexpr std::string_view kShort = "\b\t\n\f\r", kLetters = "btnfr";
  if (const auto at = kShort.find(static_cast<char>(code)); code < ' ' && at != kShort.npos) {
    into += '\\';
    into += kLetters[at];
  } else if (code < 0x10000) {
    fmt::format_to(std::back_inserter(into), "\\u{:04x}", code);
  } else {
    code -= 0x10000;  // a surrogate pair, as JSON writes it (RFC 8259 §7)
    fmt::format_to(std::back_inserter(into), "\\u{:04x}\\u{:04x}", 0xd800 + (code >> 10),
                   0xdc00 + (code & 0x3ff));
  }
}

}  // namespace

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_printable_ascii(static_cast<unsigned char>(c)); });
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character character = first_character(text);
    if (character.bytes == 0) return false;
    text.remove_prefix(character.bytes);
  }
  return true;
}

std::string printable(std::string_view text, std::string_view also) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const char c = text.front();
    if (is_printable_ascii(static_cast<unsigned char>(c))) {
      if (also.find(c) != also.npos) shown += '\\';
      shown += c;
      text.remove_prefix(1);
      continue;
    }
    const Character character = first_character(text);
    if (character.bytes == 0) {
      fmt::format_to(std::back_inserter(shown), "\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      escape(character.code, shown);
    }
    text.remove_prefix(std::max<std::size_t>(1, character.bytes));
  }
  return shown;
}

std::string printable_lines(std::string_view text) {
  std::string lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines += printable(text.substr(0, end), "");
    if (end < text.size()) lines += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string in_quotes(std::string_view text) {
  return fmt::format("\"{}\"", printable(text, "\\\""));
}

}  // namespace siglane::runtime
