#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "apps/hss/hss_application.h"
#include "apps/hss/sqlite_store.h"
#include "apps/runtime/config_reader.h"
#include "apps/runtime/store_thread.h"
#include "core/result.h"

namespace siglane::hss {

// The "hss" section of the config. A relative path in it begins beside the file.
struct HssConfig {
  SqliteStoreConfig database;
  runtime::StoreThreadConfig store;
  HssApplicationConfig application;
  // Imported at every start (what is state is kept); empty: none.
  std::string subscribers;
};

HssConfig read_hss_config(const runtime::ObjectReader& root);
// Serving realms that no peer can speak for.
void check_serving_realms(const runtime::ObjectReader& root, const HssConfig& config,
                          const diameter::DiameterConfig& diameter);

// What tells whether a file is still the one that was read.
struct FileStamp {
  std::int64_t written = 0;  // of its file system's clock
  std::uint64_t bytes = 0;

  // All zero: it cannot be read.
  static FileStamp of(const std::string& file);
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

// The store, open, with the config's subscribers in it, but for those in `warning`.
struct OpenedStore {
  std::unique_ptr<SubscriberStore> store;
  std::string warning;  // empty: all of them
};
Result<OpenedStore> open_store(const HssConfig& config);

// Reads an import file into the store.
Result<Imported> import_file(const std::string& file, SubscriberStore& store);
// What of it was not imported, in a sentence; empty: nothing.
std::string text_of_failures(const std::string& file, const Imported& imported);

}  // namespace siglane::hss
