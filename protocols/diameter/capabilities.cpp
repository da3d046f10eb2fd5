#include "protocols/diameter/capabilities.h"

#include <algorithm>

#include "protocols/diameter/answers.h"
#include "protocols/diameter/text.h"

namespace siglane::diameter {
namespace {

constexpr std::uint32_t kNoInbandSecurity = 0;  // RFC 6733 §6.10

// What one peer may advertise; more is not read.
constexpr std::size_t kApplicationsMax = 64;

void collect(const AvpView& avp, std::vector<ApplicationId>& found) {
  if (avp.is(avp::vendor_specific_application_id)) {
    for (const AvpView inner : avp.group()) {
      if (!inner.is(avp::vendor_specific_application_id)) collect(inner, found);
    }
    return;
  }
  if (!avp.is(avp::auth_application_id) && !avp.is(avp::acct_application_id)) return;
  const auto number = avp.u32();
  if (!number || found.size() == kApplicationsMax) return;
  const ApplicationId id{*number};
  if (std::find(found.begin(), found.end(), id) == found.end()) found.push_back(id);
}

bool contains(const std::vector<ApplicationId>& ids, ApplicationId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

void add_addresses(MessageBuilder& out, const std::vector<std::string>& addresses) {
  bool any = false;
  for (const std::string& text : addresses) {
    const auto ip = parse_ip(text);
    if (!ip) continue;
    out.add(avp::host_ip_address, {ip->family, ip->bytes()});
    any = true;
  }
  // The grammar insists on one, and the association has told of none.
  const std::array<std::byte, 4> unspecified{};
  if (!any) out.add(avp::host_ip_address, {Address::kIpv4, unspecified});
}

void add_application(MessageBuilder& out, const SupportedApplication& application) {
  const auto id = static_cast<std::uint32_t>(application.id);
  const auto& key = application.accounting ? avp::acct_application_id : avp::auth_application_id;
  if (application.vendor == 0) {
    out.add(key, id);
    return;
  }
  out.group(avp::vendor_specific_application_id,
            [&] { out.add(avp::vendor_id, application.vendor).add(key, id); });
}

// What CER and CEA have in common.
void add_capabilities(MessageBuilder& out, const DiameterConfig& config,
                      const std::vector<std::string>& addresses) {
  add_addresses(out, config.host_ip_addresses.empty() ? addresses : config.host_ip_addresses);
  out.add(avp::vendor_id, config.vendor_id).add(avp::product_name, config.product_name);
  std::vector<VendorId> vendors;
  for (const SupportedApplication& application : config.applications) {
    if (application.vendor == 0 ||
        std::find(vendors.begin(), vendors.end(), application.vendor) != vendors.end()) {
      continue;
    }
    vendors.push_back(application.vendor);
    out.add(avp::supported_vendor_id, application.vendor);
  }
  if (config.relay) {
    out.add(avp::auth_application_id, static_cast<std::uint32_t>(application::relay));
  }
  for (const SupportedApplication& application : config.applications) {
    add_application(out, application);
  }
  // RFC 6733 §6.10: "The use of this AVP in CER and CEA messages is NOT RECOMMENDED." But without
  // it freeDiameter, where it may do TLS in the old way, takes us for one that will.
  out.add(avp::inband_security_id, kNoInbandSecurity);
  if (config.firmware_revision != 0) out.add(avp::firmware_revision, config.firmware_revision);
}

}  // namespace

Capabilities read_capabilities(const MessageView& message, const DiameterConfig& config) {
  Capabilities peer;
  peer.origin_host = message.get(avp::origin_host).value_or("");
  peer.origin_realm = message.get(avp::origin_realm).value_or("");
  std::vector<ApplicationId> advertised;
  for (const AvpView avp : message.avps()) collect(avp, advertised);
  peer.relay = contains(advertised, application::relay);
  if (config.relay) {
    peer.applications = std::move(advertised);
  } else {
    for (const SupportedApplication& ours : config.applications) {
      if (peer.relay || contains(advertised, ours.id)) peer.applications.push_back(ours.id);
    }
  }
  bool offers = false, offers_none = false;
  for (const AvpView avp : message.avps()) {
    if (!avp.is(avp::inband_security_id)) continue;
    offers = true;
    if (avp.u32() == kNoInbandSecurity) offers_none = true;
  }
  peer.inband_security_only = offers && !offers_none;
  return peer;
}

bool in_common(const Capabilities& peer, const DiameterConfig& config) {
  return peer.relay || config.relay || !peer.applications.empty();
}

Buffer make_cer(BufferPool& pool, const DiameterConfig& config,
                const std::vector<std::string>& addresses, std::uint32_t hop_by_hop,
                std::uint32_t end_to_end) {
  auto cer = MessageBuilder::request(pool, command::capabilities_exchange, hop_by_hop, end_to_end);
  cer.add(avp::origin_host, config.origin_host).add(avp::origin_realm, config.origin_realm);
  if (config.origin_state_id != 0) cer.add(avp::origin_state_id, config.origin_state_id);
  add_capabilities(cer, config, addresses);
  return std::move(cer).finish();
}

Buffer make_cea(BufferPool& pool, const DiameterConfig& config,
                const std::vector<std::string>& addresses, const Header& request, ResultCode result,
                std::string_view error_message, const Violation* violation) {
  auto cea = MessageBuilder::answer(pool, request, is_protocol_error(result));
  cea.add(avp::result_code, static_cast<std::uint32_t>(result))
      .add(avp::origin_host, config.origin_host)
      .add(avp::origin_realm, config.origin_realm);
  if (config.origin_state_id != 0) cea.add(avp::origin_state_id, config.origin_state_id);
  // RFC 6733 §7.2 gives an answer with the E bit a grammar of its own, without capabilities.
  if (!is_protocol_error(result)) add_capabilities(cea, config, addresses);
  if (!error_message.empty()) cea.add(avp::error_message, error_message);
  if (violation != nullptr) violation->add_failed_avp(cea);
  return std::move(cea).finish();
}

}  // namespace siglane::diameter
