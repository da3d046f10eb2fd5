#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"

namespace siglane::runtime {

struct JsonMember;

// One JSON value and the line where it stands (for an object or array: where it begins).
struct JsonValue {
  using Array = std::vector<JsonValue>;
  using Object = std::vector<JsonMember>;  // in the file's order, no key twice
  std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      value;
  int line = 1;
};

struct JsonMember {
  std::string key;
  int line = 1;  // of the key
  JsonValue value;
};

// How a value reads in a message to a human: `70000`, `"10.0.0"`, `an array`; long strings are cut.
std::string describe(const JsonValue& value);
// As JSON in one line.
std::string compact_text(const JsonValue& value);

struct JsonLimits {
  std::size_t file_bytes_max = std::size_t{64} << 20;
  std::size_t depth_max = 32;
};

// A JSON text (RFC 8259) with a line number at every value; `//` and `/* */` comments may stand
// between them. A number without a fraction is an integer however it is written: 1000000, 1e6, 1.0.
// Refuses what nlohmann_json would let pass silently: the same key twice in one object, and text
// behind a NUL.
struct JsonDocument {
  std::string file;  // as the operator named it; stands at the head of every message
  JsonValue root;

  // Errors read `config/hss.json:31: WHAT IS WRONG`.
  static Result<JsonDocument> load(const std::filesystem::path& file, const JsonLimits& = {});
  static Result<JsonDocument> parse(std::string file, std::string_view text,
                                    const JsonLimits& = {});
};

}  // namespace siglane::runtime
