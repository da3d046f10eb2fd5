#include "apps/runtime/json_document.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <openssl/sha.h>

#include "apps/runtime/printable.h"
#include "transport/regular_file.h"

namespace siglane::runtime {

namespace {

// Counts lines as the parser takes characters. The parser looks one character past a number, so a
// line break counts only once something behind it is taken.
struct Position {
  int line = 1;
  bool at_line_end = false;

  void take(char c) {
    if (at_line_end) ++line;
    at_line_end = c == '\n';
  }
};

class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, Position* position) : at_(at), position_(position) {}

  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    position_->take(*at_++);
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const CountingIterator& a, const CountingIterator& b) {
    return a.at_ == b.at_;
  }

 private:
  const char* at_;
  Position* position_;
};

// The digits of a JSON number, `digits` * 10^`exponent`.
struct Decimal {
  bool negative = false;
  std::string digits;
  std::int64_t exponent = 0;
};

Decimal decimal_of(std::string_view text) {
  // Beyond it a number is too large, or has a fraction, whatever its digits are.
  constexpr std::int64_t kExponentMax = 1'000'000'000;
  Decimal decimal;
  decimal.negative = text.starts_with('-');
  if (decimal.negative) text.remove_prefix(1);
  const std::size_t e = std::min(text.find_first_of("eE"), text.size());
  const std::string_view mantissa = text.substr(0, e);
  std::string_view exponent = text.substr(std::min(e + 1, text.size()));
  if (exponent.starts_with('+')) exponent.remove_prefix(1);
  const auto [end, error] =
      std::from_chars(exponent.data(), exponent.data() + exponent.size(), decimal.exponent);
  if (error == std::errc::result_out_of_range) {
    decimal.exponent = exponent.starts_with('-') ? -kExponentMax : kExponentMax;
  }
  decimal.exponent = std::clamp(decimal.exponent, -kExponentMax, kExponentMax);
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  decimal.digits = mantissa.substr(0, point);
  if (point < mantissa.size()) {
    decimal.digits += mantissa.substr(point + 1);
    decimal.exponent -= static_cast<std::int64_t>(mantissa.size() - point - 1);
  }
  return decimal;
}

// What JSON Schema calls an integer: "a number with a zero fractional part", here as far as 64 bits
// hold it. Exact, which the double that nlohmann_json makes of it need not be.
std::optional<JsonValue> integer_of(std::string_view text) {
  Decimal decimal = decimal_of(text);
  std::string& digits = decimal.digits;
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  for (; decimal.exponent < 0 && digits.ends_with('0'); ++decimal.exponent) digits.pop_back();
  if (digits.empty()) return JsonValue{std::uint64_t{0}};
  constexpr std::int64_t kDigitsMax = std::numeric_limits<std::uint64_t>::digits10 + 1;
  if (decimal.exponent < 0 || decimal.exponent > kDigitsMax) return std::nullopt;
  digits.append(static_cast<std::size_t>(decimal.exponent), '0');
  std::uint64_t magnitude = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, magnitude);
  if (error != std::errc{} || stop != end) return std::nullopt;
  if (!decimal.negative) return JsonValue{magnitude};
  constexpr auto kLowest = std::uint64_t{1} << 63;
  if (magnitude > kLowest) return std::nullopt;
  return JsonValue{static_cast<std::int64_t>(std::uint64_t{0} - magnitude)};
}

