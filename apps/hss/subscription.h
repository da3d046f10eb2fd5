#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/hss/authentication_vector.h"
#include "apps/hss/imsi.h"
#include "apps/hss/sequence_number.h"
#include "protocols/diameter/dictionary.h"

namespace siglane::hss {

using diameter::NetworkAccessMode;
using diameter::PdnType;
using diameter::RatType;

// Access-Restriction-Data (TS 29.272 §7.3.31): a bit forbids.
enum AccessRestriction : std::uint32_t {
  kUtranNotAllowed = 1u << 0,
  kGeranNotAllowed = 1u << 1,
  kGanNotAllowed = 1u << 2,
  kHspaEvolutionNotAllowed = 1u << 3,
  kEutranNotAllowed = 1u << 4,
  kHandoverToNon3gppNotAllowed = 1u << 5,
  kNbIotNotAllowed = 1u << 6,
};

struct Ambr {
  std::uint32_t uplink_bits_per_second = 0, downlink_bits_per_second = 0;
  friend bool operator==(const Ambr&, const Ambr&) = default;
};

// APN-Configuration (TS 29.272 §7.3.35).
struct ApnConfiguration {
  std::uint32_t context_identifier = 1;
  std::string apn;  // Service-Selection: the network identifier, or "*"
  PdnType pdn_type = PdnType::ipv4;
  std::uint32_t qci = 9;
  std::uint32_t priority_level = 8;  // ARP, 1 (highest) to 15
  bool may_preempt = false;
  bool preemptable = true;
  Ambr ambr;
  friend bool operator==(const ApnConfiguration&, const ApnConfiguration&) = default;
};

// What many subscribers have in common: all of Subscription-Data (TS 29.272 §7.3.2) but the MSISDN.
struct Subscription {
  NetworkAccessMode network_access_mode = NetworkAccessMode::packet_and_circuit;
  std::uint32_t access_restriction = 0;  // AccessRestriction bits
  std::vector<Plmn> visited_plmns;       // where the subscriber may roam; empty: anywhere
  Ambr ambr;
  std::vector<ApnConfiguration> apns;  // at least one; the first is the default
  friend bool operator==(const Subscription&, const Subscription&) = default;

  bool allows(RatType rat) const;
  bool allows(const Plmn& visited) const {
    return visited_plmns.empty() ||
           std::find(visited_plmns.begin(), visited_plmns.end(), visited) != visited_plmns.end();
  }
};

// "00101" or "310410" as three octets and back (TS 29.272 §7.3.9); nullopt: not 5 or 6 digits.
inline constexpr std::string_view kPlmn = "a PLMN: 5 or 6 digits, MCC (3) and MNC (2 or 3)";
std::optional<Plmn> plmn_from_digits(std::string_view digits);
std::string digits_of(const Plmn& plmn);

// A subscriber as an operator provisions one.
struct Subscriber {
  Imsi imsi;
  Key k{}, opc{};
  Amf amf{};
  SequenceNumber sqn;  // SQN_HE of a new subscriber; one that is known keeps the higher of the two
  std::string msisdn;  // digits; empty: none
  std::shared_ptr<const Subscription> subscription;  // null: no EPS subscription
};

}  // namespace siglane::hss
