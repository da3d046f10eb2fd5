#include "protocols/m3ua/counters.h"

namespace siglane::m3ua {
namespace {

// A type means something within its class only, so its label has both.
LabelledCounter<2>::Values labels_of(std::uint16_t type) {
  return {std::uint32_t{type} >> 8, type};
}

}  // namespace

std::string class_label(std::uint32_t message_class) {
  switch (message_class) {
    case 0:
      return "MGMT";
    case 1:
      return "Transfer";
    case 2:
      return "SSNM";
    case 3:
      return "ASPSM";
    case 4:
      return "ASPTM";
    case 9:
      return "RKM";
    default:
      return std::to_string(message_class);
  }
}

std::string type_label(std::uint32_t message_type) {
  return std::string(name_of(static_cast<MessageType>(message_type)));
}

void count_received(MessageType type, Outbox& out) {
  out.count(counter::messages_received, labels_of(static_cast<std::uint16_t>(type)));
}

void count_sent(Bytes message, Outbox& out) {
  out.count(counter::messages_sent, labels_of(load_u16(message.data() + 2)));
}

}  // namespace siglane::m3ua
