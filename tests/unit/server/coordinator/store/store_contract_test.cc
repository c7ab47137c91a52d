// What every store must do, run on each of them.
#include <future>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "server/coordinator/store/memory_store.h"
#include "server/coordinator/store/sqlite_store.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/server/coordinator/store/manual_executor.h"

namespace banyan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Bench {  // makes a store of one kind, and again after a restart
 public:
  virtual ~Bench() = default;
  virtual std::unique_ptr<Store> Open() = 0;
  virtual void Settle() {}  // lets queued work run
};

class MemoryBench : public Bench {
 public:
  std::unique_ptr<Store> Open() override {
    return std::make_unique<MemoryStore>(disk_, MemoryStore::Deps{.executor = &executor_});
  }
  void Settle() override { executor_.RunAll(); }

 private:
  ManualExecutor executor_;
  std::shared_ptr<MemoryDisk> disk_ =
      std::make_shared<MemoryDisk>(MemoryDisk{std::string(16, 'm')});
};

class SqliteBench : public Bench {
 public:
  std::unique_ptr<Store> Open() override {
    auto store = SqliteStore::Open({.path = dir_.File("banyan.db")});
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

 private:
  TempDir dir_;
};

template <typename B>
class StoreContract : public ::testing::Test {
 protected:
  StoreContract() : store_(bench_.Open()) {}

  absl::StatusOr<uint64_t> Commit(Txn txn) {
    auto done = std::make_shared<std::promise<absl::StatusOr<uint64_t>>>();
    store_->Commit(std::move(txn), [done](absl::StatusOr<uint64_t> r) { done->set_value(r); });
    bench_.Settle();
    return done->get_future().get();
  }
  std::vector<KeyValue> Load(std::string_view prefix) {
    auto loaded = store_->Load(prefix);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return *std::move(loaded);
  }
  void Restart() {
    store_.reset();
    store_ = bench_.Open();
  }

  B bench_;
  std::unique_ptr<Store> store_;
};

using Benches = ::testing::Types<MemoryBench, SqliteBench>;
TYPED_TEST_SUITE(StoreContract, Benches);

TYPED_TEST(StoreContract, NewStoreIsEmpty) {
  EXPECT_EQ(this->store_->revision(), 0u);
  EXPECT_EQ(this->store_->store_id().size(), 16u);
  EXPECT_THAT(this->Load(""), IsEmpty());
}

TYPED_TEST(StoreContract, RevisionRisesByOne) {
  EXPECT_EQ(*this->Commit(Txn().Put("a", "1")), 1u);
  EXPECT_EQ(*this->Commit(Txn().Put("b", "2")), 2u);
  EXPECT_EQ(*this->Commit(Txn()), 3u);
  EXPECT_EQ(this->store_->revision(), 3u);
}

TYPED_TEST(StoreContract, LoadsByPrefixInByteOrder) {
  ASSERT_TRUE(this->Commit(Txn()
                               .Put("node/b", "2")
                               .Put("node/a", "1")
                               .Put("node0", "x")
                               .Put("node", "y")
                               .Put("node/\xC3\xA4", "3")
                               .Put("epoch", "7"))
                  .ok());
  EXPECT_THAT(this->Load("node/"), ElementsAre(KeyValue{"node/a", "1"}, KeyValue{"node/b", "2"},
                                               KeyValue{"node/\xC3\xA4", "3"}));
  EXPECT_THAT(this->Load("epoch"), ElementsAre(KeyValue{"epoch", "7"}));
  EXPECT_EQ(this->Load("").size(), 6u);
  EXPECT_THAT(this->Load("zzz"), IsEmpty());
}

TYPED_TEST(StoreContract, KeepsAnyBytes) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  const std::string big(1 << 20, 'x');
  ASSERT_TRUE(this->Commit(Txn().Put("v", bytes).Put("empty", "").Put("big", big)).ok());
  ASSERT_TRUE(this->Commit(Txn().Put(std::string("k\0x", 3), "nul").Put("\xff\xfe", "high")).ok());
  EXPECT_THAT(this->Load("v"), ElementsAre(KeyValue{"v", bytes}));
  EXPECT_THAT(this->Load("empty"), ElementsAre(KeyValue{"empty", ""}));
  EXPECT_THAT(this->Load("big"), ElementsAre(KeyValue{"big", big}));
  EXPECT_THAT(this->Load(std::string("k\0", 2)),
              ElementsAre(KeyValue{std::string("k\0x", 3), "nul"}));
  EXPECT_THAT(this->Load("\xff"), ElementsAre(KeyValue{"\xff\xfe", "high"}));
}

TYPED_TEST(StoreContract, DeletesComeBeforePuts) {
  ASSERT_TRUE(this->Commit(Txn().Put("a", "1").Put("b", "1")).ok());
  ASSERT_TRUE(this->Commit(Txn().Put("a", "2").Delete("a").Delete("b").Delete("absent")).ok());
  EXPECT_THAT(this->Load(""), ElementsAre(KeyValue{"a", "2"}));
}

TYPED_TEST(StoreContract, LaterPutOfAKeyWins) {
  ASSERT_TRUE(this->Commit(Txn().Put("a", "1").Put("a", "2")).ok());
  EXPECT_THAT(this->Load(""), ElementsAre(KeyValue{"a", "2"}));
}

TYPED_TEST(StoreContract, DoneIsCalledInCommitOrder) {
  std::vector<uint64_t> order;
  std::promise<void> last;
  for (int i = 0; i < 1000; ++i) {
    this->store_->Commit(Txn().Put("k" + std::to_string(i % 7), std::to_string(i)),
                         [&, i](absl::StatusOr<uint64_t> revision) {
                           order.push_back(*revision);
                           if (i == 999) last.set_value();
                         });
  }
  this->bench_.Settle();
  last.get_future().wait();
  ASSERT_EQ(order.size(), 1000u);
  for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], i + 1);
  EXPECT_THAT(this->Load("k5"), ElementsAre(KeyValue{"k5", "999"}));
}

TYPED_TEST(StoreContract, DoneMayCommitAgain) {
  std::promise<uint64_t> second;
  this->store_->Commit(Txn().Put("a", "1"), [&](absl::StatusOr<uint64_t>) {
    this->store_->Commit(Txn().Put("b", "1"),
                         [&](absl::StatusOr<uint64_t> r) { second.set_value(*r); });
  });
  this->bench_.Settle();
  EXPECT_EQ(second.get_future().get(), 2u);
}

TYPED_TEST(StoreContract, RestartKeepsDataRevisionAndId) {
  const std::string id = this->store_->store_id();
  ASSERT_TRUE(this->Commit(Txn().Put("epoch", "1")).ok());
  this->Restart();
  EXPECT_EQ(this->store_->store_id(), id);
  EXPECT_EQ(this->store_->revision(), 1u);
  EXPECT_THAT(this->Load(""), ElementsAre(KeyValue{"epoch", "1"}));
  EXPECT_EQ(*this->Commit(Txn().Put("epoch", "2")), 2u);
}

TYPED_TEST(StoreContract, BackupNeverOverwrites) {
  TempDir dir;
  ASSERT_TRUE(this->Commit(Txn().Put("a", "1")).ok());
  EXPECT_TRUE(this->store_->Backup(dir.File("copy")).ok());
  EXPECT_EQ(this->store_->Backup(dir.File("copy")).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(this->store_->Backup(dir.File("no/such/folder")).ok());
}

}  // namespace
}  // namespace banyan
