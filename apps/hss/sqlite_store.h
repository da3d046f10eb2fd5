#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "apps/hss/subscriber_store.h"
#include "core/result.h"
#include "core/time.h"

namespace siglane::hss {

// Fills with random bytes fit for RAND; false: none to be had.
using RandomBytes = std::function<bool(std::span<std::byte>)>;
RandomBytes openssl_random();

struct SqliteStoreConfig {
  std::string path;
  Duration busy_timeout = 5s;        // how long to wait for another process (an import) to finish
  unsigned checkpoint_pages = 1000;  // WAL pages before they go back into the database
  std::size_t subscriptions_cached_max = 4096;
  std::string vfs;  // of SQLite; empty: the system's. For tests
  RandomBytes random = openssl_random();
};

// Subscribers in a SQLite database: WAL, synchronous=FULL. A group is one transaction and, if it
// changed anything, one flush; a request that meets damaged data fails alone. The log is kept
// short: after a burst, or a reader of another process that kept it long, it shrinks to what
// checkpoint_pages take. The file is created for its owner's eyes only: it holds keys. While the
// file, or its log, is gone from its path or is another one, every group fails: what would be
// written would be lost. Opened on any thread; used by one at a time.
Result<std::unique_ptr<SubscriberStore>> open_sqlite_store(SqliteStoreConfig config);

}  // namespace siglane::hss
