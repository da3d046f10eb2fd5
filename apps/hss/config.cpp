#include "apps/hss/config.h"

#include <algorithm>

#include "apps/hss/subscriber_file.h"
#include "apps/runtime/config_fields.h"
#include "protocols/diameter/text.h"

namespace siglane::hss {
namespace {

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
  config.database.path = hss.file_path("database", "hss.db");
  if (config.database.path.empty()) hss.refuse("database", "the path of a file");
  config.subscribers = hss.file_path("subscribers", "");
  config.application.vectors_max =
      hss.number<unsigned>("vectors_max", kVectorsMax, {.min = 1, .max = kVectorsMax});
  for (const runtime::ObjectReader& serving : hss.objects("serving_realms", {0, 1000})) {
    config.application.serving_realms.push_back(read_serving_realm(serving, config.application));
  }
  if (!config.application.serving_realms.empty() &&
      root.object("admission").boolean("accept_unknown_peers", false)) {
    hss.complain("serving_realms",
                 "cannot hold while /admission/accept_unknown_peers is true, since an unknown peer "
                 "may say that it is of any realm; set that to false, or leave this out");
  }

  const runtime::ObjectReader store = hss.object("store");
  config.store.queue_max =
      store.number<std::size_t>("queue_max", config.store.queue_max, {.min = 1, .max = 1'000'000});
  config.store.queue_bytes_max = store.number<std::size_t>(
      "queue_bytes_max", config.store.queue_bytes_max, {.min = 65536, .max = std::size_t{1} << 32});
  config.store.shares =
      store.number<std::size_t>("shares", config.store.shares, {.min = 1, .max = 10'000});
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

FileStamp FileStamp::of(const std::string& file) {
  std::error_code failed;
  FileStamp stamp;
  const auto written = std::filesystem::last_write_time(file, failed);
  if (!failed) stamp.written = written.time_since_epoch().count();
  const auto bytes = std::filesystem::file_size(file, failed);
  if (!failed) stamp.bytes = bytes;
  return stamp;
}

Result<OpenedStore> open_store(const HssConfig& config) {
  auto store = open_sqlite_store(config.database);
  if (!store) return tl::unexpected(store.error());
  OpenedStore opened{std::move(*store), {}};
  if (!config.subscribers.empty()) {
    const auto imported = import_file(config.subscribers, *opened.store);
    if (!imported) return tl::unexpected(imported.error());
    opened.warning = text_of_failures(config.subscribers, *imported);
  }
  return opened;
}

Result<Imported> import_file(const std::string& file, SubscriberStore& store) {
  auto subscribers = read_subscribers(file);
  if (!subscribers) return tl::unexpected(subscribers.error());
  return store.import(*subscribers);
}

std::string text_of_failures(const std::string& file, const Imported& imported) {
  if (imported.failed == 0) return {};
  return file + ": " + std::to_string(imported.failed) +
         " subscribers could not be imported and stay as they were. The first: " + imported.why;
}

}  // namespace siglane::hss
