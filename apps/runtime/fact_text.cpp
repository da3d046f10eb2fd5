#include "apps/runtime/fact_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "apps/runtime/printable.h"

namespace siglane::runtime {

namespace {

std::string yes_or_no(bool value) {
  return value ? "yes" : "no";
}

std::string milliseconds(Duration d) {
  return fmt::format("{}", std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
}

struct Writer {
  using F = std::vector<FactField>;

  FactText operator()(const fact::EndpointOpened& f) const {
    return {"endpoint_opened", LogLevel::info,
            F{{"endpoint", f.endpoint},
              {"address", f.address},
              {"port", fmt::format("{}", f.port)},
              {"transport", std::string(name_of(f.transport))}}};
  }
  FactText operator()(const fact::AssociationOpened& f) const {
    return {"association_opened", LogLevel::debug,
            F{{"endpoint", f.endpoint},
              {"remote", f.remote},
              {"transport", std::string(name_of(f.transport))}}};
  }
  FactText operator()(const fact::AssociationClosed& f) const {
    return {"association_closed", LogLevel::info,
            F{{"cause", std::string(name_of(f.cause))}, {"detail", f.detail}}};
  }
  FactText operator()(const fact::ConnectFailed& f) const {
    return {"connect_failed", LogLevel::warning,
            F{{"peer", f.peer},
              {"cause", std::string(name_of(f.cause))},
              {"detail", f.detail},
              {"retry_in_ms", milliseconds(f.retry_in)}}};
  }
  FactText operator()(const fact::PeerOpened& f) const {
    return {"peer_opened", LogLevel::info, F{{"peer", f.peer}}};
  }
  FactText operator()(const fact::PeerClosed& f) const {
    return {"peer_closed", LogLevel::info,
            F{{"peer", f.peer},
              {"why", f.why},
              {"hold_off_ms", f.hold_off > Duration{} ? milliseconds(f.hold_off) : ""}}};
  }
  FactText operator()(const fact::PeerRefused& f) const {
    return {"peer_refused", LogLevel::warning, F{{"who", f.who}, {"why", f.why}}};
  }
  FactText operator()(const fact::StrangersSeen& f) const {
    return {"strangers_seen", f.refused > 0 ? LogLevel::warning : LogLevel::info,
            F{{"refused", fmt::format("{}", f.refused)},
              {"left", fmt::format("{}", f.left)},
              {"sources", fmt::format("{}", f.sources)},
              {"most_from", f.busiest},
              {"most", fmt::format("{}", f.of_busiest)},
              {"last", f.last},
              {"why", f.why}}};
  }
  FactText operator()(const fact::ProtocolViolation& f) const {
    return {"protocol_violation", LogLevel::warning, F{{"peer", f.peer}, {"what", f.what}}};
  }
  FactText operator()(const fact::MessagesDropped& f) const {
    return {"messages_dropped", LogLevel::warning,
            F{{"peer", f.peer},
              {"reason", std::string(f.reason)},
              {"what", std::string(f.what)},
              {"example", f.example},
              {"count", fmt::format("{}", f.count)}}};
  }
  FactText operator()(const fact::AssociationPeeled& f) const {
    return {"association_peeled", LogLevel::info,
            F{{"reason", std::string(name_of(f.reason))},
              {"messages_per_second", fmt::format("{:.0f}", f.messages_per_second)},
              {"bytes_per_second", fmt::format("{:.0f}", f.bytes_per_second)},
              {"bytes_held", fmt::format("{}", f.bytes_held)},
              {"peeled_now", fmt::format("{}", f.peeled_now)}}};
  }
  FactText operator()(const fact::AssociationMoved& f) const {
    return {"association_moved", LogLevel::info,
            F{{"from_shard", fmt::format("{}", static_cast<unsigned>(f.from))},
              {"to_shard", fmt::format("{}", static_cast<unsigned>(f.to))},
              {"why", f.why}}};
  }
  FactText operator()(const fact::PeeloffStarved& f) const {
    return {"peeloff_starved", LogLevel::warning, F{{"why", f.why}}};
  }
  FactText operator()(const fact::CongestionChanged& f) const {
    return {"congestion_changed", LogLevel::info, F{{"congested", yes_or_no(f.congested)}}};
  }
  FactText operator()(const fact::PathChanged& f) const {
    return {"path_changed", f.state == PathState::reachable ? LogLevel::info : LogLevel::warning,
            F{{"address", f.address}, {"state", std::string(name_of(f.state))}}};
  }
  FactText operator()(const fact::AspStateChanged& f) const {
    return {"asp_state_changed", LogLevel::info,
            F{{"asp", f.asp}, {"as", f.as}, {"state", f.state}}};
  }
  FactText operator()(const fact::AsStateChanged& f) const {
    return {"as_state_changed", LogLevel::info, F{{"as", f.as}, {"state", f.state}}};
  }
  FactText operator()(const fact::Notice& f) const {
    return {"notice", f.warning ? LogLevel::warning : LogLevel::info, F{{"text", f.text}}};
  }
};

bool plain(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
  });
}

}  // namespace

FactText text_of(const Fact& fact) {
  FactText text = std::visit(Writer{}, fact);
  std::erase_if(text.fields, [](const FactField& field) { return field.value.empty(); });
  return text;
}

std::string one_line(const std::vector<FactField>& fields) {
  std::string line;
  for (const FactField& field : fields) {
    line += fmt::format("{}{}={}", line.empty() ? "" : " ", field.key,
                        plain(field.value) ? field.value : in_quotes(field.value));
  }
  return line;
}

}  // namespace siglane::runtime
