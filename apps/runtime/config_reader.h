#pragma once
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/runtime/json_document.h"
#include "core/time.h"

namespace siglane::runtime {

// Reading a JSON config into structs: each call names a key, its default and its bounds, and gives
// a value of the right type, always. What is wrong is collected, so one run shows all mistakes of a
// file; finish() tells whether there were any. A key that nobody asked for is a mistake too.
//
//   {                                          // config/hss.json
//     "hss": {
//       "database": "hss.db",
//       "commit_interval_ms": 5,
//       "sqn_step": 32,
//       "mode": "front-end",
//       "networks": [{"plmn": "00101", "op": "cdc202d5123e20f62b6d676ac72cb318"}]
//     }
//   }
//
//   Result<JsonDocument> document = JsonDocument::load("config/hss.json");
//   if (!document) return failure(document.error().what);
//   ConfigReader reader(*document);
//   ObjectReader hss = reader.root().object("hss");   // absent reads as {}: defaults apply
//   config.database = hss.required_string("database");
//   config.commit_interval = hss.milliseconds("commit_interval_ms", 5ms, {.min = 0ms, .max = 1s});
//   config.sqn_step = hss.number<std::uint32_t>("sqn_step", 32, {.min = 1, .max = 1u << 20});
//   config.mode = hss.choice("mode", Mode::single,
//                            {{"single", Mode::single}, {"front-end", Mode::front_end}});
//   for (ObjectReader network : hss.objects("networks")) {
//     config.networks.push_back({.plmn = network.required_string("plmn"),
//                                .op = network.hex_bytes("op", 16)});
//     if (!is_plmn(config.networks.back().plmn)) network.refuse("plmn", "five or six digits");
//   }
//   if (auto good = reader.finish(); !good) return failure(good.error().what);
//
//   config/hss.json:7: /hss/networks/0/plmn: "001" is not five or six digits
//
// Every daemon reads one file: load_node_config(reader.root()) (config.h) takes the shared
// sections, the application its own, then the application calls finish().
template <class T>
struct Range {
  T min = std::numeric_limits<T>::lowest();
  T max = std::numeric_limits<T>::max();
};
template <>
struct Range<Duration> {
  Duration min = 0ms;
  Duration max = 24h;
};

// As effective() shows a path. If the working directory is gone, the path as it is.
std::string absolute_path(const std::string& path);

class ConfigReader;

// One JSON object of the file. A small value: copy it, keep it for a cross check later; good for as
// long as the ConfigReader.
class ObjectReader {
 public:
  // The whole key path, `/diameter/peers/2`; empty at the root.
  const std::string& path() const;
  // Where the object begins: its line, and its file as the operator named it.
  int line() const;
  const std::string& file() const;
  // In the file? (Asking makes the key known.)
  bool has(std::string_view key) const;

  // Strings without control characters.
  std::string required_string(std::string_view key) const;
  std::string string(std::string_view key, std::string fallback) const;

  // The path of a file. A relative one begins in the directory of the config file where it stands,
  // a default in that of the config itself. Empty stays empty.
  std::string required_file_path(std::string_view key) const;
  std::string file_path(std::string_view key, std::string fallback) const;

  bool boolean(std::string_view key, bool fallback) const;

  template <std::integral T>
  T required_number(std::string_view key, Range<std::type_identity_t<T>> range = {}) const {
    return static_cast<T>(integer(key, std::nullopt, range.min, range.max));
  }
  template <std::integral T>
  T number(std::string_view key, std::type_identity_t<T> fallback,
           Range<std::type_identity_t<T>> range = {}) const {
    return static_cast<T>(integer(key, Integer{fallback}, range.min, range.max));
  }
  template <std::integral T>
  std::optional<T> optional_number(std::string_view key,
                                   Range<std::type_identity_t<T>> range = {}) const {
    return has(key) ? std::optional(required_number<T>(key, range)) : std::nullopt;
  }
  // Does `word` stand there? For keys that take a number or a word.
  bool is_word(std::string_view key, std::string_view word) const;
  // Any number, also with a fraction.
  double required_decimal(std::string_view key, Range<double> range = {}) const;
  double decimal(std::string_view key, double fallback, Range<double> range = {}) const;

  // A whole number of milliseconds; `key` ends with `_ms`.
  Duration milliseconds(std::string_view key, Duration fallback, Range<Duration> range = {}) const;

  // One of a few words.
  template <class E>
  using Choices = std::initializer_list<std::pair<std::string_view, E>>;
  template <class E>
  E required_choice(std::string_view key, Choices<E> choices) const {
    return choice_or(key, std::optional<E>(), choices);
  }
  template <class E>
  E choice(std::string_view key, E fallback, Choices<E> choices) const {
    return choice_or(key, std::optional<E>(fallback), choices);
  }

