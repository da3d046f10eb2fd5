#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <utility>

#include "core/session.h"
#include "protocols/diameter/answers.h"
#include "protocols/diameter/capabilities.h"
#include "protocols/diameter/module.h"
#include "protocols/diameter/peer_session.h"
#include "protocols/diameter/text.h"
#include "tests/support/session_script.h"

// A hostile peer: the first byte says in which state it begins, then come messages, each behind a
// byte of what to do and two of its length. Whatever it sends, the session's own messages are in
// order, what waits is bounded, the machine keeps to its table (asserted in the session), and
// nothing in another's name reaches the application: neither a request nor an answer.

namespace {

using namespace siglane;
using namespace siglane::diameter;

constexpr AssociationId kPeer{1}, kApplication{2};

DiameterConfig config_of(const char* host) {
  DiameterConfig config;
  config.origin_host = host;
  config.origin_realm = "example";
  config.relay = true;
  config.applications = {{application::s6a, vendor::tgpp, false}};
  config.limits.pending_max = 8;
  config.limits.message_bytes_max = 4096;
  config.peers = {{"peer", "peer.example", "example", {}}};
  return config;
}

// The module, which outlives the session.
struct FuzzedModule {
  DiameterModule module{config_of("us.example")};
};

class Victim : private FuzzedModule, public test::SessionScript {
 public:
  Victim(bool initiator, bool refuse) : SessionScript(&module) {
    on_identify = [refuse](AssociationId, const std::string&) -> SessionInput {
      if (refuse) return IdentityRefused{"no"};
      return Identified{};
    };
    on_action = [this](AssociationId, Action& action) { return check(action); };
    AssociationUp up;
    up.initiator = initiator;
    up.peer = initiator ? "peer" : "";
    up.streams_out = 4;
    module.add_application(ShardId{}, application::s6a, kApplication);
    session_ = &add(kPeer, module.open_session(kPeer, up, PeerTable(), 1));
    give(std::move(up));
  }

  void give(SessionInput input) {
    SessionScript::give(kPeer, std::move(input));
    require(session_->status().pending <= 8);
  }
  void receive(Buffer payload) {
    if (!ended_) give(AssociationReceived{{.payload = std::move(payload)}});
  }
  void wake() {
    const auto at = session_->deadline();
    if (!at) return;
    now = std::max(now, *at);
    give(Woken{});
    const auto next = session_->deadline();
    require(!next || *next > now);  // never due again at once
  }
  void send_request() {
    auto request = MessageBuilder::request(pool, command::cancel_location, 0, 7);
    request.add(avp::destination_realm, "example");
    auto parcel = std::make_unique<RequestParcel>();
    parcel->message = std::move(request).finish();
    parcel->header = *Header::read(parcel->message.bytes());
    give(Submitted{kApplication, std::move(parcel)});
  }
  // Nothing is received after it.
  void end() {
    if (!std::exchange(ended_, true)) give(AssociationEnding{});
  }
  // Only who is identified has a place to give up.
  void supersede() {
    const auto state = session_->status().state;
    if (state.ends_with("Open") || state == "Closing") give(Superseded{});
  }
  void operate(Operate::Verb verb) { give(Operate{verb, "why"}); }
  // The config changes to and fro: the peer is one that may speak for others, another one, or none.
  void reconfigure() {
    DiameterConfig next = config_of("us.example");
    const unsigned turn = ++reloads_ % 3;
    is_agent_ = turn < 2;
    if (is_agent_) next.peers = {{"peer", "peer.example", turn == 0 ? "" : "example", {"*"}}};
    next.relay = turn == 1;
    next.limits.pending_max = 1 + turn;
    module.prepare(next);
    module.adopt(ShardId{});
    give(Reconfigured{});
  }
  // Its application answers the oldest request that it has.
  void answer_request() {
    if (asked_.empty()) return;
    const RequestPtr request = std::move(asked_.front());
    asked_.pop_front();
    give(Submitted{kApplication,
                   make_answer(*request, error_answer(pool, request->view(), *module.config(),
                                                      result::unable_to_comply))});
  }
  void open(bool initiator) {
    if (!initiator) return receive(make_cer(pool, config_of("peer.example"), {}, 1, 1));
    Header cer;
    cer.command = command::capabilities_exchange.code;
    cer.hop_by_hop = hop_by_hop_;
    receive(make_cea(pool, config_of("peer.example"), {}, cer, result::success));
  }
  std::uint32_t hop_by_hop() const { return hop_by_hop_; }

