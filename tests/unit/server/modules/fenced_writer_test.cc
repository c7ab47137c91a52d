#include "server/modules/fenced_writer.h"

#include <string>

#include "gtest/gtest.h"

#include "server/modules/sqlite_sql.h"
#include "tests/support/temp_dir.h"

namespace banyan {
namespace {

// One process's view of the database.
class Connection {
 public:
  explicit Connection(const std::string& file) {
    EXPECT_EQ(sqlite3_open(file.c_str(), &db_), SQLITE_OK);
  }
  ~Connection() { sqlite3_close(db_); }
  Connection(const Connection&) = delete;

  sqlite3* db() { return db_; }
  absl::Status Run(const std::string& sql) { return SqliteSql(db_).Execute(sql); }
  std::string Read(const std::string& sql) {
    std::string text;
    const auto take = [](void* to, int, char** values, char**) {
      *static_cast<std::string*>(to) += std::string(values[0] ? values[0] : "NULL") + " ";
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(db_, sql.c_str(), take, &text, nullptr), SQLITE_OK);
    return text;
  }

 private:
  sqlite3* db_ = nullptr;
};

class FencedWriterTest : public ::testing::Test {
 protected:
  FencedWriterTest() : file_(dir_.path() + "/data.db"), older_(file_), newer_(file_) {
    EXPECT_TRUE(older_.Run("CREATE TABLE balance (value INTEGER)").ok());
    EXPECT_TRUE(older_.Run("INSERT INTO balance VALUES (0)").ok());
  }
  static absl::Status Set(Connection& c, FencedWriter& writer, int value) {
    return writer.Write(
        [&] { return c.Run("UPDATE balance SET value = " + std::to_string(value)); });
  }
  std::string Balance() { return newer_.Read("SELECT value FROM balance"); }

  TempDir dir_;
  const std::string file_;
  Connection older_, newer_;
  SqliteSql older_sql_{older_.db()}, newer_sql_{newer_.db()};
};

TEST_F(FencedWriterTest, TheOlderLifesWriteIsRefusedOnceTheNewerHasWritten) {
  FencedWriter older(&older_sql_, "shop/ledger", 7);
  ASSERT_TRUE(older.Open().ok());
  ASSERT_TRUE(Set(older_, older, 1).ok());
  FencedWriter newer(&newer_sql_, "shop/ledger", 8);
  ASSERT_TRUE(newer.Open().ok());
  ASSERT_TRUE(Set(newer_, newer, 2).ok());
  const absl::Status refused = Set(older_, older, 3);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_TRUE(FencedWriter::IsFenced(refused));
  EXPECT_EQ(Balance(), "2 ");
  EXPECT_TRUE(Set(newer_, newer, 4).ok());
  EXPECT_EQ(Balance(), "4 ");
}

TEST_F(FencedWriterTest, OpeningAloneShutsTheOlderOut) {
  FencedWriter older(&older_sql_, "shop/ledger", 7);
  ASSERT_TRUE(older.Open().ok());
  ASSERT_TRUE(FencedWriter(&newer_sql_, "shop/ledger", 8).Open().ok());
  EXPECT_TRUE(FencedWriter::IsFenced(Set(older_, older, 3)));
  EXPECT_TRUE(FencedWriter::IsFenced(older.Open()));
  EXPECT_EQ(Balance(), "0 ");
}

TEST_F(FencedWriterTest, KeysAreFencedOneByOne) {
  FencedWriter ledger(&older_sql_, "shop/ledger", 7);
  ASSERT_TRUE(ledger.Open().ok());
  ASSERT_TRUE(FencedWriter(&newer_sql_, "shop/stock", 900).Open().ok());
  EXPECT_TRUE(Set(older_, ledger, 5).ok());
}

TEST_F(FencedWriterTest, AFailedWriteLeavesNothingBehind) {
  FencedWriter writer(&older_sql_, "shop/ledger", 7);
  ASSERT_TRUE(writer.Open().ok());
  const absl::Status failed = writer.Write([&] {
    EXPECT_TRUE(older_.Run("UPDATE balance SET value = 9").ok());
    return absl::InternalError("half way");
  });
  EXPECT_EQ(failed.message(), "half way");
  EXPECT_FALSE(FencedWriter::IsFenced(failed));
  EXPECT_EQ(Balance(), "0 ");
  EXPECT_TRUE(Set(older_, writer, 1).ok()) << "the transaction is over";
}

// The largest fence is a positive SQL BIGINT, and orders above all others.
TEST_F(FencedWriterTest, FencesOf63BitsKeepTheirOrder) {
  FencedWriter highest(&newer_sql_, "k", (uint64_t{1} << 63) - 1);
  ASSERT_TRUE(highest.Open().ok());
  EXPECT_TRUE(FencedWriter::IsFenced(FencedWriter(&older_sql_, "k", 1).Open()));
  EXPECT_TRUE(Set(newer_, highest, 1).ok());
}

}  // namespace
}  // namespace banyan
