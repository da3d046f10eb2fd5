#include "apps/runtime/config_include.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <glob.h>

#include "apps/runtime/printable.h"
#include "transport/regular_file.h"

namespace siglane::runtime {

namespace {

constexpr std::string_view kInclude = "include";
constexpr std::string_view kFromEnvironment = "from_env";
constexpr std::string_view kFromFile = "from_file";

std::string as_shown(const std::string& text) {
  return is_printable(text) ? text : in_quotes(text);
}

std::string beside(const std::string& file, const std::string& name) {
  return (std::filesystem::path(file).parent_path() / name).string();
}

std::string with_wildcards_escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (std::string_view("*?[\\").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

// What `pattern` means in `file`, in the order of names.
Result<std::vector<std::string>> files_of(const std::string& file, const std::string& pattern) {
  if (pattern.find_first_of("*?[") == pattern.npos) return std::vector{beside(file, pattern)};
  const std::string directory = std::filesystem::path(file).parent_path().string();
  const std::string whole =
      (std::filesystem::path(with_wildcards_escaped(directory)) / pattern).string();
  // A directory that does not exist has no files; one that cannot be read may have some.
  const auto stop_at = [](const char*, int why) { return why == ENOENT ? 0 : 1; };
  glob_t found{};
  const int status = ::glob(whole.c_str(), GLOB_NOSORT, stop_at, &found);
  const std::unique_ptr<glob_t, void (*)(glob_t*)> owner(&found, ::globfree);
  if (status != 0 && status != GLOB_NOMATCH) {
    return failure(fmt::format("{}: a directory of it cannot be read", in_quotes(pattern)));
  }
  std::vector<std::string> files(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  std::sort(files.begin(), files.end());
  return files;
}

class Loader {
 public:
  Loader(const JsonLimits& json, const IncludeLimits& limits) : json_(json), limits_(limits) {}

  // `at`: the place that includes it, and `why`, how errors about that begin; empty: the root.
  Result<void> load(const std::string& file, JsonPlace at, const std::string& why);
  JsonDocument take() { return std::move(document_); }

 private:
  // The file that is being read is one of a chain from the root.
  struct Open {
    std::string canonical;
    std::string name;
  };

  Result<void> note(const std::string& file, JsonPlace at, const std::string& why);
  Result<void> include(const std::string& file, const JsonValue& patterns);
  Result<void> resolve(JsonValue& value, std::string& path);
  Result<std::string> text_from(const std::string& source, const JsonValue& name,
                                const std::string& path) const;
  Result<void> merge(JsonValue& into, JsonValue from, std::string& path);

  std::string where(JsonPlace place) const {
    return fmt::format("{}:{}", as_shown(document_.files[place.file]), place.line);
  }
  std::string where(JsonPlace place, const std::string& path) const {
    return fmt::format("{}: {}", where(place), path.empty() ? "/" : as_shown(path));
  }

  const JsonLimits json_;
  const IncludeLimits limits_;
  JsonDocument document_;
  std::map<std::string, JsonPlace> read_;  // canonical names, and the place that includes each
  std::vector<Open> chain_;
};

// The file is about to be read: it must be the first time.
Result<void> Loader::note(const std::string& file, JsonPlace at, const std::string& why) {
  std::error_code error;
  std::string canonical = std::filesystem::canonical(file, error).string();
  if (error) canonical = file;  // reading it will say what is wrong
  const auto cycle = std::find_if(chain_.begin(), chain_.end(),
                                  [&](const Open& open) { return open.canonical == canonical; });
  if (cycle != chain_.end()) {
    std::string names;
    for (auto open = cycle; open != chain_.end(); ++open) {
      names += fmt::format("{} includes ", as_shown(open->name));
    }
    return failure(fmt::format("{}is a cycle: {}{}", why, names, as_shown(file)));
  }
  if (const auto [first, is_new] = read_.emplace(canonical, at); !is_new) {
    return failure(
        fmt::format("{}{} is included already, at {}", why, as_shown(file), where(first->second)));
  }
  if (chain_.size() > limits_.depth_max) {
    return failure(fmt::format("{}{} is more than {} levels below {}", why, as_shown(file),
                               limits_.depth_max, as_shown(document_.files.front())));
  }
  if (document_.files.size() == limits_.files_max) {
    return failure(fmt::format("{}{}: more than {} files", why, as_shown(file), limits_.files_max));
  }
  chain_.push_back({std::move(canonical), file});
  return {};
}

Result<void> Loader::load(const std::string& file, JsonPlace at, const std::string& why) {
  if (auto noted = note(file, at, why); !noted) return noted;
  auto text = JsonDocument::text_of(file, json_);
  if (!text) return failure(why + text.error().what);
  auto parsed = JsonDocument::parse(as_shown(file), *text, json_);
  if (!parsed) return tl::unexpected(parsed.error());
  JsonValue root = std::move(parsed->root);
  const bool is_root = document_.files.empty();
  document_.files.push_back(file);
  const auto index = static_cast<std::uint16_t>(document_.files.size() - 1);
  root.file = index;
  auto* object = std::get_if<JsonValue::Object>(&root.value);
  if (object == nullptr && !is_root) {
    return failure(fmt::format("{}: {} is not an object", where(root.place(), ""), describe(root)));
  }
  std::optional<JsonValue> patterns;
  if (object != nullptr) {
    const auto include = std::find_if(object->begin(), object->end(), [](const JsonMember& member) {
      return member.key == kInclude;
    });
    if (include != object->end()) {
      patterns = std::move(include->value);
      object->erase(include);
    }
  }
  std::string path;
  if (auto resolved = resolve(root, path); !resolved) return resolved;
  if (is_root) {
    document_.root = std::move(root);
  } else if (auto merged = merge(document_.root, std::move(root), path); !merged) {
    return merged;
  }
  if (patterns) {
    patterns->file = index;
    if (auto included = include(file, *patterns); !included) return included;
  }
  chain_.pop_back();
  return {};
}

Result<void> Loader::include(const std::string& file, const JsonValue& patterns) {
  const JsonPlace at = patterns.place();
  const auto* array = std::get_if<JsonValue::Array>(&patterns.value);
  if (array == nullptr) {
    return failure(fmt::format("{}: {} is not an array of names of files", where(at, "/include"),
                               describe(patterns)));
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    const JsonValue& element = (*array)[i];
    const JsonPlace here{at.file, element.line};
    const std::string why = where(here, fmt::format("/include/{}", i)) + ": ";
    const auto* pattern = std::get_if<std::string>(&element.value);
    if (pattern == nullptr || pattern->empty() || pattern->find('\0') != pattern->npos) {
      return failure(fmt::format("{}{} is not the name of a file", why, describe(element)));
    }
    const auto files = files_of(file, *pattern);
    if (!files) return failure(why + files.error().what);
    for (const std::string& included : *files) {
      if (auto loaded = load(included, here, why); !loaded) return loaded;
    }
  }
  return {};
}

// Says of each value in which file it stands, and puts texts from elsewhere in their places.
// `path` is that of `value`, and the same at the end.
Result<void> Loader::resolve(JsonValue& value, std::string& path) {
  value.file = static_cast<std::uint16_t>(document_.files.size() - 1);
  const std::size_t length = path.size();
  if (auto* array = std::get_if<JsonValue::Array>(&value.value)) {
    for (std::size_t i = 0; i < array->size(); ++i) {
      path += fmt::format("/{}", i);
      if (auto resolved = resolve((*array)[i], path); !resolved) return resolved;
      path.resize(length);
    }
    return {};
  }
  auto* object = std::get_if<JsonValue::Object>(&value.value);
  if (object == nullptr) return {};
  for (JsonMember& member : *object) {
    if (member.key == kFromEnvironment || member.key == kFromFile) {
      if (object->size() > 1) {
        return failure(fmt::format("{}: {} stands beside other keys; expected it alone",
                                   where(value.place(), path), in_quotes(member.key)));
      }
      member.value.file = value.file;
      auto text = text_from(member.key, member.value, path);
      if (!text) return tl::unexpected(text.error());
      value.value = std::move(*text);
      value.secret = true;
      return {};
    }
    path += '/' + member.key;
    if (auto resolved = resolve(member.value, path); !resolved) return resolved;
    path.resize(length);
  }
  return {};
}

Result<std::string> Loader::text_from(const std::string& source, const JsonValue& name,
                                      const std::string& path) const {
  const auto complain = [&](const std::string& what) {
    return failure(fmt::format("{}: {}", where(name.place(), path), what));
  };
  const auto* text = std::get_if<std::string>(&name.value);
  const bool environment = source == kFromEnvironment;
  if (text == nullptr || text->empty() || text->find('\0') != text->npos) {
    return complain(fmt::format("{} is not the name of {}", describe(name),
                                environment ? "an environment variable" : "a file"));
  }
  std::string found;
  if (environment) {
    const char* value = std::getenv(text->c_str());
    if (value == nullptr) {
      return complain(fmt::format("the environment variable {} is not set", in_quotes(*text)));
    }
    found = value;
  } else {
    const std::string file = beside(document_.files[name.file], *text);
    auto read = transport::read_regular_file(file, limits_.value_bytes_max);
    if (!read) {
      return complain(fmt::format("{} cannot be read: {}", in_quotes(file), read.error().what));
    }
    found = std::move(*read);
    if (found.ends_with('\n')) found.pop_back();
  }
  if (!is_utf8(found)) {
    return complain(fmt::format("what {} has is not UTF-8 text", in_quotes(*text)));
  }
  return found;
}

Result<void> Loader::merge(JsonValue& into, JsonValue from, std::string& path) {
  auto* members = std::get_if<JsonValue::Object>(&into.value);
  auto* others = std::get_if<JsonValue::Object>(&from.value);
  auto* elements = std::get_if<JsonValue::Array>(&into.value);
  auto* further = std::get_if<JsonValue::Array>(&from.value);
  if (elements != nullptr && further != nullptr) {
    std::move(further->begin(), further->end(), std::back_inserter(*elements));
    return {};
  }
  if (members == nullptr || others == nullptr) {
    const bool scalars =
        members == nullptr && others == nullptr && elements == nullptr && further == nullptr;
    return failure(fmt::format("{}: stands at {} already{}", where(from.place(), path),
                               where(into.place()), scalars ? "" : ", as a value of another kind"));
  }
  const std::size_t length = path.size();
  for (JsonMember& other : *others) {
    const auto same = std::find_if(members->begin(), members->end(),
                                   [&](const JsonMember& m) { return m.key == other.key; });
    if (same == members->end()) {
      members->push_back(std::move(other));
      continue;
    }
    path += '/' + other.key;
    if (auto merged = merge(same->value, std::move(other.value), path); !merged) return merged;
    path.resize(length);
  }
  return {};
}

}  // namespace

Result<JsonDocument> load_config_document(const std::string& file, const JsonLimits& json,
                                          const IncludeLimits& limits) {
  Loader loader(json, limits);
  if (auto loaded = loader.load(file, {}, ""); !loaded) return tl::unexpected(loaded.error());
  return loader.take();
}

}  // namespace siglane::runtime
