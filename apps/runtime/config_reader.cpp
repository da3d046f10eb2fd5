#include "apps/runtime/config_reader.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "apps/runtime/printable.h"

namespace siglane::runtime {

// One that was asked for.
struct ObjectReader::Key {
  std::string name;
  const JsonValue* found = nullptr;
  std::unique_ptr<JsonValue> instead;  // of `found`, where effective() shows something else
  bool shown = false;                  // by effective(): its value was asked for
  bool secret = false;
};

struct ObjectReader::State {
  const JsonValue* value = nullptr;  // always an object
  std::string path;
  JsonPlace place;
  bool there = false;     // in the file, and an object: else what is missing in it was already said
  std::vector<Key> keys;  // in the order of asking; few, so that looking through them is fast

  bool knows(std::string_view name) const {
    return std::any_of(keys.begin(), keys.end(), [&](const Key& key) { return key.name == name; });
  }
};

namespace {

const JsonValue::Object& members(const JsonValue& value) {
  return std::get<JsonValue::Object>(value.value);
}

// What comes from a file or the environment is text, and may be a number there.
std::optional<JsonValue> number_in(const JsonValue& value) {
  const auto* text = value.secret ? std::get_if<std::string>(&value.value) : nullptr;
  return text == nullptr ? std::nullopt : number_of(*text);
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

// Levenshtein's distance, for suggestions. Precondition: both short.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

template <class Keys>
std::string_view nearest(std::string_view word, const Keys& candidates) {
  constexpr std::size_t kLengthMax = 64;
  std::string_view best;
  if (word.size() > kLengthMax) return best;
  std::size_t best_distance = word.size() / 3 + 2;  // farther away it is no misspelling
  for (const auto& candidate : candidates) {
    if (candidate.name.size() > kLengthMax) continue;
    const std::size_t d = distance(word, candidate.name);
    if (d < best_distance) {
      best_distance = d;
      best = candidate.name;
    }
  }
  return best;
}

std::string with_star_for_indices(std::string_view path) {
  std::string pattern;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view part = path.substr(1, end - 1);
    const bool index = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
    pattern += '/';
    pattern += index ? "*" : part;
    path.remove_prefix(end);
  }
  return pattern;
}

std::string size_text(Range<std::size_t> size) {
  if (size.max == std::numeric_limits<std::size_t>::max() || size.min == size.max) {
    return fmt::format("{}{}", size.min == size.max ? "" : "at least ", size.min);
  }
  return size.min == 0 ? fmt::format("at most {}", size.max)
                       : fmt::format("{} to {}", size.min, size.max);
}

}  // namespace

std::string absolute_path(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

// ---- ObjectReader ------------------------------------------------------------------------------

bool ObjectReader::Integer::operator<(const Integer& other) const {
  if (negative != other.negative) return negative;
  return negative ? magnitude > other.magnitude : magnitude < other.magnitude;
}

JsonValue ObjectReader::Integer::json() const {
  if (!negative) return {magnitude};
  return {static_cast<std::int64_t>(std::uint64_t{0} - magnitude)};
}

std::string ObjectReader::Integer::text() const {
  return fmt::format("{}{}", negative ? "-" : "", magnitude);
}

const std::string& ObjectReader::path() const {
  return state_->path;
}
int ObjectReader::line() const {
  return state_->place.line;
}

const std::string& ObjectReader::file() const {
  return reader_->document_.files[state_->place.file];
}

std::string ObjectReader::path_of(std::string_view key) const {
  return fmt::format("{}/{}", state_->path, key);
}

ObjectReader::Key& ObjectReader::key_of(std::string_view key) const {
  for (Key& known : state_->keys) {
    if (known.name == key) return known;
  }
  Key& added = state_->keys.emplace_back();
  added.name = key;
  for (const JsonMember& member : members(*state_->value)) {
    if (member.key == key) added.found = &member.value;
  }
  return added;
}

const JsonValue* ObjectReader::look(std::string_view key) const {
  return key_of(key).found;
}

const JsonValue* ObjectReader::take(std::string_view key) const {
  Key& known = key_of(key);
  known.shown = true;
  return known.found;
}

const JsonValue* ObjectReader::require(std::string_view key, std::string_view expected) const {
  (void)take(key);
  return find(key, expected);
}

void ObjectReader::show(std::string_view key, JsonValue value) const {
  Key& known = key_of(key);
  known.shown = true;
  if (known.instead == nullptr) known.instead = std::make_unique<JsonValue>(std::move(value));
}

void ObjectReader::show_instead(std::string_view key, JsonValue value) const {
  key_of(key).instead = nullptr;
  show(key, std::move(value));
}

void ObjectReader::leave_out(std::string_view key) const {
  key_of(key).shown = false;
}

bool ObjectReader::has(std::string_view key) const {
  return look(key) != nullptr;
}

bool ObjectReader::is_word(std::string_view key, std::string_view word) const {
  const JsonValue* value = look(key);
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(&value->value);
  if (text == nullptr || *text != word) return false;
  (void)take(key);
  return true;
}

const JsonValue* ObjectReader::find(std::string_view key, std::string_view expected) const {
  const JsonValue* value = look(key);
  if (value == nullptr && state_->there) {
    reader_->add_error(state_->place, path_of(key), fmt::format("missing; expected {}", expected));
  }
  return value;
}

void ObjectReader::found_is_not(const JsonValue& value, const std::string& path,
                                std::string_view expected) const {
  reader_->add_error(value.place(), path, fmt::format("{} is not {}", describe(value), expected));
}

const std::string* ObjectReader::text_of(const JsonValue* value, const std::string& path,
                                         std::string_view expected) const {
  if (value == nullptr) return nullptr;
  const auto* text = std::get_if<std::string>(&value->value);
  if (text == nullptr) {
    found_is_not(*value, path, expected);
  } else if (has_control_character(*text)) {
    found_is_not(*value, path, "a string without control characters");
    return nullptr;
  }
  return text;
}

std::string ObjectReader::required_string(std::string_view key) const {
  const std::string* text = text_of(require(key, "a string"), path_of(key), "a string");
  if (text != nullptr && text->empty()) refuse(key, "a string with something in it");
  return text == nullptr ? std::string() : *text;
}

std::string ObjectReader::string(std::string_view key, std::string fallback) const {
  const JsonValue* value = take(key);
  if (value == nullptr) show(key, {fallback});
  const std::string* text = text_of(value, path_of(key), "a string");
  return text == nullptr ? std::move(fallback) : *text;
}

std::string ObjectReader::beside(std::string_view key, const std::string& file,
                                 const std::string& name) const {
  if (name.empty()) return name;
  std::string path = (std::filesystem::path(file).parent_path() / name).string();
  const JsonValue* value = look(key);
  show(key, {absolute_path(path), 1, 0, value != nullptr && value->secret});
  return path;
}

std::string ObjectReader::required_file_path(std::string_view key) const {
  const std::string name = required_string(key);
  const JsonValue* value = look(key);
  return beside(key, reader_->document_.files[value == nullptr ? 0 : value->file], name);
}

std::string ObjectReader::file_path(std::string_view key, std::string fallback) const {
  const JsonValue* value = take(key);
  if (value == nullptr) {
    if (fallback.empty()) show(key, {fallback});
    return beside(key, reader_->document_.files.front(), fallback);
  }
  return beside(key, reader_->document_.files[value->file], string(key, std::move(fallback)));
}

bool ObjectReader::boolean(std::string_view key, bool fallback) const {
  const JsonValue* value = take(key);
  if (value == nullptr) {
    show(key, {fallback});
    return fallback;
  }
  if (const auto* flag = std::get_if<bool>(&value->value)) return *flag;
  found_is_not(*value, path_of(key), "true or false");
  return fallback;
}

ObjectReader::Integer ObjectReader::integer_of(const JsonValue& value, const std::string& path,
                                               Integer min, Integer max) const {
  const auto from_text = number_in(value);
  const auto& found = from_text ? from_text->value : value.value;
  std::optional<Integer> number;
  if (const auto* i = std::get_if<std::int64_t>(&found)) number = *i;
  if (const auto* u = std::get_if<std::uint64_t>(&found)) number = *u;
  if (!number || *number < min || max < *number) {
    found_is_not(value, path, fmt::format("a whole number from {} to {}", min.text(), max.text()));
    return min;
  }
  return *number;
}

ObjectReader::Integer ObjectReader::integer(std::string_view key, std::optional<Integer> fallback,
                                            Integer min, Integer max) const {
  const JsonValue* value = fallback ? look(key) : require(key, "a whole number");
  if (value == nullptr) {
    if (fallback && !(*fallback < min) && !(max < *fallback)) show(key, fallback->json());
    return fallback ? *fallback : min;
  }
  (void)take(key);
  return integer_of(*value, path_of(key), min, max);
}

double ObjectReader::decimal_or(std::string_view key, std::optional<double> fallback,
                                Range<double> range) const {
  const auto allowed = [&](double number) { return number >= range.min && number <= range.max; };
  const JsonValue* value = fallback ? look(key) : require(key, "a number");
  if (value == nullptr) {
    if (fallback && allowed(*fallback)) show(key, {*fallback});
    return fallback.value_or(0);
  }
  (void)take(key);
  const auto from_text = number_in(*value);
  const auto& found = from_text ? from_text->value : value->value;
  std::optional<double> number;
  if (const auto* d = std::get_if<double>(&found)) number = *d;
  if (const auto* i = std::get_if<std::int64_t>(&found)) number = static_cast<double>(*i);
  if (const auto* u = std::get_if<std::uint64_t>(&found)) number = static_cast<double>(*u);
  if (number && allowed(*number)) return *number;

  const bool bounded = range.max < std::numeric_limits<double>::max();
  const bool from = range.min > std::numeric_limits<double>::lowest();
  found_is_not(*value, path_of(key),
               fmt::format("a number{}{}", from ? fmt::format(" from {}", range.min) : "",
                           bounded ? fmt::format(" to {}", range.max) : ""));
  return fallback.value_or(range.min);
}

double ObjectReader::required_decimal(std::string_view key, Range<double> range) const {
  return decimal_or(key, std::nullopt, range);
}

double ObjectReader::decimal(std::string_view key, double fallback, Range<double> range) const {
  return decimal_or(key, fallback, range);
}

Duration ObjectReader::milliseconds(std::string_view key, Duration fallback,
                                    Range<Duration> range) const {
  assert(key.ends_with("_ms"));
  const auto ms = [](Duration d) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  };
  const Integer number = integer(key, Integer{ms(fallback)}, ms(range.min), ms(range.max));
  if (look(key) == nullptr) return fallback;
  return std::chrono::milliseconds(static_cast<std::int64_t>(number));
}

std::string ObjectReader::one_of(const std::vector<std::string_view>& words) {
  std::string text = words.size() == 1 ? "" : "one of ";
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", words[i]);
  }
  return text;
}

