#include "apps/hss/subscription.h"

#include <array>

namespace siglane::hss {
bool Subscription::allows(RatType rat) const {
  switch (rat) {
    case RatType::wlan:
    case RatType::virtual_:
      return (access_restriction & kHandoverToNon3gppNotAllowed) == 0;
    case RatType::utran:
      return (access_restriction & kUtranNotAllowed) == 0;
    case RatType::geran:
      return (access_restriction & kGeranNotAllowed) == 0;
    case RatType::gan:
      return (access_restriction & kGanNotAllowed) == 0;
    case RatType::hspa_evolution:
      return (access_restriction & kHspaEvolutionNotAllowed) == 0;
    case RatType::eutran:
      return (access_restriction & kEutranNotAllowed) == 0;
    case RatType::eutran_nb_iot:
      return (access_restriction & kNbIotNotAllowed) == 0;
    case RatType::nr:
      return false;  // no MME serves NR
  }
  return false;
}

// Octet 1: MCC 2, MCC 1; octet 2: MNC 3 (or filler 1111), MCC 3; octet 3: MNC 2, MNC 1.
std::optional<Plmn> plmn_from_digits(std::string_view digits) {
  if (digits.size() != 5 && digits.size() != 6) return std::nullopt;
  std::array<unsigned, 6> d{};
  d[5] = 15;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (digits[i] < '0' || digits[i] > '9') return std::nullopt;
    d[i] = static_cast<unsigned>(digits[i] - '0');
  }
  return Plmn{static_cast<std::byte>(d[1] << 4 | d[0]), static_cast<std::byte>(d[5] << 4 | d[2]),
              static_cast<std::byte>(d[4] << 4 | d[3])};
}

std::string digits_of(const Plmn& plmn) {
  std::string digits;
  const auto add = [&](unsigned nibble) {
    if (nibble < 10) digits += static_cast<char>('0' + nibble);
  };
  const auto low = [&](std::size_t i) { return std::to_integer<unsigned>(plmn[i]) & 15; };
  const auto high = [&](std::size_t i) { return std::to_integer<unsigned>(plmn[i]) >> 4; };
  for (unsigned nibble : {low(0), high(0), low(1), low(2), high(2), high(1)}) add(nibble);
  return digits;
}

}  // namespace siglane::hss
