#include "protocols/m3ua/control.h"

#include <algorithm>

namespace siglane::m3ua {

const AspConfig* Gateway::find_asp(std::string_view name) const {
  const auto at = std::ranges::find(config.asps, name, &AspConfig::name);
  return at == config.asps.end() ? nullptr : &*at;
}

const AspConfig* Gateway::find_asp(std::uint32_t identifier) const {
  const auto at =
      std::ranges::find(config.asps, std::optional(identifier), &AspConfig::asp_identifier);
  return at == config.asps.end() ? nullptr : &*at;
}

std::uint32_t Gateway::index_of_asp(std::string_view name) const {
  const AspConfig* asp = find_asp(name);
  return asp == nullptr ? DataParcel::kNobody
                        : static_cast<std::uint32_t>(asp - config.asps.data());
}

std::string Gateway::sender_of(const DataParcel& data) const {
  return data.sender < config.asps.size() ? config.asps[data.sender].name : std::string();
}

std::vector<std::size_t> Gateway::servers_of(std::string_view asp) const {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < config.application_servers.size(); ++i) {
    const auto& members = config.application_servers[i].asps;
    if (std::ranges::find(members, asp) != members.end()) indices.push_back(i);
  }
  return indices;
}

}  // namespace siglane::m3ua
