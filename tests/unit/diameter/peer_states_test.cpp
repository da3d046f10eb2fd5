#include "protocols/diameter/peer_states.h"

#include <cstdio>
#include <set>

#include <gtest/gtest.h>

#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

constexpr AssociationId kId{1};
constexpr std::array kStates = {
    PeerState::closed, PeerState::wait_cer, PeerState::wait_i_cea, PeerState::wait_identity,
    PeerState::r_open, PeerState::i_open,   PeerState::closing};

// One session that a test leads into a state and then prods. Identify is answered only when the
// test says so.
struct Subject : test::TestScript {
  DiameterConfig config = node_config("us");
  DiameterConfig peer = node_config("peer");
  std::unique_ptr<Snapshot<DiameterConfig>> configs;
  Snapshot<RouteTable> routes;
  PeerSession* session;
  std::uint32_t hop_by_hop = 0;  // of the last request it sent

  explicit Subject(DiameterConfig ours = node_config("us")) : config(std::move(ours)) {
    config.peers = {{"peer", peer.origin_host, peer.origin_realm, {}}};
    configs = std::make_unique<Snapshot<DiameterConfig>>(config);
    session = &add(kId, std::make_unique<PeerSession>(kId, *configs, routes, 1));
    on_identify = [](AssociationId, const std::string&) { return std::nullopt; };
  }
  PeerState give(SessionInput input) {
    TestScript::give(kId, std::move(input));
    for (const Buffer& message : sent(kId)) {
      const auto header = Header::read(message.bytes());
      if (header->is_request()) hop_by_hop = header->hop_by_hop;
    }
    return session->state();
  }
  PeerState receive(Buffer payload) {
    return give(AssociationReceived{{.payload = std::move(payload)}});
  }
  PeerState up(bool initiator) {
    AssociationUp event;
    event.initiator = initiator;
    event.peer = initiator ? "peer" : "";
    return give(event);
  }
  Buffer cer() { return cer_of(pool, peer); }
  Buffer cea(ResultCode code = result::success, std::uint32_t id = 0) {
    Header request;
    request.command = command::capabilities_exchange.code;
    request.flags = command_flag::kRequest;
    request.hop_by_hop = id != 0 ? id : hop_by_hop;
    return make_cea(pool, peer, {"192.0.2.9"}, request, code);
  }
  Buffer base(const CommandDef& command, bool request) {
    Header header;
    header.command = command.code;
    header.flags = request ? command_flag::kRequest : 0;
    header.hop_by_hop = hop_by_hop;
    MessageBuilder message(pool, header);
    if (!request) message.add(avp::result_code, 2001u);
    message.add(avp::origin_host, peer.origin_host).add(avp::origin_realm, peer.origin_realm);
    if (command.code == command::disconnect_peer.code && request) {
      message.add(avp::disconnect_cause, DisconnectCause::rebooting);
    }
    return std::move(message).finish();
  }
  Buffer broken_avp_in(const CommandDef& command) {
    auto message = MessageBuilder::request(pool, command, 1, 1);
    message.add(avp::origin_host, "peer.example").add(avp::ulr_flags, 1u);
    std::string bytes(as_text(std::move(message).finish().bytes()));
    bytes[bytes.size() - 16 + 7] = 5;
    return Buffer::copy_of(as_bytes(bytes));
  }

  void lead_to(PeerState state) {
    switch (state) {
      case PeerState::closed:
        return;
      case PeerState::wait_cer:
        up(false);
        return;
      case PeerState::wait_i_cea:
        up(true);
        return;
      case PeerState::wait_identity:
        up(false);
        receive(cer());
        return;
      case PeerState::r_open:
        lead_to(PeerState::wait_identity);
        give(Identified{});
        return;
      case PeerState::i_open:
        up(true);
        receive(cea());
        give(Identified{});
        return;
      case PeerState::closing:
        lead_to(PeerState::r_open);
        give(Stopping{});
        return;
    }
  }
};

struct Stimulus {
  const char* name;
  PeerEvent event;
  std::function<PeerState(Subject&)> apply;
};

