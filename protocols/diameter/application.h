#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/random.h"
#include "core/session.h"
#include "protocols/diameter/answers.h"
#include "protocols/diameter/module.h"
#include "protocols/diameter/parcels.h"

namespace siglane::diameter {

// What a node does with the requests that are for itself: derive from this, one object for each
// shard, add it as a coordinator, and name its id to the module:
//
//   class Echo final : public Application {
//    public:
//     using Application::Application;
//
//    private:
//     void on_request(RequestPtr request, const MessageView& message, Instant, Outbox& out)
//     override {
//       if (!message.is(command::update_location)) {
//         return reject(std::move(request), result::command_unsupported, out);
//       }
//       MessageBuilder answer = begin_answer(out.buffers(), message, config(), result::success);
//       answer.add(avp::ula_flags, 1u);
//       reply(std::move(request), std::move(answer), out);
//     }
//   };
//   ...
//   auto id = shard.add_coordinator(std::make_unique<Echo>(module, seed), module, now);
//   module.add_application(shard.id(), application::s6a, id);
//
// A request is consumed by its answer, so that it has one. An answer that needs the store takes the
// RequestPtr along in the parcel it asks with, and replies when on_completed() brings it back;
// keep_for_answer() first, so that what waits is small. Derived from AskParcel, it counts for the
// peer that sent the request. Every request must be answered, unless the store drops it because its
// peer's connection is gone. On its shard's
// thread only; like every session it calls nobody and appends to `out`.
class Application : public Session {
 public:
  // `module` must outlive it.
  Application(const DiameterModule& module, std::uint64_t seed);

  void step(SessionInput input, Instant now, Outbox& out) final;
  std::optional<Instant> deadline() const override { return std::nullopt; }
  SessionStatus status() const override;

 protected:
  // A request for us: known application, dictionary and grammar checked. `message` views
  // `request->message`, wherever the request is moved to.
  virtual void on_request(RequestPtr request, const MessageView& message, Instant now,
                          Outbox& out) = 0;
  // The answer to a request of ours, once for each: from the peer, or made here (made_here(), with
  // 3002 and the reason) when there was no way, or no answer in time.
  virtual void on_answer(AnswerPtr answer, const MessageView& message, Instant now, Outbox& out);
  virtual void on_completed(Completed completed, Instant now, Outbox& out);
  // A connection to a peer takes requests from now on, or does no longer (it is closed, blocked, or
  // has to answer its watchdog first): send_to() reaches it by this id. A peer may have several
  // connections. Every application of the node hears it, of peers with which it has the application
  // in common, or which relay.
  virtual void on_peer_open(const PeerChange& peer, AssociationId connection, Instant now,
                            Outbox& out);
  virtual void on_peer_closed(const PeerChange& peer, AssociationId connection, Instant now,
                              Outbox& out);
  // deadline() has come.
  virtual void on_woken(Instant now, Outbox& out);
  virtual void on_stopping(Instant now, Outbox& out);
  // config() is another one from now on.
  virtual void on_reconfigured(Instant now, Outbox& out);

  // Sends the answer home; adds the request's Proxy-Info AVPs.
  void reply(RequestPtr request, MessageBuilder answer, Outbox& out);
  // What the grammar of the application's answers demands besides the base protocol's AVPs, such as
  // Auth-Session-State; reject() adds it where that grammar holds.
  virtual void add_application_avps(MessageBuilder& answer) const;
  // An answer with nothing but an error; where there is a violation, with Failed-AVP and
  // Error-Message, and told to the operator as a drop.
  void reject(RequestPtr request, ResultCode result, Outbox& out,
              const Violation* violation = nullptr);

  // Before a request waits: keeps of its message, in memory of its own size, only what an answer is
  // made of: the header, Session-Id, Proxy-Info, and these. Views of the message are void then.
  void keep_for_answer(RequestParcel& request, std::initializer_list<const AvpDef*> also,
                       Outbox& out) const;

  // A request of ours, with a fresh end-to-end identifier, routed by its Destination-Host and
  // -Realm. `timeout` 0: the config's. Answers come to on_answer with this tag,
  // which is below kFirstCallbackTag.
  void send(MessageBuilder request, std::uint64_t tag, Duration timeout, Outbox& out);
  // The same to one peer's session, and to nobody else (ids: module().routes()).
  void send_to(AssociationId peer, MessageBuilder request, std::uint64_t tag, Duration timeout,
               Outbox& out);

  // The same two, with what to do with the answer in place of on_answer(). It is called once, as a
  // step of this application.
  using Answered =
      std::function<void(AnswerPtr answer, const MessageView& message, Instant now, Outbox& out)>;
  void send(MessageBuilder request, Answered then, Duration timeout, Outbox& out);
  void send_to(AssociationId peer, MessageBuilder request, Answered then, Duration timeout,
               Outbox& out);

  const DiameterModule& module() const { return module_; }
  // Good for the length of one step: a reload replaces it (on_reconfigured()).
  const DiameterConfig& config() const { return *config_; }
  Random& random() { return random_; }

 private:
  void receive(AssociationId from, ParcelPtr parcel, Instant now, Outbox& out);
  RequestPtr pack(MessageBuilder request, std::uint64_t tag, Duration timeout);
  std::uint64_t keep(Answered then);

  const DiameterModule& module_;
  std::shared_ptr<const DiameterConfig> config_;
  Random random_;
  std::uint32_t end_to_end_;
  std::unordered_map<std::uint64_t, Answered> answered_;  // by tag; of requests under way
  std::uint64_t next_tag_ = kFirstCallbackTag;
};

}  // namespace siglane::diameter
