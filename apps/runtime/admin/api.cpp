#include "apps/runtime/admin/api.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "apps/runtime/admin/json.h"
#include "apps/runtime/printable.h"

namespace siglane::runtime {
namespace {

constexpr std::string_view kJson = "application/json", kProtobuf = "application/x-protobuf",
                           kText = "text/plain";

// --- The request's target (RFC 3986) -----------------------------------------------------------

std::optional<unsigned char> byte_of(std::string_view hex) {
  unsigned char byte = 0;
  const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), byte, 16);
  if (hex.size() != 2 || error != std::errc() || end != hex.data() + hex.size()) return {};
  return byte;
}

// nullopt: an escape that is none, NUL, or what is no text in UTF-8.
std::optional<std::string> decoded(std::string_view text, bool plus_is_blank) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_blank) {
      out += ' ';
    } else if (text[i] != '%') {
      if (text[i] <= ' ' || text[i] == 0x7f) return std::nullopt;  // also what is not ASCII
      out += text[i];
    } else {
      const auto byte = byte_of(text.substr(i + 1, 2));
      if (!byte || *byte == 0) return std::nullopt;
      out += static_cast<char>(*byte);
      i += 2;
    }
  }
  if (!is_utf8(out)) return std::nullopt;
  return out;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

struct Target {
  std::vector<std::string> path;  // its segments
  std::vector<std::pair<std::string, std::string>> query;
};

tl::expected<Target, Problem> parse_target(std::string_view text) {
  const auto bad = [](std::string_view piece) {
    return tl::unexpected(Problem{
        400, fmt::format("{} is no percent-encoded text in UTF-8 (RFC 3986)", in_quotes(piece))});
  };
  const std::size_t mark = text.find('?');
  const std::string_view path = text.substr(0, mark);
  if (!path.starts_with('/')) {
    return tl::unexpected(Problem{
        400, fmt::format("{} is no path that begins with a /", in_quotes(path.substr(0, 64)))});
  }
  Target target;
  for (const std::string_view segment : split(path.substr(1), '/')) {
    auto plain = decoded(segment, false);
    if (!plain) return bad(segment);
    target.path.push_back(std::move(*plain));
  }
  if (mark == std::string_view::npos) return target;
  for (const std::string_view piece : split(text.substr(mark + 1), '&')) {
    if (piece.empty()) continue;
    const std::size_t equals = piece.find('=');
    auto name = decoded(piece.substr(0, equals), true);
    auto value = equals == std::string_view::npos ? std::optional<std::string>("")
                                                  : decoded(piece.substr(equals + 1), true);
    if (!name || !value) return bad(piece);
    target.query.emplace_back(std::move(*name), std::move(*value));
  }
  return target;
}

// --- Parameters --------------------------------------------------------------------------------