// Everything that can happen to a connection, in each of its forms.
const std::vector<Stimulus>& stimuli() {
  static const std::vector<Stimulus> all = {
      {"we connected", PeerEvent::i_connected, [](Subject& s) { return s.up(true); }},
      {"it connected", PeerEvent::r_connected, [](Subject& s) { return s.up(false); }},
      {"CER", PeerEvent::rcv_cer, [](Subject& s) { return s.receive(s.cer()); }},
      {"CER without Host-IP-Address", PeerEvent::rcv_cer,
       [](Subject& s) { return s.receive(s.base(command::capabilities_exchange, true)); }},
      {"CER of somebody else", PeerEvent::rcv_cer,
       [](Subject& s) { return s.receive(cer_of(s.pool, node_config("stranger"))); }},
      {"CEA", PeerEvent::rcv_cea, [](Subject& s) { return s.receive(s.cea()); }},
      {"CEA with an error", PeerEvent::rcv_cea,
       [](Subject& s) { return s.receive(s.cea(result::no_common_application)); }},
      {"CEA to another CER", PeerEvent::rcv_cea,
       [](Subject& s) { return s.receive(s.cea(result::success, 12345)); }},
      {"DWR", PeerEvent::rcv_dwr,
       [](Subject& s) { return s.receive(s.base(command::device_watchdog, true)); }},
      {"DWA", PeerEvent::rcv_dwa,
       [](Subject& s) { return s.receive(s.base(command::device_watchdog, false)); }},
      {"DPR", PeerEvent::rcv_dpr,
       [](Subject& s) { return s.receive(s.base(command::disconnect_peer, true)); }},
      {"DPR with a broken AVP value", PeerEvent::rcv_dpr,
       [](Subject& s) {
         auto dpr = MessageBuilder::request(s.pool, command::disconnect_peer);
         dpr.add(avp::origin_host, "");
         return s.receive(std::move(dpr).finish());
       }},
      {"DPA", PeerEvent::rcv_dpa,
       [](Subject& s) { return s.receive(s.base(command::disconnect_peer, false)); }},
      {"request", PeerEvent::rcv_request,
       [](Subject& s) { return s.receive(ulr(s.pool).finish()); }},
      {"answer", PeerEvent::rcv_answer,
       [](Subject& s) {
         const Buffer request = ulr(s.pool).finish();
         return s.receive(answer_to(s.pool, request, result::success, s.peer));
       }},
      {"garbage shorter than a header", PeerEvent::rcv_malformed,
       [](Subject& s) { return s.receive(Buffer::copy_of(as_bytes("garbage"))); }},
      {"request with a broken AVP", PeerEvent::rcv_malformed,
       [](Subject& s) { return s.receive(s.broken_avp_in(command::update_location)); }},
      {"CER with a broken AVP", PeerEvent::rcv_malformed,
       [](Subject& s) { return s.receive(s.broken_avp_in(command::capabilities_exchange)); }},
      {"a request to send", PeerEvent::send_message,
       [](Subject& s) {
         return s.give(Submitted{AssociationId{9}, request_parcel(ulr(s.pool))});
       }},
      {"identified", PeerEvent::identified, [](Subject& s) { return s.give(Identified{}); }},
      {"refused", PeerEvent::refused, [](Subject& s) { return s.give(IdentityRefused{"no"}); }},
      {"stop", PeerEvent::stop, [](Subject& s) { return s.give(Stopping{}); }},
      {"woken too early", PeerEvent::timer, [](Subject& s) { return s.give(Woken{}); }},
      {"the first deadline", PeerEvent::timer,
       [](Subject& s) {
         s.now = std::max(s.now, s.session->deadline().value_or(s.now));
         return s.give(Woken{});
       }},
      {"every deadline", PeerEvent::timer,
       [](Subject& s) {
         PeerState state = s.session->state();
         for (int i = 0; i < 5 && s.session->deadline(); ++i) {
           s.now = *s.session->deadline();
           state = s.give(Woken{});
         }
         return state;
       }},
      {"down", PeerEvent::disconnected,
       [](Subject& s) {
         return s.give(AssociationDown{DownCause::lost, {}});
       }},
      {"the peer has ended its half", PeerEvent::peer_ended,
       [](Subject& s) { return s.give(AssociationEnding{true}); }},
      {"the peer is here again", PeerEvent::superseded,
       [](Subject& s) { return s.give(Superseded{}); }},
      {"the peer is here again while it is suspected", PeerEvent::superseded,
       [](Subject& s) {
         for (int tw = 0; tw < 2; ++tw) {  // a DWR, then none of its DWA
           s.now = std::max(s.now, s.session->deadline().value_or(s.now));
           s.give(Woken{});
         }
         return s.give(Superseded{});
       }},
      {"a message comes back", PeerEvent::unsent,
       [](Subject& s) {
         Message message;
         message.payload = ulr(s.pool).finish();
         return s.give(AssociationUnsent{std::move(message), true});
       }},
      {"congestion", PeerEvent::other,
       [](Subject& s) { return s.give(AssociationCongestion{true}); }},
      {"a path change", PeerEvent::other,
       [](Subject& s) {
         return s.give(AssociationPathChange{"192.0.2.1", PathState::unreachable});
       }},
  };
  return all;
}