std::vector<std::byte> ObjectReader::hex_bytes(std::string_view key, std::size_t count) const {
  const std::string expected = fmt::format("{} hexadecimal digits", 2 * count);
  const JsonValue* value = require(key, expected);
  key_of(key).secret = true;
  if (value == nullptr) return {};
  const auto* text = std::get_if<std::string>(&value->value);
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; text != nullptr && i + 1 < text->size(); i += 2) {
    unsigned octet = 0;
    const char* end = text->data() + i + 2;
    const auto [stop, error] = std::from_chars(text->data() + i, end, octet, 16);
    if (error != std::errc{} || stop != end) break;
    bytes.push_back(static_cast<std::byte>(octet));
  }
  if (text == nullptr || text->size() != 2 * count || bytes.size() != count) {
    const std::string found = text == nullptr
                                  ? "the value (not shown)"
                                  : fmt::format("a string of {} characters", text->size());
    reader_->add_error(value->place(), path_of(key), fmt::format("{} is not {}", found, expected));
    return {};
  }
  return bytes;
}

std::vector<const JsonValue*> ObjectReader::elements(std::string_view key, Size size) const {
  const std::string expected = fmt::format("an array of {} elements", size_text(size));
  const JsonValue* value = size.min > 0 ? require(key, expected) : take(key);
  if (value == nullptr) {
    if (size.min == 0) show(key, {JsonValue::Array{}});
    return {};
  }
  const auto* array = std::get_if<JsonValue::Array>(&value->value);
  if (array == nullptr) {
    found_is_not(*value, path_of(key), expected);
    return {};
  }
  if (array->size() < size.min || array->size() > size.max) {
    reader_->add_error(value->place(), path_of(key),
                       fmt::format("an array of {} is not {}", array->size(), expected));
  }
  std::vector<const JsonValue*> all;
  for (const JsonValue& element : *array) {
    if (all.size() == size.max) break;
    all.push_back(&element);
  }
  return all;
}

