#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/session.h"
#include "protocols/diameter/answers.h"
#include "protocols/diameter/module.h"
#include "protocols/diameter/peer_session.h"
#include "tests/unit/diameter/test_messages.h"

// A node without a transport: its module, its sessions, and what a shard does for them, so that a
// test sees every message and decides the time.

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

class Host {
 public:
  explicit Host(DiameterConfig config) : module(std::move(config)) {}

  // A connection comes up under this id; the session is stepped with it.
  PeerSession& up(AssociationId id, bool initiator, std::string peer = {},
                  std::uint16_t streams = 1) {
    AssociationUp event;
    event.local_addresses = {"192.0.2.1"};
    event.remote_addresses = {"192.0.2.2"};
    event.streams_in = event.streams_out = streams;
    event.peer = std::move(peer);
    event.initiator = initiator;
    auto session = module.open_session(id, event, peers, 1);
    auto& peer_session = static_cast<PeerSession&>(*session);
    sessions[id] = std::move(session);
    give(id, std::move(event));
    return peer_session;
  }
  void add(AssociationId id, std::unique_ptr<Session> coordinator) {
    sessions[id] = std::move(coordinator);
  }

  void give(AssociationId id, SessionInput input) {
    work.emplace_back(id, std::move(input));
    run();
  }
  void receive(AssociationId id, Buffer payload) {
    Message message;
    message.protocol = diameter::kPayloadProtocol;
    message.caused_at = now;
    message.payload = std::move(payload);
    give(id, AssociationReceived{std::move(message)});
  }
  void submit(AssociationId id, ParcelPtr parcel, AssociationId from = AssociationId{99}) {
    give(id, Submitted{from, std::move(parcel)});
  }
  void down(AssociationId id) {
    give(id, AssociationDown{DownCause::lost, {}});
    sessions.erase(id);
    bound_peers.erase(id);
  }
  // A new config, as the one shard of this node follows it.
  void reload(DiameterConfig next) {
    module.prepare(std::move(next));
    module.adopt(ShardId{});
    std::vector<AssociationId> ids;
    for (const auto& [id, session] : sessions) ids.push_back(id);
    for (const AssociationId id : ids) give(id, Reconfigured{});
  }
  void operate(AssociationId id, Operate::Verb verb, std::string why = {},
               bool may_return = false) {
    give(id, Operate{verb, std::move(why), may_return});
  }
  // Time passes; whoever is due is woken.
  void pass(Duration span) {
    const Instant end = now + span;
    for (;;) {
      std::optional<Instant> next;
      AssociationId who{};
      for (const auto& [id, session] : sessions) {
        const auto at = session->deadline();
        if (at && *at <= end && (!next || *at < *next)) {
          next = at;
          who = id;
        }
      }
      if (!next) break;
      now = std::max(now, *next);
      give(who, Woken{});
    }
    now = end;
  }

  // What was sent on a connection since asked last; the oldest first.
  std::vector<Buffer> sent(AssociationId id) {
    std::vector<Buffer> all;
    for (Message& message : wire[id]) all.push_back(std::move(message.payload));
    wire[id].clear();
    return all;
  }
  // The one message sent since asked last.
  Buffer sent_one(AssociationId id) {
    auto all = sent(id);
    return all.size() == 1 ? all.front() : Buffer();
  }

  BufferPool pool;
  Counters counters;
  DiameterModule module;
  PeerTable peers;
  Instant now{1s};
  std::map<AssociationId, std::unique_ptr<Session>> sessions;
  std::map<AssociationId, std::vector<Message>> wire;
  std::map<AssociationId, std::vector<CloseMode>> closes;
  std::map<AssociationId, std::size_t> lingers;
  std::size_t peers_opened = 0;
  std::vector<PeerClosed> peers_closed;
  std::vector<PeerRefused> peers_refused;
  std::vector<Fact> facts;
  std::vector<Drop> drops;
  std::vector<std::string> identified;
  std::map<AssociationId, std::string> bound_peers;
  std::vector<ParcelPtr> asked;
  std::size_t connections_max = 1;  // of each peer
  // Why nobody may be who it says it is; empty: it may.
  std::string objection;

