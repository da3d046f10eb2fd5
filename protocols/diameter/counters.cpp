#include "protocols/diameter/counters.h"

#include "protocols/diameter/constants.h"
#include "protocols/diameter/dictionary.h"

namespace siglane::diameter {
namespace {

// A label is one number: this bit says that it is an Experimental-Result-Code.
constexpr std::uint32_t kExperimental = 0x8000'0000;

// What the dictionary does not know: one value for all of it, since a peer could fill the table of
// labels with numbers of its choice.
constexpr std::uint32_t kOther = 0x7fff'ffff;

// Result-Code or Experimental-Result-Code; 0: neither.
struct Result {
  std::uint32_t code = 0;
  bool experimental = false;

  // RFC 6733 §7.1: 2xxx.
  bool is_success() const { return code >= 2000 && code < 3000; }
  std::uint32_t label() const {
    if (code == 0) return 0;
    const bool known = dictionary().find(ResultCode{code}, experimental) != nullptr;
    return (known ? code : kOther) | (experimental ? kExperimental : 0);
  }
};

Result result_of(const MessageView& message) {
  if (message.is_request()) return {};
  if (const auto code = message.get(avp::result_code)) return {*code, false};
  const auto group = message.get(avp::experimental_result);
  const auto code = group ? group->get(avp::experimental_result_code) : std::nullopt;
  return {code.value_or(0), true};
}

void count(const MessageView& message, const Result& result, const LabelledCounter<2>& requests,
           const LabelledCounter<3>& answers, Outbox& out) {
  // A command belongs to one application. Those of the base protocol are of application 0 (RFC 6733
  // §11.3), whatever their header says.
  const CommandEntry* entry = dictionary().find(message.command());
  const bool known = entry != nullptr && (entry->def.application == message.application() ||
                                          entry->def.application == ApplicationId{0});
  const std::uint32_t command = known ? static_cast<std::uint32_t>(message.command()) : kOther;
  const std::uint32_t application =
      known ? static_cast<std::uint32_t>(entry->def.application) : kOther;
  if (message.is_request()) {
    out.count(requests, {application, command});
  } else {
    out.count(answers, {application, command, result.label()});
  }
}

}  // namespace

std::string application_label(std::uint32_t application) {
  if (application == kOther) return "(other)";
  const ApplicationEntry* entry = dictionary().find(ApplicationId{application});
  return entry != nullptr ? std::string(entry->name) : std::to_string(application);
}

std::string command_label(std::uint32_t command) {
  if (command == kOther) return "(other)";
  const CommandEntry* entry = dictionary().find(CommandCode{command});
  return entry != nullptr ? std::string(entry->def.name) : std::to_string(command);
}

std::string result_label(std::uint32_t result) {
  if (result == 0) return "none";
  const bool experimental = (result & kExperimental) != 0;
  const std::uint32_t code = result & ~kExperimental;
  if (code == kOther) return experimental ? "experimental:(other)" : "(other)";
  const ResultEntry* entry = dictionary().find(ResultCode{code}, experimental);
  const std::string name = entry != nullptr ? std::string(entry->name) : std::to_string(code);
  if (experimental) return "experimental:" + name;
  return entry != nullptr ? "DIAMETER_" + name : name;
}

void count_received(const MessageView& message, Outbox& out) {
  count(message, result_of(message), counter::requests_received, counter::answers_received, out);
}

// Our own messages are whole, so nothing needs to be checked again.
void count_sent(Bytes message, Outbox& out) {
  const auto view = MessageView::salvage(message);
  if (!view) return;
  const Result result = result_of(*view);
  count(*view, result, counter::requests_sent, counter::answers_sent, out);
  if (!view->is_request() && !result.is_success()) out.count(counter::answers_error);
}

}  // namespace siglane::diameter
