#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/hss/subscriber_store.h"
#include "core/snapshot.h"
#include "protocols/diameter/application.h"

namespace siglane::hss {

// The networks for which serving nodes of a realm may get authentication vectors and locations.
struct ServingRealm {
  std::string origin_realm;
  std::vector<Plmn> visited_plmns;
};

struct HssApplicationConfig {
  unsigned vectors_max = kVectorsMax;        // in one AIA, whatever was asked for: 1 to kVectorsMax
  std::vector<ServingRealm> serving_realms;  // empty: any realm, any network
};

// The HSS of TS 29.272: Authentication-Information, Update-Location and Purge-UE towards MMEs over
// S6a, and Cancel-Location to the MME that a subscriber left. One for each shard. It keeps nothing
// itself: what a request needs travels with it to the store and back.
class HssApplication final : public diameter::Application {
 public:
  // `config` may be replaced while it runs; it holds for requests that come after.
  using Config = Snapshot<HssApplicationConfig>;
  HssApplication(const diameter::DiameterModule& module, std::uint64_t seed,
                 std::shared_ptr<const Config> config);

 private:
  void on_request(diameter::RequestPtr request, const diameter::MessageView& message, Instant now,
                  Outbox& out) override;
  void on_answer(diameter::AnswerPtr answer, const diameter::MessageView& message, Instant now,
                 Outbox& out) override;
  void add_application_avps(diameter::MessageBuilder& answer) const override;
  void on_completed(Completed completed, Instant now, Outbox& out) override;

  struct Incoming;  // a request, on its way in
  struct Done;      // a request, back from the store

  // Each reads its command's AVPs into the operation; false: refused, and answered.
  bool read(Incoming& in, GetVectors& operation, Outbox& out);
  bool read(Incoming& in, UpdateLocation& operation, Outbox& out);
  bool read(Incoming& in, PurgeUe& operation, Outbox& out);
  bool read_visited(Incoming& in, Plmn& visited, Outbox& out);
  bool read_resynchronisation(Incoming& in, GetVectors& operation, Outbox& out);
  // Whether nodes of the request's realm may ask at all, and for that network. false: refused.
  bool may_serve(Incoming& in, const Plmn* visited, Outbox& out);

  void refuse_too_busy(Done& done, Outbox& out);
  // Each answers for its result.
  void answer(Done& done, const StoreFailure& result, Outbox& out);
  void answer(Done& done, Denial result, Outbox& out);
  void answer(Done& done, const VectorsMade& result, Outbox& out);
  void answer(Done& done, const LocationUpdated& result, Outbox& out);
  void answer(Done& done, const Purged& result, Outbox& out);

  diameter::MessageBuilder begin(const diameter::MessageView& request, Outbox& out) const;
  void deny(Incoming& in, Denial denial, Outbox& out);
  void deny(Incoming& in, diameter::ResultCode experimental, Outbox& out);
  void refuse(Incoming& in, diameter::ResultCode result, const diameter::AvpView& offending,
              Outbox& out);
  void refuse_missing(Incoming& in, const diameter::AvpDef& missing, Outbox& out);
  void cancel_location(const Imsi& imsi, const ServingNode& mme, Outbox& out);

  const HssApplicationConfig& hss_config() { return reader_.get(*config_); }

  std::shared_ptr<const Config> config_;
  Config::Reader reader_;
  std::uint64_t next_session_;
};

}  // namespace siglane::hss
