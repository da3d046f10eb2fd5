#pragma once
#include <string>

#include "apps/hss/hss_application.h"
#include "apps/hss/sqlite_store.h"
#include "apps/runtime/config_reader.h"
#include "apps/runtime/store_thread.h"
#include "core/result.h"

namespace siglane::hss {

// The "hss" section of the config.
struct HssConfig {
  SqliteStoreConfig database;
  runtime::StoreThreadConfig store;
  HssApplicationConfig application;
  // Imported at every start (what is state is kept); empty: none. In the file, a relative path
  // begins beside the file; the database's begins in the working directory.
  std::string subscribers;
};

HssConfig read_hss_config(const runtime::ObjectReader& root);
// Serving realms that no peer can speak for.
void check_serving_realms(const runtime::ObjectReader& root, const HssConfig& config,
                          const diameter::DiameterConfig& diameter);

// The store, open, with the config's subscribers in it.
Result<std::unique_ptr<SubscriberStore>> open_store(const HssConfig& config);

// Reads an import file into the store; how many subscribers it held.
Result<std::size_t> import_file(const std::string& file, SubscriberStore& store);

}  // namespace siglane::hss
