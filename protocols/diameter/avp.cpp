#include "protocols/diameter/avp.h"

namespace siglane::diameter {

std::string_view name_of(AvpType type) {
  switch (type) {
    case AvpType::octet_string:
      return "OctetString";
    case AvpType::integer32:
      return "Integer32";
    case AvpType::integer64:
      return "Integer64";
    case AvpType::unsigned32:
      return "Unsigned32";
    case AvpType::unsigned64:
      return "Unsigned64";
    case AvpType::float32:
      return "Float32";
    case AvpType::float64:
      return "Float64";
    case AvpType::grouped:
      return "Grouped";
    case AvpType::address:
      return "Address";
    case AvpType::time:
      return "Time";
    case AvpType::utf8_string:
      return "UTF8String";
    case AvpType::diameter_identity:
      return "DiameterIdentity";
    case AvpType::diameter_uri:
      return "DiameterURI";
    case AvpType::enumerated:
      return "Enumerated";
    case AvpType::ip_filter_rule:
      return "IPFilterRule";
  }
  return "unknown";
}

std::optional<Address> AvpView::address() const {
  const Bytes p = payload();
  if (p.size() < 2) return std::nullopt;
  const Address address{load_u16(p.data()), p.subspan(2)};
  if (address.family == Address::kIpv4 && address.bytes.size() != 4) return std::nullopt;
  if (address.family == Address::kIpv6 && address.bytes.size() != 16) return std::nullopt;
  return address;
}

std::optional<std::size_t> AvpList::broken_at() const {
  auto it = begin();
  while (it != end()) ++it;
  if (it.rest().empty()) return std::nullopt;
  return bytes_.size() - it.rest().size();
}

std::optional<AvpView> AvpList::find(const AvpDef& def) const {
  for (const AvpView avp : *this) {
    if (avp.is(def)) return avp;
  }
  return std::nullopt;
}

std::size_t AvpList::count(const AvpDef& def) const {
  std::size_t count = 0;
  for (const AvpView avp : *this) count += avp.is(def) ? 1 : 0;
  return count;
}

}  // namespace siglane::diameter