  // A string that `parse` (string_view -> optional<T>) understands; otherwise the error says that
  // it is not `expected`: "an IP address".
  template <class Parse>
  auto required_parsed(std::string_view key, std::string_view expected, Parse parse) const {
    typename decltype(parse(std::string_view{}))::value_type value{};
    parse_text(require(key, expected), path_of(key), expected, value, parse);
    return value;
  }
  // effective() shows a default if it is a string, or has a name_of(), that `parse` understands.
  template <class T, class Parse>
  T parsed(std::string_view key, T fallback, std::string_view expected, Parse parse) const {
    const JsonValue* found = take(key);
    if (found == nullptr) {
      show_default(key, fallback, parse);
      return fallback;
    }
    T value = fallback;
    parse_text(found, path_of(key), expected, value, parse);
    return value;
  }
  // Exactly `count` bytes, written as twice as many hexadecimal digits; required. They are a
  // secret: neither an error nor effective() shows what was found.
  std::vector<std::byte> hex_bytes(std::string_view key, std::size_t count) const;

  // Arrays; an absent one is empty. `size` bounds the number of elements.
  using Size = Range<std::size_t>;
  std::vector<std::string> strings(std::string_view key, Size size = {0, 65536}) const;
  template <class Parse>
  auto parsed_list(std::string_view key, std::string_view expected, Parse parse,
                   Size size = {0, 65536}) const {
    using T = typename decltype(parse(std::string_view{}))::value_type;
    std::vector<T> values;
    std::size_t index = 0;
    for (const JsonValue* element : elements(key, size)) {
      T value{};
      if (parse_text(element, path_of(key) + "/" + std::to_string(index++), expected, value,
                     parse)) {
        values.push_back(std::move(value));
      }
    }
    return values;
  }
  template <std::integral T>
  std::vector<T> numbers(std::string_view key, Range<std::type_identity_t<T>> range = {},
                         Size size = {0, 65536}) const {
    std::vector<T> values;
    std::size_t index = 0;
    for (const JsonValue* element : elements(key, size)) {
      values.push_back(static_cast<T>(integer_of(
          *element, path_of(key) + "/" + std::to_string(index++), range.min, range.max)));
    }
    return values;
  }
  std::vector<ObjectReader> objects(std::string_view key, Size size = {0, 65536}) const;
  // As many as stand in the file; 0: no array stands there.
  std::size_t array_size(std::string_view key) const;

  // Absent: reads as if it were {}, so that defaults apply and required keys are missed.
  ObjectReader object(std::string_view key) const;
  std::optional<ObjectReader> optional_object(std::string_view key) const;

  // `text`, read from `key`, for a sentence of complain(): in quotes, or that it is a secret.
  std::string shown(std::string_view key, std::string_view text) const;

  // For checks of your own: `WHAT WAS FOUND is not EXPECTED`, or any other sentence about `key`.
  void refuse(std::string_view key, std::string_view expected) const;
  void refuse(std::string_view key, std::size_t index, std::string_view expected) const;
  void complain(std::string_view key, std::string_view sentence) const;

  // For effective(): the command line says `value` instead of what the file says.
  void show_instead(std::string_view key, JsonValue value) const;
  // For effective(): `key` is left out, since what was read has no effect here, and would be
  // refused if it stood in the file.
  void leave_out(std::string_view key) const;

 private:
  friend class ConfigReader;
  struct Key;
  struct State;

  // Wide enough for every integer type.
  struct Integer {
    bool negative = false;
    std::uint64_t magnitude = 0;

    template <std::integral T>
    Integer(T v)  // NOLINT(google-explicit-constructor): bounds convert silently on purpose
        : negative(std::cmp_less(v, 0)),
          magnitude(negative ? std::uint64_t{0} - static_cast<std::uint64_t>(v)
                             : static_cast<std::uint64_t>(v)) {}
    template <std::integral T>
    explicit operator T() const {
      return static_cast<T>(negative ? std::uint64_t{0} - magnitude : magnitude);
    }
    bool operator<(const Integer& other) const;
    std::string text() const;
    JsonValue json() const;
  };

  ObjectReader(ConfigReader& reader, State& state) : reader_(&reader), state_(&state) {}