// What a resource takes out of its path and query. The first thing that is wrong stays.
class Parameters {
 public:
  Parameters(std::string_view pattern, const Target& target) : query_(target.query) {
    const auto names = split(pattern.substr(1), '/');
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i].starts_with('{')) in_path_.push_back(target.path[i]);
    }
  }

  // The path's {…}, the first of them.
  const std::string& in_path() const { return in_path_.front(); }
  std::uint64_t number_in_path() {
    return parsed<std::uint64_t>("the path", in_path(), std::numeric_limits<std::uint64_t>::max());
  }

  std::string text(std::string_view name) { return take(name).value_or(""); }
  std::string required_text(std::string_view name, std::string_view expected) {
    std::string value = text(name);
    if (value.empty()) complain(fmt::format("{} is missing: expected {}", name, expected));
    return value;
  }
  // "?labels", "?labels=true"
  bool flag(std::string_view name) {
    const auto value = take(name);
    if (!value || *value == "false") return false;
    if (!value->empty() && *value != "true") {
      complain(fmt::format("{}={} is neither true nor false", name, printable(*value)));
    }
    return true;
  }
  template <class Number>
  Number number(std::string_view name, Number otherwise = 0,
                Number max = std::numeric_limits<Number>::max()) {
    const auto value = take(name);
    return value ? parsed(name, *value, max) : otherwise;
  }
  bool has(std::string_view name) const {
    return std::ranges::any_of(query_, [name](const auto& one) { return one.first == name; });
  }
  void complain(std::string text) {
    if (wrong_.empty()) wrong_ = std::move(text);
  }

  // Once all has been taken: what is wrong, or not known.
  std::optional<Problem> wrong() {
    for (const auto& [name, value] : query_) {
      if (std::ranges::find(known_, name) == known_.end()) {
        complain(known_.empty()
                     ? fmt::format("{} is no parameter: none is expected here", in_quotes(name))
                     : fmt::format("{} is no parameter; expected {}", in_quotes(name),
                                   fmt::join(known_, ", ")));
      }
    }
    if (wrong_.empty()) return std::nullopt;
    return Problem{400, wrong_};
  }

 private:
  std::optional<std::string> take(std::string_view name) {
    known_.push_back(name);
    std::optional<std::string> found;
    for (const auto& [key, value] : query_) {
      if (key != name) continue;
      if (found) complain(fmt::format("{} occurs more than once", name));
      found = value;
    }
    return found;
  }
  template <class Number>
  Number parsed(std::string_view name, const std::string& text, Number max) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number > max) {
      complain(fmt::format("{}: {} is no number from 0 to {}", name, in_quotes(text), max));
      return {};
    }
    return number;
  }

  const std::vector<std::pair<std::string, std::string>>& query_;
  std::vector<std::string> in_path_;
  std::vector<std::string_view> known_;
  std::string wrong_;
};

// --- The other way round -----------------------------------------------------------------------

