#include "server/coordinator/store/memory_store.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/unit/server/coordinator/store/manual_executor.h"

namespace banyan {
namespace {

using ::testing::ElementsAre;

class FakeTime : public Clock, public Timers {
 public:
  Instant Now() const override { return now_; }
  absl::Time WallNow() const override { return absl::UnixEpoch(); }
  Id ScheduleAt(Instant at, std::function<void()> fn) override {
    timers_.emplace(at, std::move(fn));
    return timers_.size();
  }
  bool Cancel(Id) override { return false; }
  void Advance(absl::Duration by) {
    now_ = now_ + by;
    while (!timers_.empty() && timers_.begin()->first <= now_) {
      auto fn = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      fn();
    }
  }

 private:
  Instant now_;
  std::multimap<Instant, std::function<void()>> timers_;
};

class MemoryStoreFaults : public ::testing::Test {
 protected:
  MemoryStore Make(MemoryStore::Faults faults) {
    return MemoryStore(disk_, {&executor_, &time_, &time_}, std::move(faults));
  }
  Store::Done Note(std::string name) {
    return [this, name](absl::StatusOr<uint64_t> r) {
      trace_.push_back(name + (r.ok() ? " ok" : " failed"));
    };
  }
  ManualExecutor executor_;
  FakeTime time_;
  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  std::vector<std::string> trace_;
};

TEST_F(MemoryStoreFaults, NothingHappensInsideCommit) {
  MemoryStore store = Make({});
  store.Commit(Txn().Put("a", "1"), Note("a"));
  EXPECT_TRUE(trace_.empty());
  EXPECT_TRUE(disk_->data.empty());
  executor_.RunAll();
  EXPECT_THAT(trace_, ElementsAre("a ok"));
}

TEST_F(MemoryStoreFaults, SlowCommitHoldsUpThoseBehindIt) {
  MemoryStore store = Make({.delay = [](const Txn& txn) {
    return txn.puts[0].key == "slow" ? absl::Seconds(3) : absl::ZeroDuration();
  }});
  store.Commit(Txn().Put("slow", "1"), Note("slow"));
  store.Commit(Txn().Put("b", "1"), Note("b"));
  time_.Advance(absl::Seconds(2));
  executor_.RunAll();
  EXPECT_TRUE(trace_.empty());
  time_.Advance(absl::Seconds(1));
  executor_.RunAll();
  EXPECT_THAT(trace_, ElementsAre("slow ok", "b ok"));
}

TEST_F(MemoryStoreFaults, FailureFailsWhatIsQueuedButNotWhatComesAfter) {
  bool full = true;
  MemoryStore store = Make({.before_commit = [&](const Txn&) {
    return full ? absl::ResourceExhaustedError("full") : absl::OkStatus();
  }});
  store.Commit(Txn().Put("a", "1"), Note("a"));
  store.Commit(Txn().Put("b", "1"), [&](absl::StatusOr<uint64_t> r) {
    EXPECT_FALSE(r.ok());
    full = false;
    store.Commit(Txn().Put("c", "1"), Note("c"));
  });
  executor_.RunAll();
  EXPECT_THAT(trace_, ElementsAre("a failed", "c ok"));
  EXPECT_EQ(disk_->revision, 1u);
}

TEST_F(MemoryStoreFaults, WhatComesLaterOfAFailedAttemptFailsToo) {
  bool full = true;
  MemoryStore store = Make({.before_commit = [&](const Txn&) {
    return full ? absl::ResourceExhaustedError("full") : absl::OkStatus();
  }});
  const auto of = [](uint64_t attempt, const char* key) {
    Txn txn;
    txn.attempt = attempt;
    txn.Put(key, "1");
    return txn;
  };
  store.Commit(of(1, "a"), Note("a"));
  executor_.RunAll();
  full = false;
  store.Commit(of(1, "b"), Note("b"));
  store.Commit(of(2, "a"), Note("a again"));
  store.Commit(of(2, "b"), Note("b again"));
  executor_.RunAll();
  EXPECT_THAT(trace_, ElementsAre("a failed", "b failed", "a again ok", "b again ok"));
}

TEST_F(MemoryStoreFaults, CrashBeforeCommitLeavesNoTrace) {
  MemoryStore* self = nullptr;
  MemoryStore store = Make({.before_commit = [&](const Txn&) {
    self->Crash();
    return absl::OkStatus();
  }});
  self = &store;
  store.Commit(Txn().Put("a", "1"), Note("a"));
  executor_.RunAll();
  EXPECT_TRUE(trace_.empty());
  EXPECT_TRUE(disk_->data.empty());
}

TEST_F(MemoryStoreFaults, CrashAfterCommitKeepsItUnacknowledged) {
  MemoryStore* self = nullptr;
  MemoryStore store = Make({.after_commit = [&](const Txn&) { self->Crash(); }});
  self = &store;
  store.Commit(Txn().Put("a", "1"), Note("a"));
  store.Commit(Txn().Put("b", "1"), Note("b"));
  executor_.RunAll();
  EXPECT_TRUE(trace_.empty());
  MemoryStore again = Make({});
  EXPECT_THAT(*again.Load(""), ElementsAre(KeyValue{"a", "1"}));
}

TEST_F(MemoryStoreFaults, DestructionDropsWhatIsQueued) {
  {
    MemoryStore store = Make({});
    store.Commit(Txn().Put("a", "1"), Note("a"));
  }
  executor_.RunAll();
  EXPECT_TRUE(trace_.empty());
  EXPECT_EQ(disk_->revision, 0u);
}

}  // namespace
}  // namespace banyan
