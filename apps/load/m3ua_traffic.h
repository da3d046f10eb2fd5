#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "apps/load/flow_accounting.h"
#include "apps/load/payload.h"
#include "core/buffer.h"
#include "core/random.h"
#include "core/time.h"
#include "protocols/m3ua/parcels.h"

namespace siglane::load {

struct M3uaTrafficConfig {
  // The senders, by number, that a sender draws its destinations from; it is one of them.
  struct Circle {
    std::size_t first = 0, count = 0;  // none: all senders
  };
  std::vector<std::uint32_t> point_codes;  // one for each sender, who is also a destination
  std::vector<Circle> circles = {};        // one for each sender, or none
  std::uint8_t service_indicator = 3;      // SCCP
  std::uint8_t network_indicator = 2;      // national
  std::size_t sls_count = 16;              // 1 .. 256: SLS 0 and on
  std::uint32_t run = 0;                   // told apart from other runs by this
};

// The messages of one run and the judgement on each that arrives. A flow is what MTP keeps in
// order: from one sender to one destination with one SLS (OPC, DPC, SI and SLS).
class M3uaTraffic {
 public:
  // Precondition: at least two point codes, none or at least two in each circle, and no more than
  // kFlowMax flows.
  explicit M3uaTraffic(M3uaTrafficConfig config);
  static std::size_t flows_of(std::size_t senders, std::size_t sls_count) {
    return senders * senders * sls_count;
  }

  // The next message of `sender` to another one of its circle, drawn by `random`.
  std::unique_ptr<m3ua::DataParcel> make(std::size_t sender, std::size_t bytes, Instant due,
                                         Random& random, BufferPool& pool);

  enum class Verdict { in_order, out_of_order, duplicate, damaged, foreign };
  struct Judgement {
    Verdict verdict{};
    std::size_t sender = 0;      // meaningful unless damaged or foreign
    std::optional<Instant> due;  // long payloads say it
  };
  // What arrived at `receiver`. Foreign: another run's, or not of this tool. Damaged: changed on
  // the way, or it arrived under a label or at a place that was not meant.
  Judgement judge(const m3ua::DataParcel& data, std::size_t receiver);
  // Whose it was, of a message that came back unsent.
  std::optional<std::size_t> sender_of(const m3ua::DataParcel& data) const;

  // Does this cover one of the destinations?
  bool goes_to(const m3ua::AffectedPointCode& affected) const;

  // What has not arrived of what `sender` sent.
  std::uint64_t lost(std::size_t sender) const;

 private:
  struct Flow {
    std::uint64_t sent = 0;
    FlowReceiver receiver;
  };
  struct Place {
    std::size_t sender, destination;
    std::uint8_t sls;
  };
  Place place_of(std::size_t flow) const;
  m3ua::MtpLabel label_of(const Place& place) const;

  M3uaTrafficConfig config_;
  std::vector<Flow> flows_;
};

}  // namespace siglane::load
