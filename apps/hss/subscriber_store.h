#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "apps/hss/authentication_vector.h"
#include "apps/hss/subscription.h"
#include "apps/runtime/store_thread.h"
#include "core/ask_parcel.h"

namespace siglane::hss {

inline constexpr unsigned kVectorsMax = 5;  // in one AIA

// Re-Synchronization-Info (TS 29.272 §7.3.15): RAND || AUTS.
struct Resynchronisation {
  Rand rand;
  Auts auts;
};

// A serving MME by its Origin-Host and Origin-Realm.
struct ServingNode {
  std::string host, realm;
  friend bool operator==(const ServingNode&, const ServingNode&) = default;
};

// What an application asks of the store, for one subscriber.
struct GetVectors {
  Plmn visited{};
  unsigned count = 1;  // 1 to kVectorsMax
  std::optional<Resynchronisation> resynchronisation;
};
struct UpdateLocation {
  ServingNode mme;
  RatType rat = RatType::eutran;
  Plmn visited{};
};
struct PurgeUe {
  std::string mme_host;
};
using StoreOperation = std::variant<GetVectors, UpdateLocation, PurgeUe>;

// And what it answers.
struct StoreFailure {
  std::string what;                 // nothing was changed
  bool of_this_subscriber = false;  // its data are damaged, or were not to be had; others fare well
};
enum class Denial {
  unknown_user,
  unknown_eps_subscription,
  rat_not_allowed,
  roaming_not_allowed,
  authentication_data_unavailable,
};
struct VectorsMade {
  std::array<AuthenticationVector, kVectorsMax> vectors;
  unsigned count = 0;
  bool resynchronised = false;
};
struct LocationUpdated {
  std::optional<ServingNode> cancelled;  // the MME that served until now and still holds the data
  std::string msisdn;
  std::shared_ptr<const Subscription> subscription;
  bool mme_has_data = false;  // the MME was serving already, and was told all of this before
};
struct Purged {
  bool serving = false;  // it was the serving MME who asked; false: nothing was changed
};
using StoreResult = std::variant<StoreFailure, Denial, VectorsMade, LocationUpdated, Purged>;

// Goes to the store with an operation and comes back with a result.
struct StoreRequest final : AskParcel {
  std::size_t bytes_held() const override { return sizeof *this + AskParcel::bytes_held(); }

  Imsi imsi;
  StoreOperation operation;
  StoreResult result;
};

struct Imported {
  std::size_t subscribers = 0;
  // Left as they were, as their data in the database are damaged: how many, and what is wrong with
  // the first of them.
  std::size_t failed = 0;
  std::string why;
};

// Subscribers, durable. What run() promises (apps/runtime/store_thread.h) means here: a SQN, and
// a location, is on disk before anyone is told.
class SubscriberStore : public runtime::Store {
 public:
  // Adds subscribers, or updates what an operator provisions of those that are there: K, OPc, AMF,
  // MSISDN, subscription. Keeps their serving MME, and their SQN unless the given one is higher.
  // One transaction. Before the store is given to its thread.
  virtual Result<Imported> import(std::span<const Subscriber> subscribers) = 0;
  virtual Result<std::uint64_t> subscriber_count() = 0;
};

}  // namespace siglane::hss
