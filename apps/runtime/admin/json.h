#pragma once
#include <string>

#include <google/protobuf/message.h>

namespace siglane::runtime {

// One line of JSON, by protobuf's own mapping, but for two things that people who read it with jq
// expect: fields are named as in the schema (messages_in), and numbers of 64 bits are numbers. A
// field that is 0, false, empty or the first of its enum stands there too; what the message may
// lack (a message, a field of a oneof, an `optional` one) only where it is. All of it is printable
// ASCII: other characters are escaped.
std::string to_json(const google::protobuf::Message& message);

}  // namespace siglane::runtime
