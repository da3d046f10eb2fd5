#include "apps/hss/config.h"

#include <algorithm>
#include <filesystem>

#include "apps/hss/subscriber_file.h"
#include "apps/runtime/config_fields.h"
#include "protocols/diameter/text.h"

namespace siglane::hss {
namespace {

// So many that flood together fill the store's queue; fewer leave room for all others.
constexpr std::size_t kConnectionsWithAShare = 16;

ServingRealm read_serving_realm(const runtime::ObjectReader& from,
                                const HssApplicationConfig& config) {
  ServingRealm serving{runtime::required_host_name(from, "origin_realm"),
                       from.parsed_list("visited_plmns", kPlmn, plmn_from_digits, {.min = 1})};
  for (const ServingRealm& other : config.serving_realms) {
    if (diameter::same_identity(serving.origin_realm, other.origin_realm)) {
      from.refuse("origin_realm", "named once");
    }
  }
  return serving;
}

}  // namespace

void check_serving_realms(const runtime::ObjectReader& root, const HssConfig& config,
                          const diameter::DiameterConfig& diameter) {
  const auto readers = root.object("hss").objects("serving_realms", {0, 1000});
  const auto& serving = config.application.serving_realms;
  if (readers.size() != serving.size()) return;
  for (std::size_t i = 0; i < serving.size(); ++i) {
    const auto has_realm = [&](const diameter::DiameterPeerConfig& peer) {
      const auto is_that = [&](const std::string& realm) {
        return realm == "*" || diameter::same_identity(realm, serving[i].origin_realm);
      };
      return is_that(peer.realm) ||
             std::any_of(peer.routed_realms.begin(), peer.routed_realms.end(), is_that);
    };
    if (std::none_of(diameter.peers.begin(), diameter.peers.end(), has_realm)) {
      readers[i].refuse("origin_realm", "the \"realm\" or one of the \"routed_realms\" of a peer");
    }
  }
}

HssConfig read_hss_config(const runtime::ObjectReader& root) {
  const runtime::ObjectReader hss = root.object("hss");
  HssConfig config;
  config.database.path = hss.string("database", "hss.db");
  if (config.database.path.empty()) hss.refuse("database", "the path of a file");
  config.subscribers = hss.string("subscribers", "");
  if (!config.subscribers.empty()) {
    const std::filesystem::path beside = std::filesystem::path(root.file()).parent_path();
    config.subscribers = (beside / config.subscribers).string();
  }
  config.application.vectors_max =
      hss.number<unsigned>("vectors_max", kVectorsMax, {.min = 1, .max = kVectorsMax});
  for (const runtime::ObjectReader& serving : hss.objects("serving_realms", {0, 1000})) {
    config.application.serving_realms.push_back(read_serving_realm(serving, config.application));
  }

  const runtime::ObjectReader store = hss.object("store");
  config.store.queue_max =
      store.number<std::size_t>("queue_max", config.store.queue_max, {.min = 1, .max = 1'000'000});
  config.application.asked_per_connection_max =
      std::max<std::size_t>(config.store.queue_max / kConnectionsWithAShare, 1);
  config.store.group_max =
      store.number<std::size_t>("group_max", config.store.group_max, {.min = 1, .max = 100'000});
  config.database.busy_timeout = store.milliseconds("busy_timeout_ms", config.database.busy_timeout,
                                                    {.min = 0ms, .max = 10min});
  config.database.checkpoint_pages = store.number<unsigned>(
      "checkpoint_pages", config.database.checkpoint_pages, {.min = 1, .max = 1'000'000});
  config.database.subscriptions_cached_max = store.number<std::size_t>(
      "subscriptions_cached_max", config.database.subscriptions_cached_max,
      {.min = 1, .max = 1'000'000});
  return config;
}

Result<std::unique_ptr<SubscriberStore>> open_store(const HssConfig& config) {
  auto store = open_sqlite_store(config.database);
  if (!store) return store;
  if (!config.subscribers.empty()) {
    if (auto imported = import_file(config.subscribers, **store); !imported) {
      return tl::unexpected(imported.error());
    }
  }
  return store;
}

Result<std::size_t> import_file(const std::string& file, SubscriberStore& store) {
  auto subscribers = read_subscribers(file);
  if (!subscribers) return tl::unexpected(subscribers.error());
  if (auto imported = store.import(*subscribers); !imported) {
    return tl::unexpected(imported.error());
  }
  return subscribers->size();
}

}  // namespace siglane::hss