 private:
  void run() {
    if (std::exchange(running, true)) return;
    while (!work.empty()) {
      auto [id, input] = std::move(work.front());
      work.erase(work.begin());
      step(id, std::move(input));
    }
    running = false;
  }
  void step(AssociationId id, SessionInput input) {
    Outbox out(pool, counters);
    if (!sessions.contains(id)) {
      if (auto* lost = std::get_if<Submitted>(&input)) {
        fail(lost->from, id, std::move(lost->parcel), Why::no_such_association);
      }
      return;
    }
    sessions.at(id)->step(std::move(input), now, out);
    carry_out(id, out);
  }
  void fail(AssociationId from, AssociationId failed, ParcelPtr parcel, Why why) {
    Outbox out(pool, counters);
    if (!parcel->mark_tried(failed)) why = Why::exhausted;
    module.undelivered(ShardId{}, from, std::move(parcel), why, now, out);
    carry_out(from, out);
  }
  void carry_out(AssociationId id, Outbox& out) {
    for (Action& action : out.actions()) {
      if (auto* transmit = std::get_if<Transmit>(&action)) {
        wire[id].push_back(std::move(transmit->message));
      } else if (auto* close = std::get_if<Close>(&action)) {
        closes[id].push_back(close->mode);
      } else if (std::holds_alternative<Linger>(action)) {
        ++lingers[id];
      } else if (std::holds_alternative<PeerOpened>(action)) {
        ++peers_opened;
      } else if (auto* closed = std::get_if<PeerClosed>(&action)) {
        peers_closed.push_back(std::move(*closed));
      } else if (auto* refused = std::get_if<PeerRefused>(&action)) {
        peers_refused.push_back(std::move(*refused));
      } else if (auto* identify = std::get_if<Identify>(&action)) {
        identified.push_back(identify->peer);
        const auto bound = std::count_if(bound_peers.begin(), bound_peers.end(), [&](auto& entry) {
          return entry.second == identify->peer && entry.first != id;
        });
        SessionInput answer = Identified{};
        if (!objection.empty()) {
          answer = IdentityRefused{objection};
        } else if (static_cast<std::size_t>(bound) >= connections_max) {
          answer = IdentityRefused{"has an association already", true};
        } else {
          bound_peers[id] = identify->peer;
        }
        work.emplace(work.begin(), id, std::move(answer));
      } else if (auto* accept = std::get_if<Accept>(&action)) {
        Outbox routed(pool, counters);
        module.route(ShardId{}, id, std::move(accept->parcel), now, routed);
        carry_out(id, routed);
      } else if (auto* forward = std::get_if<Forward>(&action)) {
        work.emplace_back(forward->to, Submitted{id, std::move(forward->parcel)});
      } else if (auto* undelivered = std::get_if<Undelivered>(&action)) {
        fail(id, id, std::move(undelivered->parcel), undelivered->why);
      } else if (auto* ask = std::get_if<Ask>(&action)) {
        asked.push_back(std::move(ask->request));
      } else if (auto* publish = std::get_if<Publish>(&action)) {
        module.publish(ShardId{}, id, std::move(publish->change));
      } else if (auto* announce = std::get_if<Announce>(&action)) {
        facts.push_back(announce->fact);
      } else if (auto* drop = std::get_if<Drop>(&action)) {
        drops.push_back(std::move(*drop));
      }
    }
  }

  std::vector<std::pair<AssociationId, SessionInput>> work;
  bool running = false;
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

// A connection on `host` to a peer with that config, open.
inline PeerSession& open_peer(Host& host, AssociationId id, const DiameterConfig& peer,
                              std::uint16_t streams = 1) {
  PeerSession& session = host.up(id, false, {}, streams);
  host.receive(id, cer_of(host.pool, peer));
  host.sent(id);
  return session;
}

}  // namespace siglane::diameter
