#include "server/coordinator/store/sqlite_store.h"

#include <fstream>
#include <future>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "tests/support/temp_dir.h"

namespace banyan {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<SqliteStore> Open(SqliteStore::Options options) {
  auto store = SqliteStore::Open(std::move(options));
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

absl::StatusOr<uint64_t> CommitAndWait(Store* store, Txn txn) {
  std::promise<absl::StatusOr<uint64_t>> done;
  store->Commit(std::move(txn), [&](absl::StatusOr<uint64_t> r) { done.set_value(std::move(r)); });
  return done.get_future().get();
}

void Sql(const std::string& path, const char* sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
}

class SqliteFile : public ::testing::Test {
 protected:
  TempDir dir_;
  const std::string path_ = dir_.File("banyan.db");
};

TEST_F(SqliteFile, SecondOpenFailsAndSaysWhoHasIt) {
  auto store = Open({.path = path_});
  const auto second = SqliteStore::Open({.path = path_});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use by"));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--state-dir"));
  store.reset();
  EXPECT_NE(Open({.path = path_}), nullptr);
}

TEST_F(SqliteFile, AnotherProcessIsKeptOut) {
  auto store = Open({.path = path_});
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    const std::string error(SqliteStore::Open({.path = path_}).status().message());
    (void)!write(ends[1], error.data(), error.size());
    _exit(0);
  }
  waitpid(pid, nullptr, 0);
  char text[2000];
  const ssize_t n = read(ends[0], text, sizeof(text));
  EXPECT_THAT(std::string(text, n), HasSubstr("in use by process " + std::to_string(getpid())));
}

TEST_F(SqliteFile, KilledProcessLosesNothingThatWasAcknowledged) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    auto store = SqliteStore::Open({.path = path_});
    for (int i = 0;; ++i) {
      auto done = [&, i](absl::StatusOr<uint64_t> r) {
        if (r.ok()) (void)!write(ends[1], &i, sizeof(i));
      };
      (*store)->Commit(Txn().Put("k" + std::to_string(i), "v"), done);
      if (i % 64 == 63) CommitAndWait(store->get(), Txn()).IgnoreError();
    }
  }
  close(ends[1]);
  int last = -1;
  for (int count = 0; count < 500; ++count) {
    ASSERT_EQ(read(ends[0], &last, sizeof(last)), static_cast<ssize_t>(sizeof(last)));
  }
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  int value;
  while (read(ends[0], &value, sizeof(value)) == sizeof(value)) last = value;
  auto store = Open({.path = path_});
  for (int i = 0; i <= last; ++i) {
    ASSERT_EQ(store->Load("k" + std::to_string(i))->empty(), false) << i << " of " << last;
  }
}

