#pragma once
#include <string>

#include "core/bytes.h"
#include "protocols/diameter/message.h"

namespace siglane::diameter {

// A message in a line, for the operator: "Update-Location request from mme1.example to host
// hss.example of realm example, application 16777251, end-to-end 0x2a". What is quoted of it is
// cleaned.
std::string describe(const MessageView& message);
// The same of bytes that may be no message.
std::string describe(Bytes message);

}  // namespace siglane::diameter
