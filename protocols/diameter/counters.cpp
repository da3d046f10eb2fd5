#include "protocols/diameter/counters.h"

#include "protocols/diameter/constants.h"
#include "protocols/diameter/dictionary.h"

namespace siglane::diameter {
namespace {

// A label is one number: this bit says that it is an Experimental-Result-Code.
constexpr std::uint32_t kExperimental = 0x8000'0000;

// No command has this code.
constexpr std::uint32_t kOtherCommand = 0;

// The messages of the base protocol are of application 0 ("Diameter common message", RFC 6733
// §11.3), whatever a stranger has put into its CER.
std::uint32_t application_of(const Header& header) {
  const bool base = header.command == command::capabilities_exchange.code ||
                    header.command == command::device_watchdog.code ||
                    header.command == command::disconnect_peer.code;
  return base ? 0 : static_cast<std::uint32_t>(header.application);
}

// Result-Code or Experimental-Result-Code; 0: neither.
std::uint32_t result_of(const MessageView& answer) {
  if (const auto code = answer.get(avp::result_code)) return *code & ~kExperimental;
  const auto experimental = answer.get(avp::experimental_result);
  const auto code = experimental ? experimental->get(avp::experimental_result_code) : std::nullopt;
  return code ? *code | kExperimental : 0;
}

void count(const MessageView& message, const LabelledCounter<2>& requests,
           const LabelledCounter<3>& answers, Outbox& out) {
  const std::uint32_t application = application_of(message.header());
  const auto command = static_cast<std::uint32_t>(message.command());
  if (message.is_request()) {
    out.count(requests, {application, command});
  } else {
    out.count(answers, {application, command, result_of(message)});
  }
}

}  // namespace

std::string application_label(std::uint32_t application) {
  const ApplicationEntry* entry = dictionary().find(ApplicationId{application});
  return entry != nullptr ? std::string(entry->name) : std::to_string(application);
}

std::string command_label(std::uint32_t command) {
  if (command == kOtherCommand) return "(other)";
  const CommandEntry* entry = dictionary().find(CommandCode{command});
  return entry != nullptr ? std::string(entry->def.name) : std::to_string(command);
}

std::string result_label(std::uint32_t result) {
  if (result == 0) return "none";
  const bool experimental = (result & kExperimental) != 0;
  const std::uint32_t code = result & ~kExperimental;
  const ResultEntry* entry = dictionary().find(ResultCode{code}, experimental);
  const std::string name = entry != nullptr ? std::string(entry->name) : std::to_string(code);
  if (experimental) return "experimental:" + name;
  return entry != nullptr ? "DIAMETER_" + name : name;
}

void count_received(const MessageView& message, bool expected, Outbox& out) {
  if (expected) {
    count(message, counter::requests_received, counter::answers_received, out);
  } else if (message.is_request()) {
    out.count(counter::requests_received, {0, kOtherCommand});
  } else {
    out.count(counter::answers_received, {0, kOtherCommand, 0});
  }
}

// Our own messages are whole, so nothing needs to be checked again.
void count_sent(Bytes message, Outbox& out) {
  if (const auto view = MessageView::salvage(message)) {
    count(*view, counter::requests_sent, counter::answers_sent, out);
  }
}

}  // namespace siglane::diameter