TEST_F(SqliteFile, FullDiskFailsTheCommitAndHealsItself) {
  auto store = Open({.path = path_, .file_bytes_max = 64 << 10});
  ASSERT_TRUE(CommitAndWait(store.get(), Txn().Put("a", std::string(20 << 10, 'x'))).ok());
  const auto full = CommitAndWait(store.get(), Txn().Put("b", std::string(80 << 10, 'x')));
  EXPECT_EQ(ErrorReason(full.status()), "STORE_FULL");
  EXPECT_EQ(full.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(store->revision(), 1u);
  EXPECT_TRUE(store->Load("b")->empty());
  EXPECT_EQ(*CommitAndWait(store.get(), Txn().Delete("a")), 2u);
  EXPECT_TRUE(CommitAndWait(store.get(), Txn().Put("c", std::string(20 << 10, 'x'))).ok());
}

TEST_F(SqliteFile, WhatComesLaterOfAFailedAttemptFailsToo) {
  auto store = Open({.path = path_, .file_bytes_max = 64 << 10});
  const auto commit = [&](uint64_t attempt, const char* key, size_t bytes) {
    Txn txn;
    txn.attempt = attempt;
    txn.Put(key, std::string(bytes, 'x'));
    return ErrorReason(CommitAndWait(store.get(), std::move(txn)).status());
  };
  EXPECT_EQ(commit(1, "a", 80 << 10), "STORE_FULL");
  EXPECT_EQ(commit(1, "b", 1), "STORE_FULL") << "it may build on what was not stored";
  EXPECT_EQ(commit(2, "a", 1), "");
  EXPECT_EQ(commit(2, "b", 1), "");
  EXPECT_EQ(store->revision(), 2u);
}

// A write error other than a full disk: the file-size limit of the process.
int RunIntoWriteError(const std::string& path) {
  signal(SIGXFSZ, SIG_IGN);
  auto store = SqliteStore::Open({.path = path, .fatal = [](const std::string&) { _exit(42); }});
  if (!store.ok()) return 1;
  const rlimit limit{128 << 10, 128 << 10};
  setrlimit(RLIMIT_FSIZE, &limit);
  CommitAndWait(store->get(), Txn().Put("a", std::string(1 << 20, 'x'))).IgnoreError();
  return 2;
}

TEST_F(SqliteFile, WriteErrorEndsTheProcess) {
  const pid_t pid = fork();
  if (pid == 0) _exit(RunIntoWriteError(path_));
  int status = 0;
  waitpid(pid, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

// A file system of this size, which only root can mount. False: not here.
bool MountSmall(const std::string& folder, const char* size) {
  return mount("tmpfs", folder.c_str(), "tmpfs", 0, size) == 0;
}

TEST_F(SqliteFile, F014AFullFileSystemFailsChangesOnlyAndHealsItself) {
  const std::string folder = dir_.File("small");
  ASSERT_EQ(mkdir(folder.c_str(), 0700), 0);
  if (!MountSmall(folder, "size=1m")) GTEST_SKIP() << "needs the right to mount";
  {
    auto store = Open({.path = folder + "/banyan.db"});
    ASSERT_TRUE(CommitAndWait(store.get(), Txn().Put("kept", "1")).ok());
    std::ofstream(folder + "/other").write(std::string(700 << 10, 'x').data(), 700 << 10);
    absl::Status status;
    int stored = 0;
    while (status.ok() && stored < 100) {
      Txn txn;
      txn.Put("k" + std::to_string(stored), std::string(20 << 10, 'x'));
      status = CommitAndWait(store.get(), std::move(txn)).status();
      if (status.ok()) ++stored;
    }
    EXPECT_EQ(ErrorReason(status), "STORE_FULL") << status;
    EXPECT_EQ(ErrorReason(
                  CommitAndWait(store.get(), Txn().Put("y", std::string(20 << 10, 'y'))).status()),
              "STORE_FULL");
    EXPECT_EQ(store->Load("k")->size(), static_cast<size_t>(stored) + 1) << "it can still be read";
    std::remove((folder + "/other").c_str());
    EXPECT_TRUE(CommitAndWait(store.get(), Txn().Put("y", std::string(20 << 10, 'y'))).ok());
    store.reset();
    store = Open({.path = folder + "/banyan.db"});
    EXPECT_EQ(store->Load("y")->size(), 1u);
    EXPECT_EQ(store->Load("k")->size(), static_cast<size_t>(stored) + 1);
  }
  umount(folder.c_str());
}

// SQLite's usual files, whose fsync fails once it is told so.
class FailingSync {
 public:
  // Becomes this process's default.
  static void Install() {
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;
    vfs_.zName = "failing-sync";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.xOpen = &Open;
    sqlite3_vfs_register(&vfs_, 1);
  }
  static inline const char* fails = nullptr;  // "log", "file", or null: none

 private:
  struct File {
    sqlite3_file base;
    bool log = false;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File* Of(sqlite3_file* f) { return reinterpret_cast<File*>(f); }
  static int Open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out) {
    new (f) File();
    const int rc = real_->xOpen(real_, name, Of(f)->real(), flags, out);
    Of(f)->log = (flags & SQLITE_OPEN_WAL) != 0;
    if (Of(f)->real()->pMethods != nullptr) f->pMethods = &kMethods;
    return rc;
  }
  static int Sync(sqlite3_file* f, int flags) {
    const std::string_view which = Of(f)->log ? "log" : "file";
    if (fails != nullptr && which == fails) return SQLITE_IOERR_FSYNC;
    return Of(f)->real()->pMethods->xSync(Of(f)->real(), flags);
  }
#define PASS(name, params, ...) \
  static int name params { return Of(f)->real()->pMethods->x##name(Of(f)->real() __VA_ARGS__); }
  PASS(Close, (sqlite3_file * f))
  PASS(Read, (sqlite3_file * f, void* p, int n, sqlite3_int64 at), , p, n, at)
  PASS(Write, (sqlite3_file * f, const void* p, int n, sqlite3_int64 at), , p, n, at)
  PASS(Truncate, (sqlite3_file * f, sqlite3_int64 n), , n)
  PASS(FileSize, (sqlite3_file * f, sqlite3_int64* n), , n)
  PASS(Lock, (sqlite3_file * f, int l), , l)
  PASS(Unlock, (sqlite3_file * f, int l), , l)
  PASS(CheckReservedLock, (sqlite3_file * f, int* l), , l)
  PASS(FileControl, (sqlite3_file * f, int op, void* p), , op, p)
  PASS(SectorSize, (sqlite3_file * f))
  PASS(DeviceCharacteristics, (sqlite3_file * f))
#undef PASS
  // Version 1: no shared memory, which an exclusive lock does not need.
  static constexpr sqlite3_io_methods kMethods = {1,
                                                  &Close,
                                                  &Read,
                                                  &Write,
                                                  &Truncate,
                                                  &Sync,
                                                  &FileSize,
                                                  &Lock,
                                                  &Unlock,
                                                  &CheckReservedLock,
                                                  &FileControl,
                                                  &SectorSize,
                                                  &DeviceCharacteristics};
  static inline sqlite3_vfs* real_ = nullptr;
  static inline sqlite3_vfs vfs_ = {};
};

// 42: the store ended the process; 2: it went on.
int RunIntoFailedSync(const std::string& path, const char* of) {
  FailingSync::Install();
  auto store = SqliteStore::Open({.path = path, .fatal = [](const std::string&) { _exit(42); }});
  if (!store.ok()) return 1;
  CommitAndWait(store->get(), Txn().Put("a", "1")).IgnoreError();
  FailingSync::fails = of;
  // Enough for a checkpoint.
  CommitAndWait(store->get(), Txn().Put("b", std::string(8 << 20, 'x'))).IgnoreError();
  return 2;
}

TEST_F(SqliteFile, F015AFailedFsyncEndsTheProcessAndLosesNothingAcknowledged) {
  struct Case {
    const char* of;
    int exit;
  };
  for (const Case& c : {Case{"log", 42}, Case{"file", 42}, Case{nullptr, 2}}) {
    const std::string path = dir_.File(c.of == nullptr ? "none.db" : std::string(c.of) + ".db");
    const pid_t pid = fork();
    if (pid == 0) _exit(RunIntoFailedSync(path, c.of));
    int status = 0;
    waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), c.exit) << (c.of == nullptr ? "none" : c.of);
    EXPECT_EQ(Open({.path = path})->Load("a")->size(), 1u);
  }
}

TEST_F(SqliteFile, DamageIsFoundAtOpen) {
  std::ofstream(path_) << std::string(8192, 'z');
  const auto store = SqliteStore::Open({.path = path_});
  EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("restore"));
}

TEST_F(SqliteFile, NewerSchemaIsRefused) {
  Open({.path = path_}).reset();
  Sql(path_, "UPDATE meta SET value='99' WHERE name='schema_version'");
  const auto store = SqliteStore::Open({.path = path_});
  EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("schema version is 99"));
}