std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool unreserved = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                            (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

class Query {
 public:
  Query& add(std::string_view name, std::string_view value) {
    text_ += fmt::format("{}{}={}", text_.empty() ? '?' : '&', name, encoded(value));
    return *this;
  }
  Query& unless_empty(std::string_view name, std::string_view value) {
    return value.empty() ? *this : add(name, value);
  }
  Query& unless_0(std::string_view name, std::uint64_t value) {
    return value == 0 ? *this : add(name, std::to_string(value));
  }
  Query& flag(std::string_view name, bool value) { return value ? add(name, "true") : *this; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

Query lookup_query(const admin::RouteLookupRequest& lookup) {
  if (lookup.has_diameter()) {
    return Query()
        .add("realm", lookup.diameter().realm())
        .add("application", lookup.diameter().application())
        .unless_empty("host", lookup.diameter().host());
  }
  const admin::RouteLookupRequest::Data& data = lookup.m3ua();
  Query query;
  query.add("dpc", std::to_string(data.destination_point_code()))
      .add("opc", std::to_string(data.originating_point_code()))
      .add("si", std::to_string(data.service_indicator()))
      .add("sls", std::to_string(data.sls()));
  if (data.has_network_appearance()) query.add("na", std::to_string(data.network_appearance()));
  return query;
}

// --- Resources ---------------------------------------------------------------------------------

using Fill = void (*)(Parameters&, ApiCall&);

struct Resource {
  std::string_view method, path, parameters;  // the latter for the index
  std::string_view what;
  Fill fill;
};

std::string_view word_of(admin::OrderRequest::Verb verb) {
  switch (verb) {
    case admin::OrderRequest::CONNECT:
      return "connect";
    case admin::OrderRequest::BLOCK:
      return "block";
    case admin::OrderRequest::UNBLOCK:
      return "unblock";
    case admin::OrderRequest::PEEL:
      return "peel";
    default:
      return "disconnect";
  }
}

template <admin::OrderRequest::Verb verb>
void order(Parameters& from, ApiCall& call) {
  call.request.mutable_order()->set_peer(from.in_path());
  call.request.mutable_order()->set_verb(verb);
}

template <ApiCall::Kind kind, Right needs>
void only(Parameters&, ApiCall& call) {
  call.kind = kind;
  call.needs = needs;
}

void stats(Parameters& from, ApiCall& call) {
  admin::StatsRequest& stats = *call.request.mutable_stats();
  stats.set_peer(from.text("peer"));
  stats.set_by_peer(from.flag("by_peer"));
  stats.set_labels(from.flag("labels"));
  if (!stats.peer().empty() + stats.by_peer() + stats.labels() > 1) {
    from.complain("peer, by_peer and labels exclude each other");
  }
}

void lookup(Parameters& from, ApiCall& call) {
  admin::RouteLookupRequest& lookup = *call.request.mutable_route_lookup();
  if (from.has("dpc")) {
    constexpr std::uint32_t kOctet = 255;
    admin::RouteLookupRequest::Data& data = *lookup.mutable_m3ua();
    data.set_destination_point_code(from.number<std::uint32_t>("dpc"));
    data.set_originating_point_code(from.number<std::uint32_t>("opc"));
    data.set_service_indicator(from.number<std::uint32_t>("si", 3, kOctet));
    data.set_sls(from.number<std::uint32_t>("sls", 0, kOctet));
    if (from.has("na")) data.set_network_appearance(from.number<std::uint32_t>("na"));
    return;
  }
  admin::RouteLookupRequest::DiameterRequest& diameter = *lookup.mutable_diameter();
  diameter.set_realm(from.required_text("realm", "realm and application, or dpc"));
  diameter.set_application(from.required_text("application", "a name or a number"));
  diameter.set_host(from.text("host"));
}

constexpr std::array kResources{
    Resource{"GET", "/v1", "", "this list", only<ApiCall::Kind::index, Right::read>},
    Resource{"GET", "/v1/node", "", "who the node is, and how it stands",
             [](Parameters&, ApiCall& call) { call.request.mutable_node(); }},
    Resource{"GET", "/v1/peers", "after=NAME, limit=N", "peers: how they fare, and why",
             [](Parameters& from, ApiCall& call) {
               call.request.mutable_peers()->set_after(from.text("after"));
               call.request.mutable_peers()->set_limit(from.number<std::uint32_t>("limit"));
             }},
    Resource{"GET", "/v1/peers/{peer}", "", "one of them",
             [](Parameters& from, ApiCall& call) {
               call.request.mutable_peers()->set_name(from.in_path());
             }},
    Resource{"GET", "/v1/associations", "peer=NAME, after=ID, limit=N",
             "associations: where each sits, why, how fast",
             [](Parameters& from, ApiCall& call) {
               admin::AssociationsRequest& request = *call.request.mutable_associations();
               request.set_peer(from.text("peer"));
               request.set_after(from.number<std::uint64_t>("after"));
               request.set_limit(from.number<std::uint32_t>("limit"));
             }},
    Resource{"GET", "/v1/associations/{id}", "", "one of them",
             [](Parameters& from, ApiCall& call) {
               call.request.mutable_associations()->set_id(from.number_in_path());
               if (call.request.associations().id() == 0) from.complain("no association has id 0");
             }},
    Resource{"GET", "/v1/application-servers", "", "M3UA's Application Servers and their ASPs",
             [](Parameters&, ApiCall& call) { call.request.mutable_application_servers(); }},
    Resource{"GET", "/v1/applications", "", "Diameter's applications: who serves them",
             [](Parameters&, ApiCall& call) { call.request.mutable_applications(); }},
    Resource{"GET", "/v1/routes", "", "where messages may go",
             [](Parameters&, ApiCall& call) { call.request.mutable_routes(); }},
    Resource{"GET", "/v1/routes/lookup",
             "realm=R, application=A, host=H; or dpc=N, opc=N, si=N, sls=N, na=N",
             "which way a message would go, and why not another", lookup},
    Resource{"GET", "/v1/stats", "peer=NAME, or by_peer, or labels", "what is counted", stats},
    Resource{"GET", "/v1/drops", "", "messages dropped or refused: why, whose, the last one",
             [](Parameters&, ApiCall& call) { call.request.mutable_drops(); }},
    Resource{"GET", "/v1/facts", "after=NUMBER, max=N", "what happened lately",
             [](Parameters& from, ApiCall& call) {
               call.request.mutable_facts()->set_after(from.number<std::uint64_t>("after"));
               call.request.mutable_facts()->set_count_max(from.number<std::uint32_t>("max"));
             }},
    Resource{"GET", "/v1/events", "after=NUMBER",
             "what happens, as it happens: server-sent events, each a fact",
             [](Parameters& from, ApiCall& call) {
               call.kind = ApiCall::Kind::events;
               const auto after = from.number<std::uint64_t>("after");
               if (from.has("after")) call.after = after;
             }},
    Resource{"POST", "/v1/reload", "dry_run", "read the config again, follow what has changed",
             [](Parameters& from, ApiCall& call) {
               call.request.mutable_reload()->set_dry_run(from.flag("dry_run"));
             }},
    Resource{"POST", "/v1/log-level", "level=LEVEL", "log what is of this level or worse",
             [](Parameters& from, ApiCall& call) {
               call.request.mutable_log_level()->set_level(
                   from.required_text("level", "debug, info, warning, error or off"));
             }},
    Resource{"POST", "/v1/peers/{peer}/disconnect", "", "end its associations, keep it away",
             order<admin::OrderRequest::DISCONNECT>},
    Resource{"POST", "/v1/peers/{peer}/connect", "", "let it connect, or connect to it",
             order<admin::OrderRequest::CONNECT>},
    Resource{"POST", "/v1/peers/{peer}/block", "", "give it no traffic",
             order<admin::OrderRequest::BLOCK>},
    Resource{"POST", "/v1/peers/{peer}/unblock", "", "give it traffic again",
             order<admin::OrderRequest::UNBLOCK>},
    Resource{"POST", "/v1/peers/{peer}/peel", "", "give its associations sockets of their own",
             order<admin::OrderRequest::PEEL>},
    Resource{"GET", "/livez", "", "200: the node's loops turn",
             only<ApiCall::Kind::live, Right::nothing>},
    Resource{"GET", "/readyz", "", "200: the node serves",
             only<ApiCall::Kind::ready, Right::nothing>},
};

bool matches(std::string_view pattern, const std::vector<std::string>& path) {
  const auto names = split(pattern.substr(1), '/');
  return std::ranges::equal(names, path, [](std::string_view name, const std::string& segment) {
    return name.starts_with('{') ? !segment.empty() : name == segment;
  });
}

bool is_for(const Resource& resource, std::string_view method) {
  return method == resource.method || (method == "HEAD" && resource.method == "GET");
}

Problem wrong_method(std::string_view method, const std::vector<const Resource*>& there) {
  std::string allowed;
  for (const Resource* one : there) {
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", one->method);
    if (one->method == "GET") allowed += ", HEAD";
  }
  return {405,
          fmt::format("{} is not for this path; expected {}", in_quotes(method), allowed),
          {{"Allow", allowed}}};
}

unsigned status_of(admin::Error::Code code) {
  switch (code) {
    case admin::Error::NOT_FOUND:
      return 404;
    case admin::Error::INVALID:
      return 400;
    default:
      return 501;
  }
}

}  // namespace

tl::expected<ApiCall, Problem> api_call(const HttpRequest& request) {
  auto target = parse_target(request.target);
  if (!target) return tl::unexpected(target.error());
  if (target->path.size() > 1 && target->path.back().empty()) target->path.pop_back();
  std::vector<const Resource*> there;
  for (const Resource& one : kResources) {
    if (matches(one.path, target->path)) there.push_back(&one);
  }
  if (there.empty()) {
    return tl::unexpected(Problem{404, "there is no such resource; GET /v1 lists all"});
  }
  const auto chosen = std::ranges::find_if(
      there, [&](const Resource* one) { return is_for(*one, request.method); });
  if (chosen == there.end()) return tl::unexpected(wrong_method(request.method, there));
  ApiCall call;
  call.needs = (*chosen)->method == "GET" ? Right::read : Right::change;
  Parameters parameters((*chosen)->path, *target);
  (*chosen)->fill(parameters, call);
  if (auto wrong = parameters.wrong()) return tl::unexpected(std::move(*wrong));
  return call;
}

ApiTarget api_target(const admin::Request& request) {
  const auto get = [](std::string_view path, const Query& query = {}) {
    return ApiTarget{"GET", std::string(path) + query.text()};
  };
  switch (request.what_case()) {
    case admin::Request::kNode:
      return get("/v1/node");
    case admin::Request::kPeers: {
      const admin::PeersRequest& peers = request.peers();
      if (!peers.name().empty()) return get("/v1/peers/" + encoded(peers.name()));
      return get("/v1/peers",
                 Query().unless_empty("after", peers.after()).unless_0("limit", peers.limit()));
    }
    case admin::Request::kAssociations: {
      const admin::AssociationsRequest& asked = request.associations();
      if (asked.id() != 0) return get(fmt::format("/v1/associations/{}", asked.id()));
      return get("/v1/associations", Query()
                                         .unless_empty("peer", asked.peer())
                                         .unless_0("after", asked.after())
                                         .unless_0("limit", asked.limit()));
    }
    case admin::Request::kApplicationServers:
      return get("/v1/application-servers");
    case admin::Request::kApplications:
      return get("/v1/applications");
    case admin::Request::kRoutes:
      return get("/v1/routes");
    case admin::Request::kRouteLookup:
      return get("/v1/routes/lookup", lookup_query(request.route_lookup()));
    case admin::Request::kStats:
      return get("/v1/stats", Query()
                                  .unless_empty("peer", request.stats().peer())
                                  .flag("by_peer", request.stats().by_peer())
                                  .flag("labels", request.stats().labels()));
    case admin::Request::kDrops:
      return get("/v1/drops");
    case admin::Request::kFacts:
      return get("/v1/facts", Query()
                                  .unless_0("after", request.facts().after())
                                  .unless_0("max", request.facts().count_max()));
    case admin::Request::kReload:
      return {"POST", "/v1/reload" + Query().flag("dry_run", request.reload().dry_run()).text()};
    case admin::Request::kLogLevel:
      return {"POST", "/v1/log-level" + Query().add("level", request.log_level().level()).text()};
    case admin::Request::kOrder:
      return {"POST", fmt::format("/v1/peers/{}/{}", encoded(request.order().peer()),
                                  word_of(request.order().verb()))};
    case admin::Request::WHAT_NOT_SET:
      break;
  }
  return get("/v1");
}

// Whoever names it gets it: nobody does by accident.
bool wants_protobuf(const HttpRequest& request) {
  const std::string* accept = request.header("accept");
  return accept != nullptr && accept->find(kProtobuf) != std::string::npos;
}

HttpAnswer api_answer(const HttpRequest& request, const admin::Response& response) {
  if (response.has_error()) {
    return problem_answer(Problem{status_of(response.error().code()), response.error().text()});
  }
  if (response.has_reloaded() && !response.reloaded().good()) {
    return problem_answer(Problem{422, response.reloaded().text()});
  }
  HttpAnswer answer{.headers = {{"Cache-Control", "no-store"}, {"Vary", "Accept"}}};
  if (wants_protobuf(request)) {
    answer.content_type = kProtobuf;
    answer.body = response.SerializeAsString();
  } else {
    answer.content_type = kJson;
    answer.body = to_json(response) + "\n";
  }
  return answer;
}

HttpAnswer api_index() {
  HttpAnswer answer{.content_type = std::string(kText)};
  for (const Resource& one : kResources) {
    answer.body += fmt::format("{:5}{:29} {}{}{}{}\n", one.method, one.path, one.what,
                               one.parameters.empty() ? "" : " (", one.parameters,
                               one.parameters.empty() ? "" : ")");
  }
  return answer;
}

}  // namespace siglane::runtime
