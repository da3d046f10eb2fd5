#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/parcel.h"
#include "protocols/diameter/config.h"
#include "protocols/diameter/message.h"

// What travels between this module's sessions, its applications and its control plane.

namespace siglane {
class Outbox;
}

namespace siglane::diameter {

enum class ParcelKind : std::uint8_t { request, answer, peer_change, call };

// Tags from here on are of requests whose answer has a callback (Application::send()).
inline constexpr std::uint64_t kFirstCallbackTag = std::uint64_t{1} << 63;

class DiameterParcel : public Parcel {
 public:
  explicit DiameterParcel(ParcelKind kind) : kind_(kind) {}
  ParcelKind kind() const { return kind_; }

 private:
  ParcelKind kind_;
};

// A request on its way to an application or to a peer, and later the thing its answer is made from:
// whoever answers it keeps it until then. The message in it is whole and parsed before.
class RequestParcel final : public DiameterParcel {
 public:
  RequestParcel() : DiameterParcel(ParcelKind::request) {}
  std::size_t bytes_held() const override { return message.size(); }
  std::string describe() const override;
  std::string_view asked_by() const override { return peer ? std::string_view(*peer) : ""; }
  bool wanted() const override { return peer == nullptr || !connection.expired(); }

  Buffer message;
  Header header;  // as received: the answer carries its identifiers (RFC 6733 §6.2)
  // Who gets the answer: a session or an application; none: whoever sends it.
  AssociationId origin = AssociationId::none;
  // The Origin-Host of the peer it came from; null: it was made here.
  std::shared_ptr<const std::string> received_from;
  // That peer's name, as its session said it in Identify, and the session's connection, as long as
  // it is there to take the answer. Null: it was made here.
  std::shared_ptr<const std::string> peer;
  std::weak_ptr<const void> connection;
  Instant received_at{};  // when the loop read it; zero: made here
  Duration timeout{};     // 0: request_timeout of the session's config
  Instant answer_by{};    // however often it is tried; zero: it was not sent yet
  std::uint64_t tag = 0;  // for whoever sends it: comes back in the AnswerParcel
  // The peer whose connection could not keep it last, and how many of its connections in a row
  // could not.
  std::shared_ptr<const std::string> returned_by;
  std::uint8_t returns = 0;
  bool direct = false;    // meant for one session alone: never rerouted to another peer
  bool recorded = false;  // Route-Record was appended
  bool sent = false;      // was on the wire once: the next time with the T bit

  // Parsed anew, at the cost of one pass over its AVPs. Precondition: the message is whole.
  MessageView view() const { return *MessageView::parse(message.bytes()); }
};
using RequestPtr = std::unique_ptr<RequestParcel>;

// An answer on its way to whoever sent the request.
class AnswerParcel final : public DiameterParcel {
 public:
  AnswerParcel() : DiameterParcel(ParcelKind::answer) {}
  // Nobody else wants it, so it waits for room. A callback that waits for it is called in any case;
  // of those there are as many as requests under way.
  Carriage carriage() const override {
    return tag < kFirstCallbackTag ? Carriage::ordered : Carriage::control;
  }
  std::size_t bytes_held() const override { return message.size(); }
  std::string describe() const override;

  Buffer message;
  // Those of the request as it was received: the session that sends the answer puts them in.
  std::uint32_t hop_by_hop = 0, end_to_end = 0;
  Instant caused_at{};  // when the loop read the request; zero: it was made here
  std::uint64_t tag = 0;
  AssociationId answered_by = AssociationId::none;  // the session it came from; none: made here
  Why why{};  // where it was made here: what became of the request

  bool made_here() const { return answered_by == AssociationId::none; }
  MessageView view() const { return *MessageView::parse(message.bytes()); }
};
using AnswerPtr = std::unique_ptr<AnswerParcel>;

// To the control plane, and to the applications of the node: what became of a connection to a peer.
class PeerChange final : public DiameterParcel {
 public:
  enum class State : std::uint8_t {
    connecting,  // we have sent a CER
    open,        // it may be sent requests
    blocked,     // it is open, and the operator wants it sent none
    suspect,     // it has to answer its watchdog before it is sent any: RFC 3539 SUSPECT, REOPEN
    closed,      // not any more
    failed       // not any more, as its watchdog failed: RFC 3539 REOPEN next time
  };

  PeerChange() : DiameterParcel(ParcelKind::peer_change) {}
  Carriage carriage() const override { return Carriage::control; }

  State state = State::closed;
  std::string name;  // the configured peer's, else its Origin-Host
  bool configured = false;
  std::string origin_host, realm;
  bool relay = false;                       // advertises the relay application: takes any
  std::vector<ApplicationId> applications;  // common ones
  std::vector<std::string> routed_realms;   // of its config
};

// To an application, from another thread (door.h).
class Application;
class CallParcel final : public DiameterParcel {
 public:
  using Call = std::function<void(Application&, Instant, Outbox&)>;
  explicit CallParcel(Call c) : DiameterParcel(ParcelKind::call), call(std::move(c)) {}
  std::size_t bytes_held() const override { return sizeof(CallParcel); }
  Call call;
};

// Precondition: the parcel is one of this module's.
inline ParcelKind kind_of(const Parcel& parcel) {
  return static_cast<const DiameterParcel&>(parcel).kind();
}
template <class T>
std::unique_ptr<T> parcel_cast(ParcelPtr parcel) {
  return std::unique_ptr<T>(static_cast<T*>(parcel.release()));
}

}  // namespace siglane::diameter