  std::string path_of(std::string_view key) const;
  // Makes the key known.
  Key& key_of(std::string_view key) const;
  const JsonValue* look(std::string_view key) const;
  // Complains where it is missing.
  const JsonValue* find(std::string_view key, std::string_view expected) const;
  // The same two, and effective() shows the key.
  const JsonValue* take(std::string_view key) const;
  const JsonValue* require(std::string_view key, std::string_view expected) const;
  // What holds where nothing stands in the file.
  void show(std::string_view key, JsonValue value) const;
  template <class T, class Parse>
  void show_default(std::string_view key, const T& fallback, Parse& parse) const {
    if constexpr (std::convertible_to<const T&, std::string_view>) {
      if (parse(std::string_view(fallback))) show(key, {std::string(fallback)});
    } else if constexpr (requires { std::string(name_of(fallback)); }) {
      if (parse(std::string_view(name_of(fallback)))) show(key, {std::string(name_of(fallback))});
    }
  }
  std::string beside(std::string_view key, const std::string& file, const std::string& name) const;
  std::vector<const JsonValue*> elements(std::string_view key, Size size) const;
  Integer integer(std::string_view key, std::optional<Integer> fallback, Integer min,
                  Integer max) const;
  Integer integer_of(const JsonValue& value, const std::string& path, Integer min,
                     Integer max) const;
  double decimal_or(std::string_view key, std::optional<double> fallback,
                    Range<double> range) const;
  const std::string* text_of(const JsonValue* value, const std::string& path,
                             std::string_view expected) const;
  void found_is_not(const JsonValue& value, const std::string& path,
                    std::string_view expected) const;

  template <class T, class Parse>
  bool parse_text(const JsonValue* value, const std::string& path, std::string_view expected,
                  T& into, Parse& parse) const {
    const std::string* text = text_of(value, path, expected);
    if (text == nullptr) return false;
    auto result = parse(std::string_view(*text));
    if (result) {
      into = std::move(*result);
    } else {
      found_is_not(*value, path, expected);
    }
    return static_cast<bool>(result);
  }

  static std::string one_of(const std::vector<std::string_view>& words);
  template <class E>
  E choice_or(std::string_view key, std::optional<E> fallback, Choices<E> choices) const {
    std::vector<std::string_view> words;
    for (const auto& choice : choices) words.push_back(choice.first);
    E value = fallback ? *fallback : choices.begin()->second;
    if (fallback && look(key) == nullptr) {
      for (const auto& [word, meaning] : choices) {
        if (meaning == value) show(key, {std::string(word)});
      }
      return value;
    }
    auto parse = [&](std::string_view text) -> std::optional<E> {
      for (const auto& choice : choices) {
        if (choice.first == text) return choice.second;
      }
      return std::nullopt;
    };
    const std::string expected = one_of(words);
    parse_text(require(key, expected), path_of(key), expected, value, parse);
    return value;
  }

  ConfigReader* reader_;
  State* state_;
};

// The whole document. Owns what the ObjectReaders point to; `document` must outlive it.
class ConfigReader {
 public:
  explicit ConfigReader(const JsonDocument& document);
  ~ConfigReader();
  ConfigReader(const ConfigReader&) = delete;
  ConfigReader& operator=(const ConfigReader&) = delete;

  ObjectReader root();

  // Looks for keys that nobody asked for, then: all that was wrong, in the file's order, one to a
  // line, at most kErrorsShownMax of them.
  Result<void> finish();
  static constexpr std::size_t kErrorsShownMax = 20;

  // After finish() said that all is good: the config as it was understood. An object with every key
  // that was asked for, in the order of asking, and the value found or the default that holds. A
  // key that is absent and has no default is left out, and so is a default that the file could not
  // say, since it is not within the bounds. Paths of files are absolute. A string stands in the
  // place of a secret (masked()). Apart from secrets, a reader understands it in the same way
  // again.
  JsonValue effective() const;

  // Every key that was asked for, array indices as `*`: `/endpoints/*/port`. For the test that
  // holds the JSON Schema against the reader.
  std::set<std::string> known_keys() const;

 private:
  friend class ObjectReader;

  ObjectReader::State& state_of(const JsonValue& value, std::string path, bool there);
  void add_error(JsonPlace place, const std::string& path, std::string_view what);
  void find_unknown_keys();
  JsonValue effective_of(const ObjectReader::State& state) const;
  JsonValue effective_of(const JsonValue& found, const std::string& path) const;

  const JsonDocument& document_;
  const JsonValue nothing_;  // an empty object, in place of absent ones
  std::map<std::string, std::unique_ptr<ObjectReader::State>, std::less<>> states_;  // by path
  std::multimap<JsonPlace, std::string> errors_;
  std::size_t errors_left_out_ = 0;
};

}  // namespace siglane::runtime