// Not all that could be given may be: a connection comes up once, and between Identify and its
// answer nothing else arrives (core/session.h).
bool may_happen(PeerState state, PeerEvent event) {
  const bool connects = event == PeerEvent::i_connected || event == PeerEvent::r_connected;
  // Only who is identified has a place to give up.
  if (event == PeerEvent::superseded) {
    return state == PeerState::r_open || state == PeerState::i_open || state == PeerState::closing;
  }
  const bool answers = event == PeerEvent::identified || event == PeerEvent::refused;
  if (state == PeerState::wait_identity) return answers;
  return connects == (state == PeerState::closed) && !answers;
}

TEST(PeerStates, CanAllBeReached) {
  for (const PeerState state : kStates) {
    Subject subject;
    subject.lead_to(state);
    EXPECT_EQ(subject.session->state(), state) << name_of(state);
  }
}

TEST(PeerStates, EveryInputInEveryStateHasARowAndEveryRowAnInput) {
  std::set<std::tuple<PeerState, PeerEvent, PeerState>> seen;
  for (const PeerState state : kStates) {
    for (const Stimulus& stimulus : stimuli()) {
      if (!may_happen(state, stimulus.event)) continue;
      for (const bool common : {true, false}) {
        Subject subject;
        subject.lead_to(state);
        ASSERT_EQ(subject.session->state(), state);
        // No common application: from here on, for capabilities are read when they arrive.
        if (!common) subject.peer.applications.clear();
        const PeerState next = stimulus.apply(subject);
        EXPECT_TRUE(is_in_table(state, stimulus.event, next))
            << name_of(state) << " x " << stimulus.name << " -> " << name_of(next);
        seen.emplace(state, stimulus.event, next);
      }
    }
  }
  // I-Open is reached through Wait-Identity of an initiator.
  Subject initiator;
  initiator.up(true);
  initiator.receive(initiator.cea());
  seen.emplace(PeerState::wait_identity, PeerEvent::identified, initiator.give(Identified{}));

  for (const PeerTransition& row : kPeerTransitions) {
    EXPECT_TRUE(seen.contains({row.state, row.event, row.next}))
        << "no input leads from " << name_of(row.state) << " by " << name_of(row.event) << " to "
        << name_of(row.next);
  }
}

TEST(PeerStates, PrintAsTheFigureOfRfc6733Section56) {
  std::string figure;
  PeerState last = PeerState::closing;
  for (const PeerTransition& row : kPeerTransitions) {
    char line[160];
    std::snprintf(line, sizeof line, "%-14s %-16s %-28s %s\n",
                  std::string(row.state == last ? "" : name_of(row.state)).c_str(),
                  std::string(name_of(row.event)).c_str(), std::string(row.action).c_str(),
                  std::string(name_of(row.next)).c_str());
    figure += line;
    last = row.state;
  }
  std::printf("%-14s %-16s %-28s %s\n%s", "state", "event", "action", "next state", figure.c_str());
  EXPECT_NE(
      figure.find("Wait-I-CEA     Rcv-CEA          Process-CEA, Identify        Wait-Identity"),
      std::string::npos);
}

}  // namespace
}  // namespace siglane::diameter