// Builds the tree from the parser's events.
class TreeBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  TreeBuilder(const Position& position, std::size_t depth_max)
      : position_(position), depth_max_(depth_max) {}

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(std::int64_t{value}); }
  bool number_unsigned(number_unsigned_t value) override { return put(std::uint64_t{value}); }
  bool number_float(number_float_t value, const string_t& text) override {
    if (!std::isfinite(value)) return refuse(fmt::format("the number {} is too large", text));
    if (auto integer = integer_of(text)) return put(std::move(integer->value));
    return put(value);
  }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return refuse("binary data has no place here"); }

  bool start_object(std::size_t) override { return open(JsonValue::Object{}); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(JsonValue::Array{}); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    if (!level.keys.insert(name).second) {
      const std::string where = fmt::format("{}/{}", path(), name);
      return refuse(fmt::format("{}: the key {} stands here a second time",
                                is_printable(where) ? where : in_quotes(where), in_quotes(name)));
    }
    std::get<JsonValue::Object>(level.value.value).push_back({std::move(name), position_.line, {}});
    return true;
  }

  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::json::exception& error) override {
    std::string_view what = error.what();
    // "[json.exception.parse_error.101] parse error at line 2, column 3: syntax error while ..."
    if (auto id = what.find("] "); id != std::string_view::npos) what.remove_prefix(id + 2);
    if (what.starts_with("parse error")) {
      if (auto colon = what.find(": "); colon != std::string_view::npos) {
        what.remove_prefix(colon + 2);
      }
    }
    // What was read may be a key that nobody may see; the line says where it stands.
    for (std::string_view quotation : {"; last read: '", " parsing '"}) {
      what = what.substr(0, what.find(quotation));
    }
    return refuse(fmt::format("not JSON: {}", what));
  }

  JsonValue take_root() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  struct Level {
    JsonValue value;
    std::unordered_set<std::string> keys;
  };

  template <class T>
  bool put(T value) {
    place(JsonValue{decltype(JsonValue::value)(std::move(value)), position_.line});
    return true;
  }
  void place(JsonValue value) {
    if (levels_.empty()) {
      root_ = std::move(value);
    } else if (auto* array = std::get_if<JsonValue::Array>(&levels_.back().value.value)) {
      array->push_back(std::move(value));
    } else {
      std::get<JsonValue::Object>(levels_.back().value.value).back().value = std::move(value);
    }
  }
  template <class T>
  bool open(T container) {
    if (levels_.size() == depth_max_) {
      return refuse(fmt::format("nested deeper than {} levels", depth_max_));
    }
    levels_.push_back({JsonValue{std::move(container), position_.line}, {}});
    return true;
  }
  bool close() {
    JsonValue value = std::move(levels_.back().value);
    levels_.pop_back();
    place(std::move(value));
    return true;
  }
  bool refuse(std::string what) {
    if (error_.empty()) error_ = std::move(what);
    return false;
  }
  std::string path() const {
    std::string text;
    for (std::size_t i = 0; i + 1 < levels_.size(); ++i) {
      const auto& value = levels_[i].value.value;
      if (const auto* array = std::get_if<JsonValue::Array>(&value)) {
        text += fmt::format("/{}", array->size());
      } else {
        text += fmt::format("/{}", std::get<JsonValue::Object>(value).back().key);
      }
    }
    return text;
  }

  const Position& position_;
  std::size_t depth_max_;
  std::vector<Level> levels_;
  JsonValue root_;
  std::string error_;
};

void write(const JsonValue& value, std::size_t depth, std::string& out);

// Scalars stand on one line, whatever holds others on a line each.
void write_elements(const JsonValue::Array& array, std::size_t depth, std::string& out) {
  const bool flat = std::all_of(array.begin(), array.end(), [](const JsonValue& element) {
    return !std::holds_alternative<JsonValue::Array>(element.value) &&
           !std::holds_alternative<JsonValue::Object>(element.value);
  });
  const std::string indent = flat ? "" : "\n" + std::string(2 * depth + 2, ' ');
  out += '[';
  for (const JsonValue& element : array) {
    if (&element != &array.front()) out += flat ? ", " : ",";
    out += indent;
    write(element, depth + 1, out);
  }
  if (!flat) out += "\n" + std::string(2 * depth, ' ');
  out += ']';
}

void write_members(const JsonValue::Object& object, std::size_t depth, std::string& out) {
  if (object.empty()) {
    out += "{}";
    return;
  }
  out += '{';
  for (const JsonMember& member : object) {
    out += &member == &object.front() ? "\n" : ",\n";
    out.append(2 * depth + 2, ' ');
    out += in_quotes(member.key) + ": ";
    write(member.value, depth + 1, out);
  }
  out += "\n" + std::string(2 * depth, ' ') + "}";
}

void write(const JsonValue& value, std::size_t depth, std::string& out) {
  struct Visitor {
    const JsonValue& value;
    std::size_t depth;
    std::string& out;

    void operator()(std::nullptr_t) const { out += "null"; }
    void operator()(bool flag) const { out += flag ? "true" : "false"; }
    void operator()(std::int64_t number) const { out += fmt::format("{}", number); }
    void operator()(std::uint64_t number) const { out += fmt::format("{}", number); }
    // -0.0 would come back as the integer 0.
    void operator()(double number) const { out += fmt::format("{}", number == 0 ? 0 : number); }
    void operator()(const std::string& text) const {
      out += in_quotes(value.secret ? masked(text) : text);
    }
    void operator()(const JsonValue::Array& array) const { write_elements(array, depth, out); }
    void operator()(const JsonValue::Object& object) const { write_members(object, depth, out); }
  };
  std::visit(Visitor{value, depth, out}, value.value);
}

