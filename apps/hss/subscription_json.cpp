#include "apps/hss/subscription_json.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace siglane::hss {
namespace {

using runtime::ObjectReader;

constexpr std::size_t kApnsMax = 50;

// The words of "barred_access": RATs and movements that Access-Restriction-Data forbids.
constexpr std::array kBarredAccess = {
    std::pair<std::string_view, std::uint32_t>{"utran", kUtranNotAllowed},
    std::pair<std::string_view, std::uint32_t>{"geran", kGeranNotAllowed},
    std::pair<std::string_view, std::uint32_t>{"gan", kGanNotAllowed},
    std::pair<std::string_view, std::uint32_t>{"i-hspa-evolution", kHspaEvolutionNotAllowed},
    std::pair<std::string_view, std::uint32_t>{"wb-e-utran", kEutranNotAllowed},
    std::pair<std::string_view, std::uint32_t>{"handover-to-non-3gpp",
                                               kHandoverToNon3gppNotAllowed},
    std::pair<std::string_view, std::uint32_t>{"nb-iot", kNbIotNotAllowed},
};

std::string_view name_of(NetworkAccessMode mode) {
  switch (mode) {
    case NetworkAccessMode::packet_and_circuit:
      return "packet-and-circuit";
    case NetworkAccessMode::reserved:
      break;  // and never read
    case NetworkAccessMode::only_packet:
      return "only-packet";
  }
  return "";
}

std::string_view name_of(PdnType type) {
  switch (type) {
    case PdnType::ipv4:
      return "ipv4";
    case PdnType::ipv6:
      return "ipv6";
    case PdnType::ipv4v6:
      return "ipv4v6";
    case PdnType::ipv4_or_ipv6:
      return "ipv4-or-ipv6";
  }
  return "";
}

// The wildcard stands for every network that no other APN of the subscription names (TS 23.003
// §9.2.1).
constexpr std::string_view kWildcard = "*";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// TS 23.003 §9.1: "The case of alphabetic characters is not significant."
bool same_apn(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

bool is_label(std::string_view label) {
  const auto letter_or_digit = [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
  };
  return !label.empty() && letter_or_digit(label.front()) && letter_or_digit(label.back()) &&
         std::all_of(label.begin(), label.end(),
                     [&](char c) { return c == '-' || letter_or_digit(c); });
}

// TS 23.003 §9.1 and §9.1.1, of an APN Network Identifier: what it is not, in words; empty: it is
// one.
std::string_view objection_to_apn(std::string_view apn) {
  // "a maximum length of 63 octets" as encoded: an octet of length before each label.
  if (apn.size() + 1 > 63) return "an APN Network Identifier: its labels take at most 63 octets";
  for (std::string_view rest = apn;;) {
    const std::size_t dot = rest.find('.');
    if (!is_label(rest.substr(0, dot))) {
      return "an APN Network Identifier: labels of letters, digits and hyphens, which begin and "
             "end with a letter or digit, with dots between them";
    }
    if (dot == rest.npos) {
      // "it shall not end in ".gprs"": that is how an operator identifier ends.
      if (same_apn(rest, "gprs")) return "an APN Network Identifier: it may not end in gprs";
      break;
    }
    rest.remove_prefix(dot + 1);
  }
  for (const std::string_view reserved : {"rac", "lac", "sgsn", "rnc"}) {
    if (same_apn(apn.substr(0, reserved.size()), reserved)) {
      return "an APN Network Identifier: it may not begin with rac, lac, sgsn or rnc";
    }
  }
  return {};
}

Ambr read_ambr(const ObjectReader& reader) {
  // Max-Requested-Bandwidth is an Unsigned32 (TS 29.214 §5.3.14).
  return {reader.required_number<std::uint32_t>("uplink_bits_per_second"),
          reader.required_number<std::uint32_t>("downlink_bits_per_second")};
}

ApnConfiguration read_apn(const ObjectReader& reader, std::uint32_t index) {
  ApnConfiguration apn;
  apn.context_identifier =
      reader.number<std::uint32_t>("context_identifier", index + 1, {.min = 1});
  apn.apn = reader.required_string("apn");
  apn.pdn_type = reader.choice("pdn_type", PdnType::ipv4,
                               {{"ipv4", PdnType::ipv4},
                                {"ipv6", PdnType::ipv6},
                                {"ipv4v6", PdnType::ipv4v6},
                                {"ipv4-or-ipv6", PdnType::ipv4_or_ipv6}});
  apn.qci = reader.number<std::uint32_t>("qci", 9, {.min = 1, .max = 254});
  const ObjectReader arp = reader.object("arp");
  apn.priority_level = arp.number<std::uint32_t>("priority_level", 8, {.min = 1, .max = 15});
  apn.may_preempt = arp.boolean("may_preempt", false);
  apn.preemptable = arp.boolean("preemptable", true);
  apn.ambr = read_ambr(reader.object("ambr"));
  return apn;
}

std::uint32_t read_barred(const ObjectReader& reader) {
  std::uint32_t bits = 0;
  const auto parse = [](std::string_view word) -> std::optional<std::uint32_t> {
    for (const auto& [known, bit] : kBarredAccess) {
      if (known == word) return bit;
    }
    return std::nullopt;
  };
  for (std::uint32_t bit : reader.parsed_list(
           "barred_access",
           "one of utran, geran, gan, i-hspa-evolution, wb-e-utran, handover-to-non-3gpp, nb-iot",
           parse)) {
    bits |= bit;
  }
  return bits;
}

nlohmann::ordered_json json_of(const Ambr& ambr) {
  return {{"uplink_bits_per_second", ambr.uplink_bits_per_second},
          {"downlink_bits_per_second", ambr.downlink_bits_per_second}};
}

}  // namespace

Subscription read_subscription(const ObjectReader& reader) {
  Subscription subscription;
  subscription.network_access_mode =
      reader.choice("network_access_mode", NetworkAccessMode::packet_and_circuit,
                    {{"packet-and-circuit", NetworkAccessMode::packet_and_circuit},
                     {"only-packet", NetworkAccessMode::only_packet}});
  subscription.access_restriction = read_barred(reader);
  subscription.visited_plmns = reader.parsed_list("visited_plmns", kPlmn, plmn_from_digits);
  subscription.ambr = read_ambr(reader.object("ambr"));
  const auto apns = reader.objects("apns", {1, kApnsMax});
  for (const ObjectReader& apn : apns) {
    const auto index = static_cast<std::uint32_t>(subscription.apns.size());
    const ApnConfiguration configuration = read_apn(apn, index);
    for (const ApnConfiguration& other : subscription.apns) {
      if (other.context_identifier == configuration.context_identifier) {
        apn.complain("context_identifier", "the context identifier is taken by another APN");
      }
    }
    subscription.apns.push_back(configuration);
  }
  return subscription;
}

void check_subscription(const ObjectReader& reader, const Subscription& subscription) {
  const auto apns = reader.objects("apns", {1, kApnsMax});
  if (apns.size() != subscription.apns.size()) return;
  for (std::size_t i = 0; i < apns.size(); ++i) {
    const std::string& apn = subscription.apns[i].apn;
    if (apn.empty()) continue;  // complained of
    // TS 29.272: "The default APN Configuration shall not contain the Wildcard APN (see 3GPP TS
    // 23.003, clause 9.2); the default APN shall always contain an explicit APN".
    if (apn == kWildcard && i == 0) apns[i].refuse("apn", "a name: the first APN is the default");
    if (apn != kWildcard) {
      const std::string_view objection = objection_to_apn(apn);
      if (!objection.empty()) apns[i].refuse("apn", objection);
    }
    for (std::size_t other = 0; other < i; ++other) {
      if (same_apn(subscription.apns[other].apn, apn)) apns[i].refuse("apn", "named once");
    }
  }
}

std::string json_of(const Subscription& subscription) {
  nlohmann::ordered_json out;
  out["network_access_mode"] = name_of(subscription.network_access_mode);
  nlohmann::ordered_json& barred = out["barred_access"] = nlohmann::ordered_json::array();
  for (const auto& [word, bit] : kBarredAccess) {
    if ((subscription.access_restriction & bit) != 0) barred.push_back(word);
  }
  nlohmann::ordered_json& plmns = out["visited_plmns"] = nlohmann::ordered_json::array();
  for (const Plmn& plmn : subscription.visited_plmns) plmns.push_back(digits_of(plmn));
  out["ambr"] = json_of(subscription.ambr);
  nlohmann::ordered_json& apns = out["apns"] = nlohmann::ordered_json::array();
  for (const ApnConfiguration& apn : subscription.apns) {
    apns.push_back({{"context_identifier", apn.context_identifier},
                    {"apn", apn.apn},
                    {"pdn_type", name_of(apn.pdn_type)},
                    {"qci", apn.qci},
                    {"arp",
                     {{"priority_level", apn.priority_level},
                      {"may_preempt", apn.may_preempt},
                      {"preemptable", apn.preemptable}}},
                    {"ambr", json_of(apn.ambr)}});
  }
  return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<Subscription> subscription_from_json(std::string_view text) {
  auto document = runtime::JsonDocument::parse("subscription", text);
  if (!document) return tl::unexpected(document.error());
  runtime::ConfigReader reader(*document);
  Subscription subscription = read_subscription(reader.root());
  if (auto good = reader.finish(); !good) return tl::unexpected(good.error());
  return subscription;
}

}  // namespace siglane::hss