TEST_F(SqliteFile, MissingFolderIsAnError) {
  EXPECT_FALSE(SqliteStore::Open({.path = "/no/such/folder/banyan.db"}).ok());
}

TEST_F(SqliteFile, BackupIsAWholeStoreWhileCommitsGoOn) {
  auto store = Open({.path = path_});
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(
        CommitAndWait(store.get(), Txn().Put("fill" + std::to_string(i), std::string(100'000, 'x')))
            .ok());
  }
  std::atomic<bool> stop = false;
  // The two keys always change together.
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      const std::string v = std::to_string(i);
      CommitAndWait(store.get(), Txn().Put("a", v).Put("z", v)).IgnoreError();
    }
  });
  EXPECT_TRUE(store->Backup(dir_.File("copy.db")).ok());
  stop = true;
  writer.join();
  auto copy = Open({.path = dir_.File("copy.db")});
  EXPECT_EQ(copy->store_id(), store->store_id());
  EXPECT_GE(copy->revision(), 50u);
  EXPECT_EQ(copy->Load("fill")->size(), 50u);
  const auto a = *copy->Load("a");
  const auto z = *copy->Load("z");
  ASSERT_EQ(a.size(), z.size());
  if (!a.empty()) EXPECT_EQ(a[0].value, z[0].value);
  copy.reset();
  auto renewed = Open({.path = dir_.File("copy.db"), .renew_store_id = true});
  EXPECT_NE(renewed->store_id(), store->store_id());
}

TEST_F(SqliteFile, ClosingWritesWhatIsQueued) {
  std::atomic<int> done = 0;
  auto store = Open({.path = path_});
  for (int i = 0; i < 600; ++i) {
    store->Commit(Txn().Put("k" + std::to_string(i), "v"), [&](absl::StatusOr<uint64_t> r) {
      if (r.ok()) ++done;
    });
  }
  store.reset();
  EXPECT_EQ(done, 600);
  EXPECT_EQ(Open({.path = path_})->Load("k")->size(), 600u);
}

}  // namespace
}  // namespace banyan
