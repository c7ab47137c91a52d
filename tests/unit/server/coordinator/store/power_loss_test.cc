// F-15 and 7.3: what a SqliteStore has acknowledged is there after a loss of power, on a disk that
// keeps what was synced and any part of the rest.
#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"

#include "server/coordinator/store/sqlite_store.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/server/coordinator/store/lossy_vfs.h"

namespace banyan {
namespace {

constexpr int kKeysOfOne = 3;

std::string KeyOf(int txn, int k) { return fmt::format("t{:06}/{}", txn, k); }

// One process that writes until the power goes, and what becomes of what it has written.
class Writer {
 public:
  Writer(LossyDisk* disk, const std::string& path, uint64_t seed)
      : disk_(disk), path_(path), random_(seed) {}

  // Numbers follow those of the processes before. "" or what is wrong with the store that it found.
  std::string Run(int count, size_t bytes_max) {
    absl::StatusOr<std::unique_ptr<SqliteStore>> store = SqliteStore::Open({.path = path_});
    if (!store.ok()) return std::string(store.status().message());
    if (std::string wrong = Compare(store->get()); !wrong.empty()) return wrong;
    for (int i = 0; i < count; ++i) {
      Txn txn;
      const int number = next_++;
      const std::string value(1 + random_.Below(bytes_max), static_cast<char>('a' + number % 26));
      for (int k = 0; k < kKeysOfOne; ++k) txn.Put(KeyOf(number, k), value);
      // Rewritten each time: its page is in the log many times.
      txn.Put("newest", fmt::format("{}", number));
      // What it is told when the power has gone, it is not told.
      (*store)->Commit(std::move(txn), [this, number](absl::StatusOr<uint64_t> r) {
        if (r.ok() && !disk_->lost()) acked_ = number;
      });
      if (random_.Below(4) == 0) Wait(store->get());
    }
    Wait(store->get());
    return "";
  }
  int acked() const { return acked_; }

  // What was acknowledged is there; what is there is whole, and so is all that came before it.
  std::string Compare(SqliteStore* store) {
    const auto found = store->Load("t");
    if (!found.ok()) return std::string(found.status().message());
    std::map<int, std::vector<std::string>> txns;
    for (const KeyValue& kv : *found) txns[std::stoi(kv.key.substr(1))].push_back(kv.value);
    int last = -1;
    for (const auto& [number, values] : txns) {
      if (number != last + 1) return fmt::format("{} is there, and {} is not", number, last + 1);
      last = number;
      if (values.size() != kKeysOfOne ||
          std::any_of(values.begin(), values.end(), [&](const auto& v) { return v != values[0]; }))
        return fmt::format("{} is there in part", number);
    }
    if (last < acked_) return fmt::format("{} was acknowledged; {} is the last", acked_, last);
    const auto newest = store->Load("newest");
    if (last >= 0 &&
        (!newest.ok() || newest->empty() || newest->front().value != std::to_string(last)))
      return fmt::format("{} is the last, and says otherwise", last);
    if (store->revision() < static_cast<uint64_t>(last + 1))
      return fmt::format("revision {} with {} transactions", store->revision(), last + 1);
    next_ = last + 1;
    acked_ = last;  // whoever reads it now relies on it
    return "";
  }

 private:
  static void Wait(SqliteStore* store) {
    std::promise<void> done;
    store->Commit({}, [&](absl::StatusOr<uint64_t>) { done.set_value(); });
    done.get_future().wait();
  }

  LossyDisk* const disk_;
  const std::string path_;
  SeededRandom random_;
  std::atomic<int> acked_{-1};
  int next_ = 0;
};

// Several losses of one store, each at any change. Returns the first thing that is wrong.
std::string LosePower(uint64_t seed, bool lies, uint64_t* losses) {
  TempDir dir;
  LossyDisk disk(seed);
  if (lies) disk.LieAboutSyncs();
  SeededRandom random(seed * 31 + 7);
  Writer writer(&disk, dir.File("banyan.db"), seed);
  // Some write little and often; some so much that the log is moved into the file.
  const bool much = seed % 4 == 0;
  const int count = much ? 60 : 30;
  const size_t bytes = much ? 60'000 : 3000;
  for (int life = 0; life < 3; ++life) {
    disk.LosePowerAfter(1 + random.Below(much ? 2500 : 300));
    if (std::string wrong = writer.Run(count, bytes); !wrong.empty()) return wrong;
    // It wrote less than that: it goes on.
    while (!disk.lost()) {
      if (std::string wrong = writer.Run(5, bytes); !wrong.empty()) return wrong;
    }
    disk.Restart();
    ++*losses;
  }
  return writer.Run(1, bytes);
}

TEST(PowerLoss, F15WhatWasAcknowledgedIsThere) {
  uint64_t losses = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed)
    ASSERT_EQ(LosePower(seed, false, &losses), "") << "seed " << seed;
  EXPECT_EQ(losses, 120u);
}

// A disk that lies about syncs must be seen to lose something, or the test above shows nothing.
TEST(PowerLoss, ADiskThatLiesIsFoundOut) {
  uint64_t losses = 0, broken = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) broken += !LosePower(seed, true, &losses).empty();
  EXPECT_GT(broken, 10u);
}

}  // namespace
}  // namespace banyan
