#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/load/m3ua_traffic.h"
#include "apps/load/pacer.h"
#include "apps/load/run.h"
#include "apps/load/tally.h"
#include "core/random.h"
#include "core/session.h"

namespace siglane::load {

// One simulated ASP, alone in its Application Server.
struct M3uaSender {
  std::string asp;  // the AspClientConfig's name
  std::uint32_t routing_context = 0;
  PaceConfig pace;
  std::size_t payload_bytes_min = kLongPayloadBytesMin;
  std::size_t payload_bytes_max = 272;
  Tally* tally = nullptr;  // its group's; not null
};

// The MTP3 user above all ASPs: sends DATA from each to the others as its pacer says, once all are
// active, and judges what arrives. It is the user of one AspClientModule.
class M3uaClient final : public Session {
 public:
  // `traffic` has one point code for each of `senders`. `traffic`, `run` and the tallies
  // must outlive it.
  M3uaClient(std::vector<M3uaSender> senders, M3uaTraffic& traffic, std::uint64_t seed,
             LoadRun& run);

  void step(SessionInput input, Instant now, Outbox& out) override;
  std::optional<Instant> deadline() const override;
  SessionStatus status() const override;

  // After the run: what has not arrived is lost, and what was due but never sent was skipped.
  void finish(Instant now);
  // DUNA: how often the gateway said that one of our destinations cannot be reached.
  std::uint64_t destinations_unavailable() const { return destinations_unavailable_; }
  // DATA of other runs, which arrived here all the same.
  std::uint64_t foreign() const { return foreign_; }

 private:
  struct Sender {
    M3uaSender config;
    Pacer pacer;
    AssociationId association = AssociationId::none;  // none: ASP-DOWN
    bool active = false;
    bool congested = false;                            // by its association's word: sends nothing
    std::optional<Instant> held_until = std::nullopt;  // one came back
    std::size_t under_way = 0;
  };

  void on_submitted(AssociationId from, ParcelPtr parcel, Instant now);
  void on_status(AssociationId from, const m3ua::AspStatusParcel& status, Instant now);
  void on_data(AssociationId from, const m3ua::DataParcel& data, Instant now);
  void on_returned(const m3ua::DataParcel& data, Instant now);
  void begin_if_ready();
  void send_due(Instant now, Outbox& out);
  void send_one(Sender& sender, Instant due, Instant now, Outbox& out);
  void settle(Sender& sender);
  void write_off();

  std::vector<Sender> senders_;
  M3uaTraffic& traffic_;
  Random random_;
  LoadRun& run_;
  bool began_ = false;
  std::optional<Instant> more_due_;  // a batch was cut short
  std::uint64_t destinations_unavailable_ = 0;
  std::uint64_t foreign_ = 0;
};

}  // namespace siglane::load
