#include "protocols/diameter/peer_states.h"

namespace siglane::diameter {

std::string_view name_of(PeerState state) {
  switch (state) {
    case PeerState::closed:
      return "Closed";
    case PeerState::wait_cer:
      return "Wait-CER";
    case PeerState::wait_i_cea:
      return "Wait-I-CEA";
    case PeerState::wait_identity:
      return "Wait-Identity";
    case PeerState::r_open:
      return "R-Open";
    case PeerState::i_open:
      return "I-Open";
    case PeerState::closing:
      return "Closing";
  }
  return "unknown";
}

std::string_view name_of(PeerEvent event) {
  switch (event) {
    case PeerEvent::i_connected:
      return "I-Rcv-Conn-Ack";
    case PeerEvent::r_connected:
      return "R-Conn";
    case PeerEvent::rcv_cer:
      return "Rcv-CER";
    case PeerEvent::rcv_cea:
      return "Rcv-CEA";
    case PeerEvent::rcv_dwr:
      return "Rcv-DWR";
    case PeerEvent::rcv_dwa:
      return "Rcv-DWA";
    case PeerEvent::rcv_dpr:
      return "Rcv-DPR";
    case PeerEvent::rcv_dpa:
      return "Rcv-DPA";
    case PeerEvent::rcv_request:
      return "Rcv-Request";
    case PeerEvent::rcv_answer:
      return "Rcv-Answer";
    case PeerEvent::rcv_malformed:
      return "Rcv-Malformed";
    case PeerEvent::identified:
      return "Identified";
    case PeerEvent::refused:
      return "Identity-Refused";
    case PeerEvent::send_message:
      return "Send-Message";
    case PeerEvent::unsent:
      return "Unsent";
    case PeerEvent::stop:
      return "Stop";
    case PeerEvent::timer:
      return "Timeout";
    case PeerEvent::peer_ended:
      return "Peer-Ended";
    case PeerEvent::superseded:
      return "Superseded";
    case PeerEvent::disconnected:
      return "Peer-Disc";
    case PeerEvent::other:
      return "Other";
  }
  return "unknown";
}

}  // namespace siglane::diameter
