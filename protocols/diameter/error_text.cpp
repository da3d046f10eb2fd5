#include "protocols/diameter/error_text.h"

#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/text.h"

namespace siglane::diameter {
namespace {

// "host hss.example of realm example", as far as the request names them.
std::string destination_text(const MessageView& request) {
  const std::string host = excerpt(request.get(avp::destination_host).value_or(""));
  const std::string realm = excerpt(request.get(avp::destination_realm).value_or(""));
  if (host.empty()) return realm.empty() ? "no destination" : "realm " + realm;
  return "host " + host + (realm.empty() ? "" : " of realm " + realm);
}

std::string_view undelivered_text(Why why) {
  switch (why) {
    case Why::no_such_association:
      return "no peer that leads there is open";
    case Why::refused:
      return "the transport did not take it";
    case Why::not_open:
      return "the connection to the peer closed";
    case Why::congested:
      return "the peer's queue is full";
    case Why::timed_out:
      return "the peer did not answer in time";
    case Why::exhausted:
      return "every peer that was tried failed";
  }
  return {};
}

}  // namespace

const DropReason& drop_reason(ResultCode result) {
  if (result == result::realm_not_served) return kRealmNotServed;
  if (result == result::loop_detected) return kLoopDetected;
  if (result == result::application_unsupported) return kApplicationUnsupported;
  return kUnableToDeliver;
}

std::string command_text(const MessageView& message) {
  const CommandEntry* entry = dictionary().find(message.command());
  std::string text =
      entry != nullptr ? std::string(entry->def.name)
                       : "command " + std::to_string(static_cast<std::uint32_t>(message.command()));
  return text + (message.is_request() ? " request" : " answer");
}

std::string application_text(ApplicationId application) {
  const ApplicationEntry* entry = dictionary().find(application);
  std::string text = "application " + std::to_string(static_cast<std::uint32_t>(application));
  return entry != nullptr ? text + " (" + std::string(entry->name) + ")" : text;
}

std::string not_routed_text(const MessageView& request, const DiameterConfig& config,
                            ResultCode result, Why why, const IdlePeer* idle) {
  if (result == result::loop_detected) {
    return "loop: Route-Record already names this node, " + config.origin_host;
  }
  if (result == result::realm_not_served) {
    return config.origin_host + " has no peer that leads to realm " +
           excerpt(request.get(avp::destination_realm).value_or(""));
  }
  if (result == result::application_unsupported) {
    return config.origin_host + " does not support " + application_text(request.application());
  }
  const std::string unreached = destination_text(request) + " cannot be reached: ";
  if (idle == nullptr) return unreached + std::string(undelivered_text(why));
  return unreached + excerpt(idle->peer.origin_host) + " " + std::string(idle_text(idle->reason));
}

std::string_view idle_text(IdlePeer::Reason reason) {
  switch (reason) {
    case IdlePeer::Reason::blocked:
      return "is blocked by the operator";
    case IdlePeer::Reason::suspect:
      return "has not answered its watchdog";
  }
  return {};
}

std::string unsupported_command_text(const MessageView& request) {
  return "command " + std::to_string(static_cast<std::uint32_t>(request.command())) + " of " +
         application_text(request.application()) + " is not supported";
}

}  // namespace siglane::diameter
