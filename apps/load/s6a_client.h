#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "apps/load/answer_log.h"
#include "apps/load/pacer.h"
#include "apps/load/run.h"
#include "apps/load/s6a_requests.h"
#include "apps/load/tally.h"
#include "apps/load/under_way.h"
#include "protocols/diameter/application.h"

namespace siglane::load {

// How often each request is sent, relative to the others.
struct S6aMix {
  double air = 6, ulr = 3, pur = 1;
};

struct S6aClientConfig {
  PaceConfig pace;
  S6aMix mix;
  S6aRequestsConfig requests;
  Duration request_timeout{};  // 0: the Diameter node's own
};

// One simulated MME: the application of a Diameter node that has the HSS as its only peer. Sends
// as its pacer says once the run has begun, judges every answer, and answers the HSS's requests.
// Shares `run` and its group's `tally` with the other clients of its thread.
class S6aClient final : public diameter::Application {
 public:
  // `module`, `run`, `tally` and `answers` (may be null) must outlive it.
  S6aClient(const diameter::DiameterModule& module, const S6aClientConfig& config,
            std::uint64_t seed, LoadRun& run, Tally& tally, AnswerLog* answers);

  std::optional<Instant> deadline() const override;
  SessionStatus status() const override;

  // After the run: what is still under way is lost, and what was due but never sent was skipped.
  void finish(Instant now);

 private:
  struct Request {
    S6aRequest kind{};
    std::uint64_t imsi = 0;
    Instant due{};
  };

  void on_request(diameter::RequestPtr request, const diameter::MessageView& message, Instant now,
                  Outbox& out) override;
  void on_answer(diameter::AnswerPtr answer, const diameter::MessageView& message, Instant now,
                 Outbox& out) override;
  void on_woken(Instant now, Outbox& out) override;

  void look(Instant now);
  void send_due(Instant now, Outbox& out);
  void send_one(Instant due, Instant now, Outbox& out);
  S6aRequest draw_kind();
  void unanswered(Why why);
  void keep(const Request& request, const diameter::MessageView& answer);

  S6aClientConfig config_;
  S6aRequests requests_;
  Pacer pacer_;
  LoadRun& run_;
  Tally& tally_;
  AnswerLog* answers_;
  UnderWay<Request> under_way_;
  AssociationId peer_ = AssociationId::none;  // the session that is open towards the HSS
  Instant next_look_{};
  std::optional<Instant> began_;
  std::optional<Instant> more_due_;    // a batch was cut short
  std::optional<Instant> held_until_;  // one could not be sent
};

}  // namespace siglane::load
