#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/hss/sqlite_store.h"
#include "apps/hss/subscriber_store.h"
#include "core/random.h"
#include "tests/unit/hss/hex.h"
#include "tests/unit/hss/power_cut_disk.h"
#include "tests/unit/hss/usim.h"

// What tests of the store, and of what stands on it, share.
namespace siglane::hss {

inline const Key kTestK = bytes_of<16>("465b5ce8b199b49faa5f0a2ee238a6bc");
inline const Key kTestOpc = bytes_of<16>("cd63cb71954a9f4e48a5994e37a02baf");
inline const Plmn kHome = *plmn_from_digits("00101");

inline Subscription test_subscription() {
  Subscription subscription;
  subscription.ambr = {50'000'000, 100'000'000};
  subscription.apns.push_back({.context_identifier = 1,
                               .apn = "internet",
                               .pdn_type = PdnType::ipv4v6,
                               .qci = 9,
                               .priority_level = 8,
                               .may_preempt = false,
                               .preemptable = true,
                               .ambr = {10'000'000, 20'000'000}});
  return subscription;
}

inline Imsi imsi_number(unsigned n) {
  std::string digits = std::to_string(n);
  return *Imsi::parse("00101" + std::string(10 - digits.size(), '0') + digits);
}

inline Subscriber test_subscriber(unsigned n) {
  Subscriber subscriber;
  subscriber.imsi = imsi_number(n);
  subscriber.k = kTestK;
  subscriber.opc = kTestOpc;
  subscriber.amf = {std::byte{0x80}, std::byte{0}};
  subscriber.msisdn = "4915100000" + std::to_string(n);
  subscriber.subscription = std::make_shared<const Subscription>(test_subscription());
  return subscriber;
}

inline RandomBytes seeded_random(std::uint64_t seed) {
  return [random = std::make_shared<Random>(seed)](std::span<std::byte> out) {
    for (std::byte& b : out) b = static_cast<std::byte>(random->next());
    return true;
  };
}

inline SqliteStoreConfig store_on(const PowerCutDisk& disk) {
  SqliteStoreConfig config;
  config.path = "hss.db";
  config.vfs = disk.name();
  config.checkpoint_pages = 8;
  config.random = seeded_random(1);
  return config;
}

inline ParcelPtr store_request(const Imsi& imsi, StoreOperation operation) {
  auto request = std::make_unique<StoreRequest>();
  request->imsi = imsi;
  request->operation = std::move(operation);
  return request;
}

inline const StoreResult& result_of(const ParcelPtr& parcel) {
  return static_cast<const StoreRequest&>(*parcel).result;
}

}  // namespace siglane::hss