std::size_t ObjectReader::array_size(std::string_view key) const {
  const JsonValue* value = look(key);
  const auto* array = value == nullptr ? nullptr : std::get_if<JsonValue::Array>(&value->value);
  return array == nullptr ? 0 : array->size();
}

std::vector<std::string> ObjectReader::strings(std::string_view key, Size size) const {
  auto as_it_is = [](std::string_view text) { return std::optional(std::string(text)); };
  return parsed_list(key, "a string", as_it_is, size);
}

std::vector<ObjectReader> ObjectReader::objects(std::string_view key, Size size) const {
  std::vector<ObjectReader> all;
  std::size_t index = 0;
  for (const JsonValue* element : elements(key, size)) {
    const std::string path = fmt::format("{}/{}", path_of(key), index++);
    if (std::holds_alternative<JsonValue::Object>(element->value)) {
      all.push_back(ObjectReader(*reader_, reader_->state_of(*element, path, true)));
    } else {
      found_is_not(*element, path, "an object");
    }
  }
  return all;
}

ObjectReader ObjectReader::object(std::string_view key) const {
  const JsonValue* value = take(key);
  if (value != nullptr && std::holds_alternative<JsonValue::Object>(value->value)) {
    return ObjectReader(*reader_, reader_->state_of(*value, path_of(key), true));
  }
  if (value != nullptr) found_is_not(*value, path_of(key), "an object");
  State& state = reader_->state_of(reader_->nothing_, path_of(key), value == nullptr);
  state.place = value != nullptr ? value->place() : state_->place;
  state.there = state.there && state_->there;
  return ObjectReader(*reader_, state);
}

