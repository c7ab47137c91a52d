#include "tests/unit/server/coordinator/store/lossy_vfs.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "common/base/check.h"

namespace banyan {
namespace {

constexpr uint64_t kSector = 512;

}  // namespace

// What SQLite keeps of an open file.
struct LossyFile {
  sqlite3_file base;
  LossyDisk* disk;
  std::shared_ptr<LossyDisk::File>* file;
};

struct LossyCalls {
  static LossyFile* Of(sqlite3_file* f) { return reinterpret_cast<LossyFile*>(f); }
  static LossyDisk* Of(sqlite3_vfs* v) { return static_cast<LossyDisk*>(v->pAppData); }

  static int Close(sqlite3_file* f) {
    delete std::exchange(Of(f)->file, nullptr);
    return SQLITE_OK;
  }
  static int Read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
    MutexLock lock(&Of(f)->disk->mu_);
    const std::string& bytes = (*Of(f)->file)->now;
    const size_t begin = std::min<size_t>(at, bytes.size());
    const size_t there = std::min<size_t>(n, bytes.size() - begin);
    std::memcpy(to, bytes.data() + begin, there);
    std::memset(static_cast<char*>(to) + there, 0, n - there);
    return there == static_cast<size_t>(n) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }
  static int Write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
    MutexLock lock(&Of(f)->disk->mu_);
    Of(f)->disk->Note(
        Of(f)->file->get(),
        {.at = static_cast<uint64_t>(at), .bytes = std::string(static_cast<const char*>(from), n)});
    return SQLITE_OK;
  }
  static int Truncate(sqlite3_file* f, sqlite3_int64 size) {
    MutexLock lock(&Of(f)->disk->mu_);
    Of(f)->disk->Note(Of(f)->file->get(),
                      {.length = true, .at = static_cast<uint64_t>(size), .bytes = ""});
    return SQLITE_OK;
  }
  static int Sync(sqlite3_file* f, int) {
    MutexLock lock(&Of(f)->disk->mu_);
    Of(f)->disk->Sync(Of(f)->file->get());
    return SQLITE_OK;
  }
  static int FileSize(sqlite3_file* f, sqlite3_int64* size) {
    MutexLock lock(&Of(f)->disk->mu_);
    *size = static_cast<sqlite3_int64>((*Of(f)->file)->now.size());
    return SQLITE_OK;
  }
  static int Lock(sqlite3_file*, int) { return SQLITE_OK; }
  static int IsReserved(sqlite3_file*, int* out) {
    *out = 0;
    return SQLITE_OK;
  }
  static int Control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
  static int SectorSize(sqlite3_file*) { return static_cast<int>(kSector); }
  static int Characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

  static int Open(sqlite3_vfs* v, const char* name, sqlite3_file* f, int flags, int* out) {
    static const sqlite3_io_methods kMethods = {
        .iVersion = 1,
        .xClose = Close,
        .xRead = Read,
        .xWrite = Write,
        .xTruncate = Truncate,
        .xSync = Sync,
        .xFileSize = FileSize,
        .xLock = Lock,
        .xUnlock = Lock,
        .xCheckReservedLock = IsReserved,
        .xFileControl = Control,
        .xSectorSize = SectorSize,
        .xDeviceCharacteristics = Characteristics,
    };
    LossyDisk* disk = Of(v);
    MutexLock lock(&disk->mu_);
    std::shared_ptr<LossyDisk::File> file;
    if (name == nullptr) {
      file = std::make_shared<LossyDisk::File>();  // a temporary one
    } else if (auto it = disk->files_.find(name); it != disk->files_.end()) {
      file = it->second;
    } else if ((flags & SQLITE_OPEN_CREATE) == 0) {
      return SQLITE_CANTOPEN;
    } else {
      file = disk->files_[name] = std::make_shared<LossyDisk::File>();
    }
    auto* opened = new (f) LossyFile{};
    opened->base.pMethods = &kMethods;
    opened->disk = disk;
    opened->file = new std::shared_ptr<LossyDisk::File>(std::move(file));
    if (out != nullptr) *out = flags;
    return SQLITE_OK;
  }
  static int Delete(sqlite3_vfs* v, const char* name, int) {
    MutexLock lock(&Of(v)->mu_);
    Of(v)->Step();
    return Of(v)->files_.erase(name) == 0 ? SQLITE_IOERR_DELETE_NOENT : SQLITE_OK;
  }
  static int Access(sqlite3_vfs* v, const char* name, int, int* out) {
    MutexLock lock(&Of(v)->mu_);
    *out = Of(v)->files_.contains(name) ? 1 : 0;
    return SQLITE_OK;
  }
};

