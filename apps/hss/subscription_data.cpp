#include "apps/hss/subscription_data.h"

#include <array>

#include "protocols/diameter/dictionary.h"

namespace siglane::hss {
namespace {

using diameter::MessageBuilder;
namespace avp = diameter::avp;

// MSISDN (TS 29.329 §6.3.2): an E.164 number as a TBCD-string, TS 29.002: two digits to an octet,
// the first in the low half, filler 1111. `digits` has at most 15.
void add_msisdn(MessageBuilder& answer, std::string_view digits) {
  std::array<std::byte, 8> octets{};
  std::size_t size = 0;
  for (std::size_t i = 0; i < digits.size() && size < octets.size(); i += 2) {
    const auto low = static_cast<unsigned>(digits[i] - '0');
    const auto high = i + 1 < digits.size() ? static_cast<unsigned>(digits[i + 1] - '0') : 15u;
    octets[size++] = static_cast<std::byte>(high << 4 | low);
  }
  answer.add(avp::msisdn, Bytes(octets).first(size));
}

void add_ambr(MessageBuilder& answer, const Ambr& ambr) {
  answer.group(avp::ambr, [&] {
    answer.add(avp::max_requested_bandwidth_ul, ambr.uplink_bits_per_second)
        .add(avp::max_requested_bandwidth_dl, ambr.downlink_bits_per_second);
  });
}

void add_apn(MessageBuilder& answer, const ApnConfiguration& apn) {
  using Capability = diameter::PreEmptionCapability;
  using Vulnerability = diameter::PreEmptionVulnerability;
  answer.group(avp::apn_configuration, [&] {
    answer.add(avp::context_identifier, apn.context_identifier)
        .add(avp::pdn_type, apn.pdn_type)
        .add(avp::service_selection, apn.apn);
    answer.group(avp::eps_subscribed_qos_profile, [&] {
      answer.add(avp::qos_class_identifier, static_cast<diameter::QosClassIdentifier>(apn.qci));
      answer.group(avp::allocation_retention_priority, [&] {
        answer.add(avp::priority_level, apn.priority_level)
            .add(avp::pre_emption_capability,
                 apn.may_preempt ? Capability::enabled : Capability::disabled)
            .add(avp::pre_emption_vulnerability,
                 apn.preemptable ? Vulnerability::enabled : Vulnerability::disabled);
      });
    });
    add_ambr(answer, apn.ambr);
  });
}

}  // namespace

void add_subscription_data(MessageBuilder& answer, const Subscription& subscription,
                           std::string_view msisdn) {
  using AllApns = diameter::AllApnConfigurationsIncludedIndicator;
  answer.group(avp::subscription_data, [&] {
    answer.add(avp::subscriber_status, diameter::SubscriberStatus::service_granted);
    if (!msisdn.empty()) add_msisdn(answer, msisdn);
    answer.add(avp::network_access_mode, subscription.network_access_mode);
    if (subscription.access_restriction != 0) {
      answer.add(avp::access_restriction_data, subscription.access_restriction);
    }
    add_ambr(answer, subscription.ambr);
    answer.group(avp::apn_configuration_profile, [&] {
      // The default APN's, §7.3.34.
      answer.add(avp::context_identifier, subscription.apns.front().context_identifier)
          .add(avp::all_apn_configurations_included_indicator,
               AllApns::all_apn_configurations_included);
      for (const ApnConfiguration& apn : subscription.apns) add_apn(answer, apn);
    });
  });
}

}  // namespace siglane::hss
