#pragma once
#include <array>
#include <string_view>

// The peer state machine of RFC 6733 §5.6, as data: what peer_session.cpp does is checked against
// this table after every step of a build with assertions.
//
// One session is one connection, so the RFC's states for two connections of one peer at once
// (Wait-Conn-Ack, Wait-Conn-Ack/Elect, Wait-Returns) have no place here: the transport connects,
// and an election (§5.6.4) is decided when the CER arrives. Wait-CER is the RFC's Closed with a
// connection that has not spoken yet; Wait-Identity lasts from Identify to its answer.
//
// A DPR leads to Closing at once, where no request is taken any more, and is answered there once
// the peer has the answers that it is owed. What comes in Closing is answered or dropped there; so
// does the end of the peer's half of a TCP connection lead to Closing, which then closes ours.

namespace siglane::diameter {

enum class PeerState { closed, wait_cer, wait_i_cea, wait_identity, r_open, i_open, closing };

enum class PeerEvent {
  i_connected,  // I-Rcv-Conn-Ack
  r_connected,  // the transport half of R-Conn-CER
  rcv_cer,
  rcv_cea,
  rcv_dwr,
  rcv_dwa,
  rcv_dpr,
  rcv_dpa,
  rcv_request,
  rcv_answer,
  rcv_malformed,
  identified,
  refused,
  send_message,
  unsent,
  stop,
  timer,
  peer_ended,    // of a TCP connection, the peer's half
  superseded,    // R-Conn-CER: the peer's second connection waits to hear what becomes of this one
  disconnected,  // I-Peer-Disc, R-Peer-Disc
  other          // congestion, path changes: no other state
};

struct PeerTransition {
  PeerState state;
  PeerEvent event;
  std::string_view action;
  PeerState next;
};

namespace detail {
using S = PeerState;
using E = PeerEvent;
}  // namespace detail

inline constexpr auto kPeerTransitions = std::to_array<PeerTransition>({
    {detail::S::closed, detail::E::i_connected, "I-Snd-CER", detail::S::wait_i_cea},
    {detail::S::closed, detail::E::r_connected, "", detail::S::wait_cer},

    {detail::S::wait_cer, detail::E::rcv_cer, "Process-CER, Identify", detail::S::wait_identity},
    {detail::S::wait_cer, detail::E::rcv_cer, "R-Snd-CEA (error), R-Disc", detail::S::closing},
    {detail::S::wait_cer, detail::E::rcv_malformed, "R-Snd-CEA (error), R-Disc",
     detail::S::closing},
    {detail::S::wait_cer, detail::E::rcv_cea, "Error", detail::S::closing},
    {detail::S::wait_cer, detail::E::rcv_dwr, "Error", detail::S::closing},
    {detail::S::wait_cer, detail::E::rcv_dwa, "Error", detail::S::closing},
    {detail::S::wait_cer, detail::E::rcv_dpr, "Error", detail::S::closing},
    {detail::S::wait_cer, detail::E::rcv_dpa, "Error", detail::S::closing},
    {detail::S::wait_cer, detail::E::rcv_request, "Error", detail::S::closing},
    {detail::S::wait_cer, detail::E::rcv_answer, "Error", detail::S::closing},
    {detail::S::wait_cer, detail::E::timer, "R-Disc", detail::S::closing},
    {detail::S::wait_cer, detail::E::stop, "R-Disc", detail::S::closing},
    {detail::S::wait_cer, detail::E::peer_ended, "R-Disc", detail::S::closing},

    {detail::S::wait_i_cea, detail::E::rcv_cea, "Process-CEA, Identify", detail::S::wait_identity},
    {detail::S::wait_i_cea, detail::E::rcv_cea, "I-Disc", detail::S::closing},
    // Both ends of one SCTP association connected at once: each answers the other's CER.
    {detail::S::wait_i_cea, detail::E::rcv_cer, "Process-CER, Identify", detail::S::wait_identity},
    {detail::S::wait_i_cea, detail::E::rcv_cer, "I-Snd-CEA (error), I-Disc", detail::S::closing},
    {detail::S::wait_i_cea, detail::E::rcv_malformed, "Error", detail::S::closing},
    {detail::S::wait_i_cea, detail::E::rcv_dwr, "Error", detail::S::closing},
    {detail::S::wait_i_cea, detail::E::rcv_dwa, "Error", detail::S::closing},
    {detail::S::wait_i_cea, detail::E::rcv_dpr, "Error", detail::S::closing},
    {detail::S::wait_i_cea, detail::E::rcv_dpa, "Error", detail::S::closing},
    {detail::S::wait_i_cea, detail::E::rcv_request, "Error", detail::S::closing},
    {detail::S::wait_i_cea, detail::E::rcv_answer, "Error", detail::S::closing},
    {detail::S::wait_i_cea, detail::E::timer, "Error", detail::S::closing},
    {detail::S::wait_i_cea, detail::E::stop, "I-Disc", detail::S::closing},
    {detail::S::wait_i_cea, detail::E::peer_ended, "I-Disc", detail::S::closing},

    {detail::S::wait_identity, detail::E::identified, "R-Snd-CEA", detail::S::r_open},
    {detail::S::wait_identity, detail::E::identified, "", detail::S::i_open},
    {detail::S::wait_identity, detail::E::refused, "R-Snd-CEA (error), Disc", detail::S::closing},

    {detail::S::r_open, detail::E::rcv_cer, "R-Snd-CEA", detail::S::r_open},
    {detail::S::r_open, detail::E::rcv_cer, "Error", detail::S::closing},
    {detail::S::r_open, detail::E::rcv_cea, "", detail::S::r_open},
    {detail::S::r_open, detail::E::rcv_dwr, "Process-DWR, R-Snd-DWA", detail::S::r_open},
    {detail::S::r_open, detail::E::rcv_dwa, "Process-DWA", detail::S::r_open},
    {detail::S::r_open, detail::E::rcv_dpr, "owed answers, R-Snd-DPA", detail::S::closing},
    {detail::S::r_open, detail::E::rcv_dpr, "R-Snd-DPA (error)", detail::S::r_open},
    {detail::S::r_open, detail::E::rcv_dpa, "", detail::S::r_open},
    {detail::S::r_open, detail::E::rcv_request, "Process", detail::S::r_open},
    {detail::S::r_open, detail::E::rcv_answer, "Process", detail::S::r_open},
    {detail::S::r_open, detail::E::rcv_malformed, "R-Snd-Message (error)", detail::S::r_open},
    {detail::S::r_open, detail::E::rcv_malformed, "Error", detail::S::closing},
    {detail::S::r_open, detail::E::send_message, "R-Snd-Message", detail::S::r_open},
    {detail::S::r_open, detail::E::timer, "R-Snd-DWR", detail::S::r_open},
    {detail::S::r_open, detail::E::timer, "R-Disc", detail::S::closing},
    {detail::S::r_open, detail::E::stop, "R-Snd-DPR", detail::S::closing},
    {detail::S::r_open, detail::E::peer_ended, "owed answers, R-Disc", detail::S::closing},
    {detail::S::r_open, detail::E::superseded, "R-Reject (of the other)", detail::S::r_open},
    {detail::S::r_open, detail::E::superseded, "R-Disc (in SUSPECT)", detail::S::closing},

    {detail::S::i_open, detail::E::rcv_cer, "I-Snd-CEA", detail::S::i_open},
    {detail::S::i_open, detail::E::rcv_cer, "Error", detail::S::closing},
    {detail::S::i_open, detail::E::rcv_cea, "", detail::S::i_open},
    {detail::S::i_open, detail::E::rcv_dwr, "Process-DWR, I-Snd-DWA", detail::S::i_open},
    {detail::S::i_open, detail::E::rcv_dwa, "Process-DWA", detail::S::i_open},
    {detail::S::i_open, detail::E::rcv_dpr, "owed answers, I-Snd-DPA", detail::S::closing},
    {detail::S::i_open, detail::E::rcv_dpr, "I-Snd-DPA (error)", detail::S::i_open},
    {detail::S::i_open, detail::E::rcv_dpa, "", detail::S::i_open},
    {detail::S::i_open, detail::E::rcv_request, "Process", detail::S::i_open},
    {detail::S::i_open, detail::E::rcv_answer, "Process", detail::S::i_open},
    {detail::S::i_open, detail::E::rcv_malformed, "I-Snd-Message (error)", detail::S::i_open},
    {detail::S::i_open, detail::E::rcv_malformed, "Error", detail::S::closing},
    {detail::S::i_open, detail::E::send_message, "I-Snd-Message", detail::S::i_open},
    {detail::S::i_open, detail::E::timer, "I-Snd-DWR", detail::S::i_open},
    {detail::S::i_open, detail::E::timer, "I-Disc", detail::S::closing},
    {detail::S::i_open, detail::E::stop, "I-Snd-DPR", detail::S::closing},
    {detail::S::i_open, detail::E::peer_ended, "owed answers, I-Disc", detail::S::closing},
    {detail::S::i_open, detail::E::superseded, "R-Reject (of the other)", detail::S::i_open},
    {detail::S::i_open, detail::E::superseded, "I-Disc (in SUSPECT)", detail::S::closing},
});

// Rows that every state shares, so that the table stays readable: messages for a peer that is not
// open come back (Undelivered), and what arrives in Closing is answered or dropped there.
constexpr bool is_in_table(PeerState state, PeerEvent event, PeerState next) {
  for (const PeerTransition& row : kPeerTransitions) {
    if (row.state == state && row.event == event && row.next == next) return true;
  }
  switch (event) {
    case PeerEvent::disconnected:
      return next == PeerState::closed;
    case PeerEvent::send_message:
    case PeerEvent::unsent:
    case PeerEvent::other:
    case PeerEvent::timer:
      return next == state;
    case PeerEvent::identified:
    case PeerEvent::refused:
    case PeerEvent::stop:
    case PeerEvent::peer_ended:
    case PeerEvent::superseded:
    case PeerEvent::rcv_cer:
    case PeerEvent::rcv_cea:
    case PeerEvent::rcv_dwr:
    case PeerEvent::rcv_dwa:
    case PeerEvent::rcv_dpr:
    case PeerEvent::rcv_dpa:
    case PeerEvent::rcv_request:
    case PeerEvent::rcv_answer:
    case PeerEvent::rcv_malformed:
      return next == state && (state == PeerState::closing || state == PeerState::closed);
    case PeerEvent::i_connected:
    case PeerEvent::r_connected:
      return false;
  }
  return false;
}

std::string_view name_of(PeerState state);
std::string_view name_of(PeerEvent event);

}  // namespace siglane::diameter
