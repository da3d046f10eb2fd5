#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/random.h"
#include "protocols/diameter/config.h"
#include "protocols/diameter/message.h"

namespace siglane::load {

// The requests of an MME towards the HSS that the tool knows (3GPP TS 29.272 §7.2).
enum class S6aRequest : std::uint8_t { authentication_information, update_location, purge_ue };
inline constexpr std::array kS6aRequests = {S6aRequest::authentication_information,
                                            S6aRequest::update_location, S6aRequest::purge_ue};
std::string_view name_of(S6aRequest request);  // "AIR"

// Consecutive subscribers, `first` being up to 15 decimal digits (3GPP TS 23.003 §2.2).
class ImsiRange {
 public:
  ImsiRange() = default;
  // nullopt: `first` is no IMSI, `count` is 0, or the range runs out of its digits.
  static std::optional<ImsiRange> from(std::string_view first, std::uint64_t count);

  std::uint64_t count() const { return count_; }
  std::size_t digits() const { return digits_; }
  // Writes digits() decimal digits. Precondition: index < count().
  void write(std::uint64_t index, std::byte* at) const;
  std::string text(std::uint64_t index) const;

 private:
  std::uint64_t first_ = 0;
  std::uint64_t count_ = 0;
  std::size_t digits_ = 0;
};

struct S6aRequestsConfig {
  ImsiRange imsis;
  std::string destination_realm;
  std::string destination_host;             // empty: by realm alone
  std::array<std::byte, 3> visited_plmn{};  // 3GPP TS 29.272 §7.3.9
  std::uint32_t vectors_per_request = 1;    // of an AIR
  std::uint32_t run = 0;                    // keeps Session-Ids of different runs apart
};

// One MME's requests, encoded once; each one sent is a copy with its own Session-Id, User-Name and
// End-to-End Identifier.
class S6aRequests {
 public:
  S6aRequests(const diameter::DiameterConfig& mme, const S6aRequestsConfig& config,
              std::uint64_t seed);

  // Precondition: imsi < config.imsis.count().
  Buffer make(BufferPool& pool, S6aRequest request, std::uint64_t imsi);

 private:
  struct Template {
    Buffer message;
    std::size_t session_at = 0;  // the last kNumberDigits of Session-Id
    std::size_t user_at = 0;     // the digits of User-Name
  };
  static constexpr std::size_t kNumberDigits = 10;  // of a 32-bit number

  Template encode(BufferPool& pool, const diameter::DiameterConfig& mme,
                  const S6aRequestsConfig& config, S6aRequest request) const;

  ImsiRange imsis_;
  std::array<Template, kS6aRequests.size()> templates_;
  std::uint32_t number_ = 0;
  std::uint32_t end_to_end_;
};

// A PLMN of five or six digits, MCC then MNC, as octets (3GPP TS 29.272 §7.3.9).
std::optional<std::array<std::byte, 3>> plmn_octets(std::string_view plmn);

}  // namespace siglane::load
