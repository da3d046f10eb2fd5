#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocols/diameter/answers.h"
#include "protocols/diameter/describe.h"
#include "protocols/diameter/module.h"
#include "protocols/diameter/peer_session.h"
#include "tests/support/test_script.h"
#include "tests/unit/diameter/test_messages.h"

// A node without a transport: its module and a script of its sessions, where a peer may have as
// many connections as it is to have.

namespace siglane::diameter {

inline DiameterConfig node_config(const std::string& name) {
  DiameterConfig config;
  config.origin_host = name + ".example";
  config.origin_realm = "realm." + name + ".example";
  config.vendor_id = vendor::tgpp;
  config.host_ip_addresses = {"192.0.2.1", "2001:db8::1"};
  config.origin_state_id = 7;
  config.applications = {{application::s6a, vendor::tgpp, false}};
  config.watchdog_interval = 30s;
  return config;
}

// The module, which outlives the sessions of a Host.
struct HostModule {
  DiameterModule module;
};

class Host : private HostModule, public test::TestScript {
 public:
  using HostModule::module;

  explicit Host(DiameterConfig config)
      : HostModule{DiameterModule(std::move(config))}, TestScript(&module) {
    on_identify = [this](AssociationId id, const std::string& peer) -> SessionInput {
      const auto bound = std::ranges::count_if(bound_peers_, [&](const auto& entry) {
        return entry.second == peer && entry.first != id;
      });
      if (!objection.empty()) return IdentityRefused{objection};
      if (static_cast<std::size_t>(bound) >= connections_max) {
        return IdentityRefused{"has an association already", true};
      }
      bound_peers_[id] = peer;
      return Identified{};
    };
    describe = [](const Message& message) { return diameter::describe(message.payload.bytes()); };
  }

  // A connection comes up under this id; the session is stepped with it.
  PeerSession& up(AssociationId id, bool initiator, std::string peer = {},
                  std::uint16_t streams = 1) {
    AssociationUp event;
    event.local_addresses = {"192.0.2.1"};
    event.remote_addresses = {"192.0.2.2"};
    event.streams_in = event.streams_out = streams;
    event.peer = std::move(peer);
    event.initiator = initiator;
    auto& session =
        static_cast<PeerSession&>(add(id, module.open_session(id, event, PeerTable(), 1)));
    give(id, std::move(event));
    return session;
  }
  void receive(AssociationId id, Buffer payload) {
    TestScript::receive(id, std::move(payload), {}, diameter::kPayloadProtocol);
  }
  void down(AssociationId id) {
    TestScript::down(id);
    bound_peers_.erase(id);
  }
  // A new config, as the one shard of this node follows it.
  void reload(DiameterConfig next) {
    module.prepare(std::move(next));
    module.adopt(ShardId{});
    for (const auto& [id, session] : sessions) give(id, Reconfigured{});
  }
  void operate(AssociationId id, Operate::Verb verb, std::string why = {},
               bool may_return = false) {
    give(id, Operate{verb, std::move(why), may_return});
  }

  std::size_t connections_max = 1;  // of each peer
  // Why nobody may be who it says it is; empty: it may.
  std::string objection;

 private:
  std::map<AssociationId, std::string> bound_peers_;
};

// An application that keeps what it is given.
class Collector final : public Session {
 public:
  void step(SessionInput input, Instant, Outbox&) override {
    auto* submitted = std::get_if<Submitted>(&input);
    if (submitted == nullptr) return;
    if (kind_of(*submitted->parcel) == ParcelKind::request) {
      requests.push_back(parcel_cast<RequestParcel>(std::move(submitted->parcel)));
    } else if (kind_of(*submitted->parcel) == ParcelKind::answer) {
      answers.push_back(parcel_cast<AnswerParcel>(std::move(submitted->parcel)));
    }
  }
  std::optional<Instant> deadline() const override { return std::nullopt; }
  SessionStatus status() const override { return {}; }

  std::vector<RequestPtr> requests;
  std::vector<AnswerPtr> answers;
};

// Carries messages both ways between a connection's two ends until nobody says anything more.
inline void pump(Host& a, AssociationId at_a, Host& b, AssociationId at_b) {
  for (int round = 0; round < 1000; ++round) {
    auto from_a = a.sent(at_a), from_b = b.sent(at_b);
    if (from_a.empty() && from_b.empty()) return;
    for (Buffer& message : from_a) b.receive(at_b, std::move(message));
    for (Buffer& message : from_b) a.receive(at_a, std::move(message));
  }
}

inline Buffer cer_of(BufferPool& pool, const DiameterConfig& config, std::uint32_t id = 5) {
  return make_cer(pool, config, {"192.0.2.9"}, id, id);
}

// An answer to `request` with nothing but a result.
inline Buffer answer_to(BufferPool& pool, const Buffer& request, ResultCode code,
                        const DiameterConfig& config) {
  return std::move(begin_answer(pool, parsed(request), config, code)).finish();
}

// That request, on its way to a peer.
inline RequestPtr request_parcel(MessageBuilder request) {
  auto parcel = std::make_unique<RequestParcel>();
  parcel->message = std::move(request).finish();
  parcel->header = parsed(parcel->message).header();
  return parcel;
}

// A connection on `host` to a peer with that config, open.
inline PeerSession& open_peer(Host& host, AssociationId id, const DiameterConfig& peer,
                              std::uint16_t streams = 1) {
  PeerSession& session = host.up(id, false, {}, streams);
  host.receive(id, cer_of(host.pool, peer));
  host.sent(id);
  return session;
}

}  // namespace siglane::diameter