std::optional<ObjectReader> ObjectReader::optional_object(std::string_view key) const {
  if (!has(key)) return std::nullopt;
  return object(key);
}

void ObjectReader::refuse(std::string_view key, std::string_view expected) const {
  if (const JsonValue* value = find(key, expected)) found_is_not(*value, path_of(key), expected);
}

void ObjectReader::refuse(std::string_view key, std::size_t index,
                          std::string_view expected) const {
  const JsonValue* value = look(key);
  const auto* array = value == nullptr ? nullptr : std::get_if<JsonValue::Array>(&value->value);
  if (array == nullptr || index >= array->size()) return refuse(key, expected);
  found_is_not((*array)[index], fmt::format("{}/{}", path_of(key), index), expected);
}

std::string ObjectReader::shown(std::string_view key, std::string_view text) const {
  const JsonValue* value = look(key);
  return value != nullptr && value->secret ? describe(*value) : in_quotes(text);
}

void ObjectReader::complain(std::string_view key, std::string_view sentence) const {
  const JsonValue* value = look(key);
  reader_->add_error(value != nullptr ? value->place() : state_->place, path_of(key), sentence);
}

// ---- ConfigReader ------------------------------------------------------------------------------

ConfigReader::ConfigReader(const JsonDocument& document)
    : document_(document), nothing_{JsonValue::Object{}, 1} {}

ConfigReader::~ConfigReader() = default;

ObjectReader ConfigReader::root() {
  const bool object = std::holds_alternative<JsonValue::Object>(document_.root.value);
  if (!object && states_.empty()) {
    add_error(document_.root.place(), "/",
              fmt::format("{} is not an object", describe(document_.root)));
  }
  return ObjectReader(*this, state_of(object ? document_.root : nothing_, "", object));
}

