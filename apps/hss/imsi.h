#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace siglane::hss {

// An International Mobile Subscriber Identity (TS 23.003 §2.2): MCC, MNC and MSIN, 6 to 15 digits.
class Imsi {
 public:
  Imsi() = default;
  static std::optional<Imsi> parse(std::string_view text) {
    const bool digits =
        std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || text.size() < kDigitsMin || text.size() > kDigitsMax) return std::nullopt;
    Imsi imsi;
    imsi.size_ = static_cast<std::uint8_t>(text.size());
    std::copy(text.begin(), text.end(), imsi.digits_.begin());
    return imsi;
  }

  std::string_view text() const { return {digits_.data(), size_}; }
  friend bool operator==(const Imsi& a, const Imsi& b) { return a.text() == b.text(); }

 private:
  static constexpr std::size_t kDigitsMin = 6, kDigitsMax = 15;
  std::array<char, kDigitsMax> digits_{};
  std::uint8_t size_ = 0;
};

}  // namespace siglane::hss
