#include "core/host_name.h"

#include <algorithm>

namespace siglane {
namespace {

constexpr std::size_t kNameBytesMax = 255, kLabelBytesMax = 63;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter_or_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kLabelBytesMax && is_letter_or_digit(label.front()) &&
         is_letter_or_digit(label.back()) && std::all_of(label.begin(), label.end(), [](char c) {
           return is_letter_or_digit(c) || c == '-';
         });
}

}  // namespace

bool is_host_name(std::string_view text) {
  if (text.size() > kNameBytesMax) return false;
  for (;;) {
    const std::string_view label = text.substr(0, text.find('.'));
    if (!is_label(label)) return false;
    if (label.size() == text.size()) {
      return !std::all_of(label.begin(), label.end(), is_digit);
    }
    text.remove_prefix(label.size() + 1);
  }
}

}  // namespace siglane
