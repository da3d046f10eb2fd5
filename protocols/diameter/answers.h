#pragma once
#include <string_view>

#include "protocols/diameter/config.h"
#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/message.h"
#include "protocols/diameter/parcels.h"

namespace siglane::diameter {

// RFC 6733 §7.1.3: 3xxx are protocol errors, and their answers carry the E bit.
constexpr bool is_protocol_error(ResultCode result) {
  return static_cast<std::uint32_t>(result) / 1000 == 3;
}

// The beginning of every answer to a request: Session-Id if it has one, Result-Code, Origin-Host,
// Origin-Realm (RFC 6733 §6.2); with the E bit for a protocol error.
MessageBuilder begin_answer(BufferPool& pool, const MessageView& request,
                            const DiameterConfig& config, ResultCode result);
// The same with Experimental-Result (RFC 6733 §7.6) instead of Result-Code.
MessageBuilder begin_experimental_answer(BufferPool& pool, const MessageView& request,
                                         const DiameterConfig& config, VendorId vendor,
                                         ResultCode result);
// A whole error answer: the beginning, the request's Auth-Session-State where the answer has no E
// bit, Error-Message if there is one, Failed-AVP if there is a violation, and the request's
// Proxy-Info AVPs.
Buffer error_answer(BufferPool& pool, const MessageView& request, const DiameterConfig& config,
                    ResultCode result, std::string_view error_message = {},
                    const Violation* violation = nullptr);
// RFC 6733 §6.2: "Any Proxy-Info AVPs in the request MUST be added to the answer message, in the
// same order they were present in the request."
void copy_proxy_info(const MessageView& request, MessageBuilder& answer);

// An answer's way home: to the origin of its request, with the request's identifiers.
AnswerPtr make_answer(const RequestParcel& request, Buffer message);

}  // namespace siglane::diameter