ObjectReader::State& ConfigReader::state_of(const JsonValue& value, std::string path, bool there) {
  auto& state = states_[path];
  if (state == nullptr) {
    state = std::make_unique<ObjectReader::State>();
    state->value = &value;
    state->path = std::move(path);
    state->place = value.place();
    state->there = there;
  }
  return *state;
}

void ConfigReader::add_error(JsonPlace place, const std::string& path, std::string_view what) {
  // A little more is kept than shown, so that those nearest to the file's beginning are shown.
  constexpr std::size_t kKeptMax = 5 * kErrorsShownMax;
  if (errors_.size() == kKeptMax) {
    ++errors_left_out_;
    return;
  }
  // Keys come from the file: a control character in one must not reach a terminal.
  std::string error = fmt::format("{}:{}: {}: {}", document_.files[place.file], place.line,
                                  is_printable(path) ? path : in_quotes(path), what);
  const auto [first, last] = errors_.equal_range(place);
  const bool said = std::any_of(first, last, [&](const auto& e) { return e.second == error; });
  if (!said) errors_.emplace(place, std::move(error));
}

void ConfigReader::find_unknown_keys() {
  for (const auto& [path, state] : states_) {
    for (const JsonMember& member : members(*state->value)) {
      if (state->knows(member.key)) continue;
      const std::string_view near = nearest(member.key, state->keys);
      add_error({member.value.file, member.line}, fmt::format("{}/{}", path, member.key),
                fmt::format("{} is not a known key{}", describe(JsonValue{member.key, 0}),
                            near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near)));
    }
  }
}

Result<void> ConfigReader::finish() {
  find_unknown_keys();
  if (errors_.empty()) return {};
  std::string text;
  std::size_t shown = 0;
  for (const auto& [place, error] : errors_) {
    if (shown == kErrorsShownMax) break;
    text += fmt::format("{}{}", shown == 0 ? "" : "\n", error);
    ++shown;
  }
  if (const std::size_t more = errors_.size() + errors_left_out_ - shown; more > 0) {
    text += fmt::format("\n{}: and {} more", document_.files.front(), more);
  }
  return failure(std::move(text));
}

JsonValue ConfigReader::effective() const {
  const auto root = states_.find("");
  return root == states_.end() ? nothing_ : effective_of(*root->second);
}

JsonValue ConfigReader::effective_of(const ObjectReader::State& state) const {
  JsonValue::Object object;
  for (const ObjectReader::Key& key : state.keys) {
    if (!key.shown) continue;
    const JsonValue* value = key.instead != nullptr ? key.instead.get() : key.found;
    const std::string path = fmt::format("{}/{}", state.path, key.name);
    const auto absent = value == nullptr ? states_.find(path) : states_.end();
    if (value == nullptr && absent == states_.end()) continue;
    JsonMember member{
        key.name, 1, value == nullptr ? effective_of(*absent->second) : effective_of(*value, path)};
    if (value == nullptr && members(member.value).empty()) continue;
    if (auto* text = std::get_if<std::string>(&member.value.value);
        text != nullptr && key.secret && !value->secret) {
      *text = masked(*text);
    }
    object.push_back(std::move(member));
  }
  return {std::move(object)};
}

JsonValue ConfigReader::effective_of(const JsonValue& found, const std::string& path) const {
  if (std::holds_alternative<JsonValue::Object>(found.value)) {
    const auto state = states_.find(path);
    return state == states_.end() ? nothing_ : effective_of(*state->second);
  }
  if (const auto* array = std::get_if<JsonValue::Array>(&found.value)) {
    JsonValue::Array elements;
    for (std::size_t i = 0; i < array->size(); ++i) {
      elements.push_back(effective_of((*array)[i], fmt::format("{}/{}", path, i)));
    }
    return {std::move(elements)};
  }
  if (found.secret) return {masked(std::get<std::string>(found.value))};
  return {found.value};
}

std::set<std::string> ConfigReader::known_keys() const {
  std::set<std::string> keys;
  for (const auto& [path, state] : states_) {
    for (const ObjectReader::Key& key : state->keys) {
      keys.insert(fmt::format("{}/{}", with_star_for_indices(path), key.name));
    }
  }
  return keys;
}

}  // namespace siglane::runtime
