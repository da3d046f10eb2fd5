#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/diameter/config.h"
#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/message.h"

// Capabilities exchange, RFC 6733 §5.3.

namespace siglane::diameter {

// What a CER or CEA says of its sender, as far as we care.
struct Capabilities {
  std::string origin_host, origin_realm;
  bool relay = false;                 // advertises the relay application
  bool inband_security_only = false;  // Inband-Security-Id without NO_INBAND_SECURITY
  // Those that we advertise too; all of ours where the peer is a relay, all of its own where we
  // are.
  std::vector<ApplicationId> applications;
};

// Precondition: validate() and check_command() had nothing against it.
Capabilities read_capabilities(const MessageView& message, const DiameterConfig& config);

// RFC 6733 §5.3: else DIAMETER_NO_COMMON_APPLICATION. A relay has something in common with anybody.
bool in_common(const Capabilities& peer, const DiameterConfig& config);

// `addresses`: the association's own, for where the config names none.
Buffer make_cer(BufferPool& pool, const DiameterConfig& config,
                const std::vector<std::string>& addresses, std::uint32_t hop_by_hop,
                std::uint32_t end_to_end);
// With the E bit, for a protocol error, it has no capabilities (RFC 6733 §7.2).
Buffer make_cea(BufferPool& pool, const DiameterConfig& config,
                const std::vector<std::string>& addresses, const Header& request, ResultCode result,
                std::string_view error_message = {}, const Violation* violation = nullptr);

}  // namespace siglane::diameter