 private:
  void require(bool good) const {
    if (good) return;
    std::fputs(history().c_str(), stderr);
    std::abort();
  }
  // There is one of each name, and they are those that the session's capabilities exchange said
  // where the peer speaks for itself alone.
  void require_origin(const MessageView& message) {
    require(message.avps().count(avp::origin_host) == 1);
    require(message.avps().count(avp::origin_realm) == 1);
    if (is_agent_) return;
    const std::string names = std::string(message.find(avp::origin_host)->text()) + " of " +
                              std::string(message.find(avp::origin_realm)->text());
    const std::string known = session_->status().detail;
    require(same_identity(std::string_view(known).substr(0, names.size()), names));
    require(known.size() == names.size() || known[names.size()] == ',');
  }
  // What is not for the session itself ends here.
  bool check(Action& action) {
    if (auto* transmit = std::get_if<Transmit>(&action)) {
      const auto sent = MessageView::parse(transmit->message.payload.bytes());
      require(sent.has_value());
      // RFC 6733 §7.2: what has the E bit has no capabilities.
      if (sent->header().is_error()) require(!sent->find(avp::host_ip_address));
      if (sent->is_request()) hop_by_hop_ = sent->header().hop_by_hop;
      return true;
    }
    if (auto* undelivered = std::get_if<Undelivered>(&action)) {
      require(!undelivered->parcel->was_tried(kPeer));
      return false;
    }
    auto* forward = std::get_if<Forward>(&action);
    if (forward == nullptr || forward->to == kPeer) return false;
    if (kind_of(*forward->parcel) == ParcelKind::request) {
      asked_.push_back(parcel_cast<RequestParcel>(std::move(forward->parcel)));
      if (asked_.back()->origin == kPeer) require_origin(asked_.back()->view());
    } else if (kind_of(*forward->parcel) == ParcelKind::answer) {
      const auto answer = parcel_cast<AnswerParcel>(std::move(forward->parcel));
      if (!answer->made_here()) require_origin(answer->view());
    }
    return true;
  }

  bool ended_ = false;
  bool is_agent_ = false;  // the config lets it speak for any realm
  unsigned reloads_ = 0;
  Session* session_ = nullptr;
  std::deque<RequestPtr> asked_;
  std::uint32_t hop_by_hop_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned start = data[0];
  const bool initiator = (start & 1) != 0;
  Victim victim(initiator, (start & 2) != 0);
  if ((start & 4) != 0) victim.open(initiator);
  if ((start & 8) != 0) victim.send_request();
  if ((start & 16) != 0) victim.give(Stopping{});
  if ((start & 32) != 0) victim.operate(Operate::Verb::block);

  ByteReader input(std::as_bytes(std::span(data + 1, size - 1)));
  for (int messages = 0; messages < 64; ++messages) {
    const auto what = input.u8();
    const auto length = input.u16();
    if (!what || !length) break;
    const std::size_t bytes = std::min<std::size_t>(*length, input.remaining());
    Buffer payload = Buffer::copy_of(*input.take(bytes));
    // As if the peer had seen our last request, so that answers match.
    if ((*what & 1) != 0 && bytes >= Header::kBytes) {
      store_u32(payload.exclusive_bytes().data() + Header::kHopByHopAt, victim.hop_by_hop());
    }
    if ((*what & 2) != 0) victim.send_request();
    if ((*what & 4) != 0) victim.wake();
    if ((*what & 8) != 0) {
      Message back;
      back.payload = payload;
      victim.give(AssociationUnsent{std::move(back), true});
    }
    if ((*what & 16) != 0) victim.give(Stopping{});
    if ((*what & 32) != 0) victim.answer_request();
    if ((*what & 64) != 0) victim.supersede();
    if ((*what & 128) != 0) victim.end();
    if ((start & 64) != 0) victim.reconfigure();
    if ((start & 128) != 0) {
      victim.operate(messages % 2 == 0 ? Operate::Verb::unblock : Operate::Verb::disconnect);
    }
    victim.receive(std::move(payload));
  }
  victim.give(AssociationDown{DownCause::lost, {}});
  return 0;
}
