#pragma once
#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/message.h"
#include "tests/support/paths.h"

// Messages that several tests need.

namespace siglane::diameter {

inline Bytes bytes_of(const std::string& text) {
  return as_bytes(text);
}

// A file of tests/vectors/diameter.
inline std::string vector_file(const std::string& name) {
  std::ifstream file(test::source_dir() + "/tests/vectors/diameter/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline MessageView parsed(const Buffer& buffer) {
  return MessageView::parse(buffer.bytes()).value();
}

// The realm of a host of these tests: that of node_config(), or the domain of a longer name.
inline std::string realm_of(std::string_view host) {
  const std::string_view domain = host.substr(std::min(host.find('.') + 1, host.size()));
  return domain == "example" ? "realm." + std::string(host) : std::string(domain);
}

// An Update-Location-Request that is in order, from `origin_host`.
inline MessageBuilder ulr(BufferPool& pool, std::string_view origin_host = "mme.visited.example",
                          std::string_view destination_host = {},
                          std::string_view destination_realm = "home.example",
                          std::uint32_t end_to_end = 1) {
  auto out = MessageBuilder::request(pool, command::update_location, 77, end_to_end);
  const std::byte plmn[] = {std::byte{0}, std::byte{0xf1}, std::byte{0x10}};
  out.add(avp::session_id, "mme.visited.example;1;2")
      .add(avp::auth_session_state, AuthSessionState::no_state_maintained)
      .add(avp::origin_host, origin_host)
      .add(avp::origin_realm, realm_of(origin_host));
  if (!destination_host.empty()) out.add(avp::destination_host, destination_host);
  out.add(avp::destination_realm, destination_realm)
      .add(avp::user_name, "001010000000001")
      .add(avp::rat_type, RatType::eutran)
      .add(avp::ulr_flags, 34u)
      .add(avp::visited_plmn_id, plmn);
  return out;
}

}  // namespace siglane::diameter
