#include "apps/runtime/admin/json.h"

#include <charconv>
#include <cmath>
#include <utility>

#include <google/protobuf/descriptor.h>

#include "apps/runtime/printable.h"

namespace siglane::runtime {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

template <class Number>
void add_number(Number number, std::string& out) {
  char space[32];
  const auto end = std::to_chars(space, space + sizeof space, number).ptr;
  out.append(space, end);
}

// JSON has no number for these; protobuf's mapping has words.
void add_real(double number, std::string& out) {
  if (std::isnan(number)) {
    out += "\"NaN\"";
  } else if (std::isinf(number)) {
    out += number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  } else {
    add_number(number, out);
  }
}

void add_enum(const EnumValueDescriptor* value, std::string& out) {
  if (value == nullptr) {
    out += "null";
  } else {
    out += in_quotes(value->name());
  }
}

void add_message(const Message& message, std::string& out);

// How to read a field: the one value that it has, or one of many.
struct One {
  const Message& message;
  const Reflection& of = *message.GetReflection();
  const FieldDescriptor* field;
  int index = -1;  // of a repeated one

  template <class T>
  T get(T (Reflection::*one)(const Message&, const FieldDescriptor*) const,
        T (Reflection::*of_many)(const Message&, const FieldDescriptor*, int) const) const {
    return index < 0 ? (of.*one)(message, field) : (of.*of_many)(message, field, index);
  }
  void add_to(std::string& out) const {
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return add_number(get(&Reflection::GetInt32, &Reflection::GetRepeatedInt32), out);
      case FieldDescriptor::CPPTYPE_INT64:
        return add_number(get(&Reflection::GetInt64, &Reflection::GetRepeatedInt64), out);
      case FieldDescriptor::CPPTYPE_UINT32:
        return add_number(get(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32), out);
      case FieldDescriptor::CPPTYPE_UINT64:
        return add_number(get(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64), out);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return add_real(get(&Reflection::GetDouble, &Reflection::GetRepeatedDouble), out);
      case FieldDescriptor::CPPTYPE_FLOAT:
        return add_real(get(&Reflection::GetFloat, &Reflection::GetRepeatedFloat), out);
      case FieldDescriptor::CPPTYPE_BOOL:
        out += get(&Reflection::GetBool, &Reflection::GetRepeatedBool) ? "true" : "false";
        return;
      case FieldDescriptor::CPPTYPE_ENUM:
        return add_enum(get(&Reflection::GetEnum, &Reflection::GetRepeatedEnum), out);
      case FieldDescriptor::CPPTYPE_STRING:
        out += in_quotes(get(&Reflection::GetString, &Reflection::GetRepeatedString));
        return;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return add_message(index < 0 ? of.GetMessage(message, field)
                                     : of.GetRepeatedMessage(message, field, index),
                           out);
    }
  }
};

void add_field(const Message& message, const FieldDescriptor* field, std::string& out) {
  if (!field->is_repeated()) return One{.message = message, .field = field}.add_to(out);
  out += '[';
  const int size = message.GetReflection()->FieldSize(message, field);
  for (int i = 0; i < size; ++i) {
    if (i > 0) out += ',';
    One{.message = message, .field = field, .index = i}.add_to(out);
  }
  out += ']';
}

void add_message(const Message& message, std::string& out) {
  const Descriptor& type = *message.GetDescriptor();
  const Reflection& of = *message.GetReflection();
  out += '{';
  bool first = true;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (field->has_presence() && !of.HasField(message, field)) continue;
    if (!std::exchange(first, false)) out += ',';
    out += in_quotes(field->name());
    out += ':';
    add_field(message, field, out);
  }
  out += '}';
}

}  // namespace

std::string to_json(const Message& message) {
  std::string out;
  add_message(message, out);
  return out;
}

}  // namespace siglane::runtime
