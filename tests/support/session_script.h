#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/module.h"
#include "core/session.h"

namespace siglane::test {

// Drives sessions without a shard, a transport or a clock: a test gives them inputs and lets
// simulated time pass, and what they want done is carried out or kept here by its kind.
//
//   SessionScript script;
//   auto& asp = script.add(kAsp, std::make_unique<AspSession>(…));
//   script.give(kAsp, AssociationUp{…});
//   script.receive(kAsp, aspup());
//   script.pass(2s);  // whoever is due by then is woken at its deadline
//   EXPECT_EQ(script.sent(kAsp).size(), 1u);
//
// As in a shard, inputs are a FIFO, so nothing recurses, and the answer to Identify comes before
// anything from outside. Tests use TestScript (test_script.h), which prints history() when they
// fail. Fuzz targets use this class, which needs no GoogleTest.
class SessionScript {
 public:
  // With a module, it routes what sessions accept and answers for what finds nobody, and changes
  // are published to it. Without one, all that is kept below. `module` must outlive the script.
  explicit SessionScript(ProtocolModule* module = nullptr, Instant start = Instant{1s})
      : now(start), module_(module) {}
  SessionScript(const SessionScript&) = delete;
  SessionScript& operator=(const SessionScript&) = delete;

  template <class S>
  S& add(AssociationId id, std::unique_ptr<S> session) {
    S& added = *session;
    sessions[id] = std::move(session);
    return added;
  }

  // --- Inputs. Each call returns when nobody has anything to do any more. ---
  void give(AssociationId id, SessionInput input);
  void receive(AssociationId id, Buffer payload, StreamId stream = {},
               PayloadProtocol protocol = {});
  void submit(AssociationId id, ParcelPtr parcel, AssociationId from);
  // As if `from` had accepted it.
  void route(AssociationId from, ParcelPtr parcel);
  // The association is lost, and its session gone.
  void down(AssociationId id);
  // Wakes whoever is due first, if that is not after `until`.
  bool wake_next(Instant until);
  void pass(Duration span);

  // --- Policies. ---
  // The answer to Identify: Identified, IdentityRefused, or nothing yet. By default: Identified.
  std::function<std::optional<SessionInput>(AssociationId, const std::string& peer)> on_identify;
  // Reroute is answered with Rerouting at once; else when the test gives it.
  bool answers_reroute = true;
  // Is asked before an action is carried out or kept. true: that is done.
  std::function<bool(AssociationId, Action&)> on_action;
  // A message in words, for history().
  std::function<std::string(const Message&)> describe;

  // --- What was sent since it was asked for last; the oldest first. ---
  std::vector<Buffer> sent(AssociationId id);
  // If that is one message; else an empty buffer.
  Buffer sent_one(AssociationId id);

  // The last inputs and actions, a line each: "   1.250 s  #7 <- AssociationReceived, 20 bytes".
  std::string history() const;

  BufferPool pool;
  Counters counters;
  Instant now;
  std::map<AssociationId, std::unique_ptr<Session>> sessions;

  // --- What the sessions wanted done. ---
  std::map<AssociationId, std::vector<Message>> wire;
  std::map<AssociationId, std::vector<CloseMode>> closes;
  std::map<AssociationId, std::size_t> lingers, reroutes;
  std::map<AssociationId, bool> paused;  // as asked for last
  std::vector<std::string> identified;   // the peers that sessions said they had
  std::size_t peers_opened = 0;
  std::vector<PeerClosed> peers_closed;
  std::vector<PeerRefused> peers_refused;
  std::vector<Violation> violations;
  std::vector<Fact> facts;
  std::vector<Drop> drops;
  std::vector<ParcelPtr> asked;
  // Without a module:
  std::vector<ParcelPtr> accepted, published;
  std::vector<Undelivered> undelivered;
  std::vector<Forward> forwarded;  // to nobody here

 private:
  static constexpr std::size_t kHistoryMax = 200;
  struct Seen {
    Instant at;
    AssociationId who;
    const char* what;
    std::string detail;
  };

  void run();
  void step(AssociationId id, SessionInput input);
  void fail(AssociationId from, AssociationId failed, ParcelPtr parcel, Why why);
  void carry_out(AssociationId id, Outbox& out);
  void carry_out(AssociationId id, Action& action);
  void identify(AssociationId id, const std::string& peer);
  void note(AssociationId who, const char* what, std::string detail);
  std::string in_words(const Message& message) const;

  ProtocolModule* module_;
  std::deque<std::pair<AssociationId, SessionInput>> work_;
  bool running_ = false;
  std::deque<Seen> history_;
};

}  // namespace siglane::test
