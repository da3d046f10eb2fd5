#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"

namespace siglane::runtime {

struct JsonMember;

// Where a value stands: which of JsonDocument::files, and its line.
struct JsonPlace {
  std::uint16_t file = 0;
  int line = 1;

  auto operator<=>(const JsonPlace&) const = default;
};

// One JSON value and the place where it stands (for an object or array: where it begins).
struct JsonValue {
  using Array = std::vector<JsonValue>;
  using Object = std::vector<JsonMember>;  // in the file's order, no key twice
  std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      value;
  int line = 1;
  std::uint16_t file = 0;  // an index of JsonDocument::files
  bool secret = false;     // a string that no message and no output may show

  JsonPlace place() const { return {file, line}; }
};

struct JsonMember {
  std::string key;
  int line = 1;  // of the key
  JsonValue value;
};
bool operator==(const JsonMember& a, const JsonMember& b);

// The same value, wherever it stands.
bool operator==(const JsonValue& a, const JsonValue& b);

// How a value reads in a message to a human: `70000`, `"10.0.0"`, `an array`; long strings are cut,
// secret ones are not shown.
std::string describe(const JsonValue& value);

// As JSON, indented by two blanks, printable ASCII only, without a line break at the end. Parsing
// it gives the same value again. A secret is shown as in masked().
std::string to_text(const JsonValue& value);
// The same in one line, without blanks.
std::string compact_text(const JsonValue& value);

// A text that is a JSON number, as that.
std::optional<JsonValue> number_of(std::string_view text);

// What stands for a secret where values are shown: `(secret, 3f9a0c12)`. The digits are the first
// of its SHA-256, so that a change shows and the secret does not.
std::string masked(std::string_view secret);

struct JsonLimits {
  std::size_t file_bytes_max = std::size_t{64} << 20;
  std::size_t depth_max = 32;
};

// A JSON text (RFC 8259) with a line number at every value; `//` and `/* */` comments may stand
// between them. A number without a fraction is an integer however it is written: 1000000, 1e6, 1.0.
// Refuses what nlohmann_json would let pass silently: the same key twice in one object, and text
// behind a NUL.
struct JsonDocument {
  // The first one is the document's own, as the operator named it. Messages begin with its name.
  std::vector<std::string> files;
  JsonValue root;

  // Errors read `config/hss.json:31: WHAT IS WRONG`.
  static Result<JsonDocument> load(const std::filesystem::path& file, const JsonLimits& = {});
  static Result<JsonDocument> parse(std::string file, std::string_view text,
                                    const JsonLimits& = {});
  // What load() parses.
  static Result<std::string> text_of(const std::string& file, const JsonLimits& = {});
};

}  // namespace siglane::runtime