void write_in_line(const JsonValue& value, std::string& out) {
  if (const auto* array = std::get_if<JsonValue::Array>(&value.value)) {
    out += '[';
    for (const JsonValue& element : *array) {
      if (&element != &array->front()) out += ',';
      write_in_line(element, out);
    }
    out += ']';
  } else if (const auto* object = std::get_if<JsonValue::Object>(&value.value)) {
    out += '{';
    for (const JsonMember& member : *object) {
      if (&member != &object->front()) out += ',';
      out += in_quotes(member.key) + ":";
      write_in_line(member.value, out);
    }
    out += '}';
  } else {
    write(value, 0, out);
  }
}

}  // namespace

bool operator==(const JsonValue& a, const JsonValue& b) {
  return a.value == b.value;
}

bool operator==(const JsonMember& a, const JsonMember& b) {
  return a.key == b.key && a.value == b.value;
}

std::string describe(const JsonValue& value) {
  if (value.secret) return "the value (not shown)";
  struct Visitor {
    std::string operator()(std::nullptr_t) const { return "null"; }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(std::uint64_t number) const { return fmt::format("{}", number); }
    std::string operator()(double number) const { return fmt::format("{}", number); }
    std::string operator()(const std::string& text) const {
      constexpr std::size_t kShownMax = 80;
      return text.size() <= kShownMax ? in_quotes(text)
                                      : in_quotes(text.substr(0, kShownMax) + "...");
    }
    std::string operator()(const JsonValue::Array&) const { return "an array"; }
    std::string operator()(const JsonValue::Object&) const { return "an object"; }
  };
  return std::visit(Visitor{}, value.value);
}

std::optional<JsonValue> number_of(std::string_view text) {
  // The parser would also take blanks and comments.
  if (text.find_first_not_of("0123456789+-.eE") != text.npos) return std::nullopt;
  auto document = JsonDocument::parse("", text);
  if (!document) return std::nullopt;
  return std::move(document->root);
}

std::string masked(std::string_view secret) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest.data());
  return fmt::format("(secret, {:02x}{:02x}{:02x}{:02x})", digest[0], digest[1], digest[2],
                     digest[3]);
}

std::string to_text(const JsonValue& value) {
  std::string text;
  write(value, 0, text);
  return text;
}

std::string compact_text(const JsonValue& value) {
  std::string text;
  write_in_line(value, text);
  return text;
}

Result<JsonDocument> JsonDocument::parse(std::string file, std::string_view text,
                                         const JsonLimits& limits) {
  if (text.size() > limits.file_bytes_max) {
    return failure(fmt::format("{}: {} bytes are more than the {} that are read", file, text.size(),
                               limits.file_bytes_max));
  }
  // RFC 8259 §2 has no place for it, and nlohmann_json takes it for the end of the text.
  if (const std::size_t nul = text.find('\0'); nul != text.npos) {
    const std::string_view before = text.substr(0, nul);
    return failure(fmt::format("{}:{}: not JSON: a NUL byte; expected text to the end of the file",
                               file, 1 + std::count(before.begin(), before.end(), '\n')));
  }
  Position position;
  TreeBuilder tree(position, limits.depth_max);
  const CountingIterator begin(text.data(), &position);
  const CountingIterator end(text.data() + text.size(), &position);
  constexpr bool kToTheEnd = true, kWithComments = true;
  if (!nlohmann::json::sax_parse(begin, end, &tree, nlohmann::json::input_format_t::json, kToTheEnd,
                                 kWithComments)) {
    return failure(fmt::format("{}:{}: {}", file, position.line, tree.error()));
  }
  return JsonDocument{{std::move(file)}, tree.take_root()};
}

Result<std::string> JsonDocument::text_of(const std::string& file, const JsonLimits& limits) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    return failure(fmt::format("{}: is a directory, not a JSON file", file));
  }
  auto text = transport::read_regular_file(file, limits.file_bytes_max);
  if (!text) return failure(fmt::format("{}: cannot be read: {}", file, text.error().what));
  return text;
}

Result<JsonDocument> JsonDocument::load(const std::filesystem::path& file,
                                        const JsonLimits& limits) {
  auto text = text_of(file.string(), limits);
  if (!text) return tl::unexpected(text.error());
  return parse(file.string(), *text, limits);
}

}  // namespace siglane::runtime
