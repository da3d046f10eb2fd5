#include "apps/runtime/admin/lookup.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "apps/runtime/node.h"
#include "apps/runtime/printable.h"
#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/explain.h"
#include "protocols/diameter/module.h"
#include "protocols/diameter/text.h"
#include "protocols/m3ua/explain.h"
#include "protocols/m3ua/module.h"

namespace siglane::runtime {
namespace {

// --- Diameter -----------------------------------------------------------------------------------

// By its name in the dictionary, or its number.
std::optional<diameter::ApplicationId> application_of(const std::string& text) {
  const auto known = diameter::dictionary().applications();
  const auto named = std::ranges::find_if(known, [&](const diameter::ApplicationEntry& one) {
    return diameter::same_identity(one.name, text);  // whatever its case
  });
  if (named != known.end()) return named->id;
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(static_cast<diameter::ApplicationId>(number)) : std::nullopt;
}

std::string result_text(diameter::ResultCode code) {
  const auto* entry = diameter::dictionary().find(code, false);
  const auto number = static_cast<std::uint32_t>(code);
  return entry != nullptr ? fmt::format("{} {}", number, entry->name) : fmt::format("{}", number);
}

std::string name_of(const diameter::Way& way) {
  return way.kind == diameter::Way::Kind::application ? "this node's " + way.name : way.name;
}

void add_ways(const diameter::Explanation& explanation, admin::RouteLookup& into) {
  std::string chosen;
  for (const diameter::Way& way : explanation.ways) {
    if (way.verdict != diameter::Way::Verdict::chosen) continue;
    chosen += (chosen.empty() ? "goes to " : " or ") + name_of(way);
  }
  if (explanation.refusal) {
    chosen = "is answered with " + result_text(*explanation.refusal);
    if (!explanation.error_message.empty()) chosen += ": " + explanation.error_message;
  }
  into.set_outcome(printable(chosen));
  const auto add = [&into](const diameter::Way& way) {
    admin::RouteLookup::Way& row = *into.add_way();
    row.set_name(printable(name_of(way)));
    row.set_chosen(way.verdict == diameter::Way::Verdict::chosen);
    row.set_share(way.share);
    row.set_why(printable(way.why));
  };
  for (const bool first : {true, false}) {
    for (const diameter::Way& way : explanation.ways) {
      if ((way.verdict == diameter::Way::Verdict::chosen) == first) add(way);
    }
  }
}

// As a request would go that comes to the first shard.
void look_up(const diameter::DiameterModule& module, const diameter::RouteQuestion& question,
             admin::RouteLookup& into) {
  add_ways(diameter::explain(*module.config(), *module.routes(), ShardId{0}, question), into);
}

// --- M3UA ---------------------------------------------------------------------------------------

void look_up(const m3ua::M3uaModule& module, m3ua::Network network, const m3ua::MtpLabel& label,
             admin::RouteLookup& into) {
  const auto gateway = module.gateway();  // first (M3uaModule::routes)
  const m3ua::RouteExplanation explanation =
      m3ua::explain(*gateway, *module.routes(), network, label);
  into.set_outcome(printable(explanation.summary));
  for (const m3ua::RuleExplanation& rule : explanation.rules) {
    admin::RouteLookup::Way& row = *into.add_way();
    const bool wins = rule.fate == m3ua::RuleFate::wins;
    row.set_name(printable(rule.application_server));
    row.set_chosen(wins);
    row.set_share(wins ? 1 : 0);
    row.set_why(printable(rule.why));
  }
}

}  // namespace

void answer_route_lookup(Node& node, const admin::RouteLookupRequest& request,
                         std::shared_ptr<admin::Response> response,
                         std::function<void(admin::Response)> reply) {
  const auto* diameter = node.find_module<diameter::DiameterModule>();
  const auto* gateway = node.find_module<m3ua::M3uaModule>();
  auto then = [response, reply = std::move(reply)] { reply(std::move(*response)); };
  if (request.has_diameter() && diameter != nullptr) {
    const auto application = application_of(request.diameter().application());
    if (!application) {
      refuse(*response, fmt::format("{} is no application of the dictionary, and no number",
                                    in_quotes(request.diameter().application())));
      return then();
    }
    const diameter::RouteQuestion question{request.diameter().realm(), request.diameter().host(),
                                           *application};
    return node.beside(
        [diameter, question, response] {
          look_up(*diameter, question, *response->mutable_route_lookup());
        },
        std::move(then));
  }
  if (request.has_m3ua() && gateway != nullptr) {
    const admin::RouteLookupRequest::Data& data = request.m3ua();
    if (data.service_indicator() > 255 || data.sls() > 255) {
      refuse(*response, "service_indicator and sls are numbers from 0 to 255");
      return then();
    }
    m3ua::MtpLabel label;
    label.dpc = data.destination_point_code();
    label.opc = data.originating_point_code();
    label.si = static_cast<std::uint8_t>(data.service_indicator());
    label.sls = static_cast<std::uint8_t>(data.sls());
    const m3ua::Network network =
        data.has_network_appearance() ? m3ua::Network(data.network_appearance()) : std::nullopt;
    return node.beside(
        [gateway, network, label, response] {
          look_up(*gateway, network, label, *response->mutable_route_lookup());
        },
        std::move(then));
  }
  refuse(*response, request.has_diameter()
                        ? "this node does not speak Diameter"
                        : "this node does not route DATA: it is no M3UA gateway");
  then();
}

}  // namespace siglane::runtime
