#include "protocols/diameter/describe.h"

#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/parcels.h"
#include "protocols/diameter/text.h"

namespace siglane::diameter {
namespace {

std::string hexadecimal(std::uint32_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), kDigits[value & 15]);
    value >>= 4;
  } while (value != 0);
  return "0x" + text;
}

std::string command_of(const Header& header) {
  const CommandEntry* entry = dictionary().find(header.command);
  const std::string command =
      entry != nullptr ? std::string(entry->def.name)
                       : "command " + std::to_string(static_cast<std::uint32_t>(header.command));
  return command + (header.is_request() ? " request" : " answer");
}

std::string identifiers_of(const Header& header) {
  return ", application " + std::to_string(static_cast<std::uint32_t>(header.application)) +
         ", end-to-end " + hexadecimal(header.end_to_end);
}

}  // namespace

std::string describe(const MessageView& message) {
  std::string text = command_of(message.header());
  const auto add = [&](std::string_view word, std::optional<std::string_view> value) {
    if (value && !value->empty()) text += std::string(word) + excerpt(*value);
  };
  add(" from ", message.get(avp::origin_host));
  if (message.is_request()) {
    const auto host = message.get(avp::destination_host);
    add(" to host ", host);
    add(host ? " of realm " : " to realm ", message.get(avp::destination_realm));
  } else if (const auto code = message.result_code()) {
    text += " with " + std::to_string(static_cast<std::uint32_t>(*code));
  }
  return text + identifiers_of(message.header());
}

std::string describe(Bytes message) {
  if (const auto view = MessageView::parse(message)) return describe(*view);
  const std::string size = std::to_string(message.size()) + " octets";
  const auto header = Header::read(message);
  return header ? command_of(*header) + " of " + size + identifiers_of(*header) : size;
}

std::string RequestParcel::describe() const {
  return diameter::describe(message.bytes());
}

std::string AnswerParcel::describe() const {
  return diameter::describe(message.bytes());
}

}  // namespace siglane::diameter
