#pragma once
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sqlite3.h>

#include "core/random.h"

namespace siglane::hss {

// A disk in memory, as a SQLite VFS, whose power can be cut at any write or flush. What was written
// to a file since its last flush is then anybody's guess: each such write is there, or is not, or
// is torn in the middle of a sector, the rest of which is garbage. A flush that is cut did nothing.
// Makes no promise that SQLite could lean on (xDeviceCharacteristics is 0). For one connection.
class PowerCutDisk {
 public:
  explicit PowerCutDisk(std::uint64_t seed)
      : random_(seed), name_("power-cut-" + std::to_string(next_number())) {
    vfs_.iVersion = 1;
    vfs_.szOsFile = sizeof(Handle);
    vfs_.mxPathname = 512;
    vfs_.zName = name_.c_str();
    vfs_.pAppData = this;
    vfs_.xOpen = open;
    vfs_.xDelete = remove;
    vfs_.xAccess = access;
    vfs_.xFullPathname = full_pathname;
    vfs_.xRandomness = randomness;
    vfs_.xSleep = [](sqlite3_vfs*, int) { return 0; };
    vfs_.xCurrentTime = [](sqlite3_vfs*, double* now) {
      *now = 2460000.5;
      return SQLITE_OK;
    };
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~PowerCutDisk() { sqlite3_vfs_unregister(&vfs_); }
  PowerCutDisk(const PowerCutDisk&) = delete;
  PowerCutDisk& operator=(const PowerCutDisk&) = delete;

  const std::string& name() const { return name_; }

  // The power goes at the `operations`-th write, truncation or flush from now.
  void cut_power_after(std::uint64_t operations) { operations_left_ = operations; }
  bool powered() const { return powered_; }
  // After the cut, with all connections closed: what a machine finds when it starts again.
  void restore_power() {
    for (auto& [path, file] : files_) settle(*file);
    operations_left_.reset();
    powered_ = true;
  }
  // The next flush fails once, and the power stays on: a disk error.
  void fail_next_flush() { fail_next_flush_ = true; }
  // As long as it is full, no write finds room.
  void fill_up(bool full) { full_ = full; }

  // The last page of the file in which `text` stands cannot be read any more: a bad sector.
  // Precondition: it stands there.
  void make_unreadable(const std::string& path, const std::string& text) {
    File& file = *files_.at(path);
    const auto found =
        std::find_end(file.current.begin(), file.current.end(), text.begin(), text.end());
    file.unreadable = static_cast<std::size_t>(found - file.current.begin()) / kPage * kPage;
  }

  std::uint64_t flushes() const { return flushes_; }

 private:
  static constexpr std::size_t kSector = 512, kPage = 4096;
  using Content = std::vector<unsigned char>;

  struct Change {  // a write, or a truncation
    std::size_t offset = 0;
    Content bytes;
    bool truncation = false;
  };
  struct File {
    Content current, durable;
    std::vector<Change> unflushed;
    std::optional<std::size_t> unreadable;                // the page that begins there
    std::vector<std::unique_ptr<Content>> shared_memory;  // of the WAL index: lost with the power
  };
  struct Handle : sqlite3_file {
    PowerCutDisk* disk;
    File* file;
    std::unique_ptr<File>* own;  // of a file without a name
  };

  static int next_number() {
    static int number = 0;
    return ++number;
  }
  static Handle& handle(sqlite3_file* file) { return *static_cast<Handle*>(file); }
  static PowerCutDisk& disk(sqlite3_vfs* vfs) { return *static_cast<PowerCutDisk*>(vfs->pAppData); }

  static void apply(Content& content, const Change& change) {
    if (change.truncation) {
      content.resize(std::min(content.size(), change.offset));
      return;
    }
    content.resize(std::max(content.size(), change.offset + change.bytes.size()));
    std::copy(change.bytes.begin(), change.bytes.end(),
              content.begin() + static_cast<std::ptrdiff_t>(change.offset));
  }

  void settle(File& file) {
    for (Change& change : file.unflushed) {
      const auto fate = random_.below(3);
      if (fate == 0) continue;  // never reached the platter
      if (fate == 1 && !change.truncation && !change.bytes.empty()) tear(change);
      apply(file.durable, change);
    }
    file.unflushed.clear();
    file.shared_memory.clear();
    file.current = file.durable;
  }
  // Some of it, then garbage up to the end of that sector.
  void tear(Change& change) {
    const std::size_t good = random_.below(change.bytes.size());
    const std::size_t sector_end = ((change.offset + good) / kSector + 1) * kSector;
    change.bytes.resize(std::min(change.bytes.size(), sector_end - change.offset));
    for (std::size_t i = good; i < change.bytes.size(); ++i) {
      change.bytes[i] = static_cast<unsigned char>(random_.next());
    }
  }

  // Counts towards the cut. false: the power is off.
  bool spend() {
    if (powered_ && operations_left_ && (*operations_left_)-- <= 1) powered_ = false;
    return powered_;
  }
  // The write under way when the power goes counts as unflushed: it may be there, torn, or not.
  int change(File& file, Change change) {
    const bool was_powered = powered_;
    const bool good = spend();
    if (was_powered) {
      apply(file.current, change);
      file.unflushed.push_back(std::move(change));
    }
    return good ? SQLITE_OK : SQLITE_IOERR_WRITE;
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags,
                  int* out_flags) {
    PowerCutDisk& d = disk(vfs);
    Handle& h = handle(out);
    h.pMethods = nullptr;
    h.disk = &d;
    h.own = nullptr;
    if (path == nullptr) {
      h.own = new std::unique_ptr<File>(new File);
      h.file = h.own->get();
    } else {
      auto& slot = d.files_[path];
      if (slot == nullptr && (flags & SQLITE_OPEN_CREATE) == 0) {
        d.files_.erase(path);
        return SQLITE_CANTOPEN;
      }
      if (slot == nullptr) slot = std::make_unique<File>();
      h.file = slot.get();
    }
    if (out_flags != nullptr) *out_flags = flags;
    h.pMethods = &methods();
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int) {
    PowerCutDisk& d = disk(vfs);
    if (!d.powered_) return SQLITE_IOERR_DELETE;
    return d.files_.erase(path) != 0 ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
  }
  static int access(sqlite3_vfs* vfs, const char* path, int, int* out) {
    *out = disk(vfs).files_.count(path) != 0 ? 1 : 0;
    return SQLITE_OK;
  }
  static int full_pathname(sqlite3_vfs*, const char* path, int size, char* out) {
    sqlite3_snprintf(size, out, "%s", path);
    return SQLITE_OK;
  }
  static int randomness(sqlite3_vfs* vfs, int size, char* out) {
    for (int i = 0; i < size; ++i) out[i] = static_cast<char>(disk(vfs).random_.next());
    return size;
  }

  static int close(sqlite3_file* file) {
    delete handle(file).own;
    return SQLITE_OK;
  }
  static int read(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
    const Handle& h = handle(file);
    if (!h.disk->powered_) return SQLITE_IOERR_READ;
    if (h.file->unreadable &&
        static_cast<std::size_t>(offset) / kPage * kPage == h.file->unreadable) {
      return SQLITE_IOERR_READ;
    }
    const Content& content = h.file->current;
    const auto from = std::min(static_cast<std::size_t>(offset), content.size());
    const auto count = std::min(static_cast<std::size_t>(size), content.size() - from);
    if (count != 0) std::memcpy(out, content.data() + from, count);
    std::memset(static_cast<char*>(out) + count, 0, static_cast<std::size_t>(size) - count);
    return count == static_cast<std::size_t>(size) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
    const auto* first = static_cast<const unsigned char*>(bytes);
    Handle& h = handle(file);
    if (h.disk->full_) return SQLITE_FULL;
    return h.disk->change(*h.file,
                          {static_cast<std::size_t>(offset), Content(first, first + size), false});
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    Handle& h = handle(file);
    return h.disk->change(*h.file, {static_cast<std::size_t>(size), {}, true});
  }
  static int sync(sqlite3_file* file, int) {
    Handle& h = handle(file);
    if (!h.disk->spend()) return SQLITE_IOERR_FSYNC;
    if (std::exchange(h.disk->fail_next_flush_, false)) return SQLITE_IOERR_FSYNC;
    ++h.disk->flushes_;
    h.file->durable = h.file->current;
    h.file->unflushed.clear();
    return SQLITE_OK;
  }
  static int file_size(sqlite3_file* file, sqlite3_int64* size) {
    *size = static_cast<sqlite3_int64>(handle(file).file->current.size());
    return SQLITE_OK;
  }
  static int shared_memory_map(sqlite3_file* file, int region, int size, int extend,
                               void volatile** out) {
    auto& regions = handle(file).file->shared_memory;
    const auto index = static_cast<std::size_t>(region);
    *out = nullptr;
    if (index >= regions.size() && extend == 0) return SQLITE_OK;
    while (index >= regions.size()) {
      regions.push_back(std::make_unique<Content>(static_cast<std::size_t>(size)));
    }
    *out = regions[index]->data();
    return SQLITE_OK;
  }
  static int shared_memory_unmap(sqlite3_file* file, int) {
    handle(file).file->shared_memory.clear();
    return SQLITE_OK;
  }

  static const sqlite3_io_methods& methods() {
    static const sqlite3_io_methods methods = [] {
      sqlite3_io_methods m{};
      m.iVersion = 2;
      m.xClose = close;
      m.xRead = read;
      m.xWrite = write;
      m.xTruncate = truncate;
      m.xSync = sync;
      m.xFileSize = file_size;
      m.xLock = [](sqlite3_file*, int) { return SQLITE_OK; };
      m.xUnlock = [](sqlite3_file*, int) { return SQLITE_OK; };
      m.xCheckReservedLock = [](sqlite3_file*, int* out) {
        *out = 0;
        return SQLITE_OK;
      };
      m.xFileControl = [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; };
      m.xSectorSize = [](sqlite3_file*) { return static_cast<int>(kSector); };
      m.xDeviceCharacteristics = [](sqlite3_file*) { return 0; };
      m.xShmMap = shared_memory_map;
      m.xShmLock = [](sqlite3_file*, int, int, int) { return SQLITE_OK; };
      m.xShmBarrier = [](sqlite3_file*) {};
      m.xShmUnmap = shared_memory_unmap;
      return m;
    }();
    return methods;
  }

  Random random_;
  std::string name_;
  sqlite3_vfs vfs_{};
  std::map<std::string, std::unique_ptr<File>> files_;
  std::optional<std::uint64_t> operations_left_;
  bool powered_ = true;
  bool fail_next_flush_ = false;
  bool full_ = false;
  std::uint64_t flushes_ = 0;
};

}  // namespace siglane::hss
