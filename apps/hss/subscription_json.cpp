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

std::optional<std::string> parse_apn(std::string_view text) {
  // TS 23.003 §9.1: labels like a domain name's, at most 63 octets without the operator identifier.
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.';
  };
  const bool wildcard = text == "*";
  if (text.empty() || text.size() > 63) return std::nullopt;
  if (!wildcard && !std::all_of(text.begin(), text.end(), fits)) return std::nullopt;
  return std::string(text);
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
  apn.apn = reader.required_parsed("apn", "an access point name", parse_apn);
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
  subscription.visited_plmns =
      reader.parsed_list("visited_plmns", "a PLMN (MCC and MNC, 5 or 6 digits)", plmn_from_digits);
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
