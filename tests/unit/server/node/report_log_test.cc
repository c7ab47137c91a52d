#include "server/node/report_log.h"

#include <gtest/gtest.h>

namespace banyan {
namespace {

TEST(ReportLogTest, ReportsStayUntilAcked) {
  ReportLog log(10);
  EXPECT_EQ(log.Add({}).seq(), 1u);
  EXPECT_EQ(log.Add({}).seq(), 2u);
  EXPECT_EQ(log.Add({}).seq(), 3u);
  log.Ack(2);
  ASSERT_EQ(log.unacked().size(), 1u);
  EXPECT_EQ(log.unacked().front().seq(), 3u);
  log.Clear();
  EXPECT_EQ(log.Add({}).seq(), 1u);
}

TEST(ReportLogTest, AnOverflowAsksForAResyncOnce) {
  ReportLog log(2);
  log.Add({});
  log.Add({});
  EXPECT_FALSE(log.TakeOverflow());
  log.Add({});
  EXPECT_TRUE(log.TakeOverflow());
  EXPECT_FALSE(log.TakeOverflow());
  EXPECT_EQ(log.unacked().size(), 2u);
}

}  // namespace
}  // namespace banyan