LossyDisk::LossyDisk(uint64_t seed) : random_(seed) {
  const sqlite3_vfs* usual = sqlite3_vfs_find(nullptr);
  BANYAN_CHECK(usual != nullptr);
  // Time, randomness and path names are those of the machine.
  vfs_ = *usual;
  vfs_.iVersion = 1;
  vfs_.szOsFile = sizeof(LossyFile);
  vfs_.zName = "lossy";
  vfs_.pAppData = this;
  vfs_.pNext = nullptr;
  vfs_.xOpen = LossyCalls::Open;
  vfs_.xDelete = LossyCalls::Delete;
  vfs_.xAccess = LossyCalls::Access;
  BANYAN_CHECK(sqlite3_vfs_register(&vfs_, 1) == SQLITE_OK);
}

LossyDisk::~LossyDisk() { sqlite3_vfs_unregister(&vfs_); }

void LossyDisk::LosePowerAfter(uint64_t n) {
  MutexLock lock(&mu_);
  left_ = n;
}

bool LossyDisk::lost() {
  MutexLock lock(&mu_);
  return lost_;
}

uint64_t LossyDisk::changes() {
  MutexLock lock(&mu_);
  return changes_;
}

void LossyDisk::Apply(const Change& change, std::string* to) {
  if (change.length) return to->resize(change.at);
  to->resize(std::max<size_t>(to->size(), change.at + change.bytes.size()));
  to->replace(change.at, change.bytes.size(), change.bytes);
}

void LossyDisk::Note(File* file, Change change) {
  Apply(change, &file->now);
  file->since.push_back(std::move(change));
  Step();
}

// The power may go while it is under way: then it has not happened.
void LossyDisk::Sync(File* file) {
  Step();
  if (lies_) return;
  file->safe = file->now;
  file->since.clear();
  file->named = true;
}

void LossyDisk::Step() {
  ++changes_;
  if (left_ == 0 || --left_ > 0) return;
  lost_ = true;
  for (const auto& [name, file] : files_) {
    if (file->named || random_.Below(2) == 0) remains_[name] = Remains(*file);
  }
}

std::string LossyDisk::Remains(const File& file) {
  std::string bytes = file.safe;
  // Now and then nothing has got there, or all of it.
  const uint64_t part = random_.Below(4);
  for (const Change& change : file.since) {
    if (change.length) {
      if (part != 0 && random_.Below(2) == 0) Apply(change, &bytes);
      continue;
    }
    for (uint64_t at = change.at, end = at + change.bytes.size(); at < end;) {
      const uint64_t next = std::min(end, (at / kSector + 1) * kSector);
      std::string piece = change.bytes.substr(at - change.at, next - at);
      if (part == 1 || (part > 1 && random_.Below(3) != 0)) {
        if (part > 1 && random_.Below(20) == 0) piece.resize(random_.Below(piece.size() + 1));
        Apply({.at = at, .bytes = std::move(piece)}, &bytes);
      }
      at = next;
    }
  }
  return bytes;
}

void LossyDisk::Restart() {
  MutexLock lock(&mu_);
  BANYAN_CHECK(lost_);
  files_.clear();
  for (auto& [name, bytes] : std::exchange(remains_, {})) {
    auto file = std::make_shared<File>();
    file->now = file->safe = std::move(bytes);
    file->named = true;
    files_[name] = std::move(file);
  }
  lost_ = false;
  left_ = 0;
}

}  // namespace banyan
