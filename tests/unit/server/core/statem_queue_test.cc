#include "server/core/statem_queue.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace banyan {
namespace {

using testing::ElementsAre;

std::vector<std::string> Drain(StatemQueue<std::string>& queue) {
  std::vector<std::string> events;
  while (std::optional<std::string> e = queue.Pop()) events.push_back(*e);
  return events;
}

// Script, a letter each: p postpone the next word, i insert the next two, r retry, o pop one.
struct QueueCase {
  const char* name;
  std::vector<std::string> script;
  std::vector<std::string> popped;
};

class StatemQueueTable : public testing::TestWithParam<QueueCase> {};

TEST_P(StatemQueueTable, Order) {
  StatemQueue<std::string> queue;
  std::vector<std::string> popped;
  const auto& script = GetParam().script;
  for (size_t i = 0; i < script.size(); ++i) {
    if (script[i] == "p") {
      queue.Postpone(script[++i]);
    } else if (script[i] == "i") {
      std::vector<std::string> events = {script[i + 1], script[i + 2]};
      queue.Insert(events);
      EXPECT_TRUE(events.empty());
      i += 2;
    } else if (script[i] == "r") {
      queue.Retry();
      EXPECT_TRUE(queue.postponed().empty());
    } else {
      popped.push_back(queue.Pop().value_or("none"));
    }
  }
  for (std::string& e : Drain(queue)) popped.push_back(std::move(e));
  EXPECT_EQ(popped, GetParam().popped);
  EXPECT_TRUE(queue.empty());
}

INSTANTIATE_TEST_SUITE_P(
    , StatemQueueTable,
    testing::Values(
        QueueCase{"empty", {"o"}, {"none"}}, QueueCase{"postponed_wait", {"p", "1", "p", "2"}, {}},
        QueueCase{"retried_oldest_first", {"p", "1", "p", "2", "r"}, {"1", "2"}},
        QueueCase{"inserted_in_order", {"i", "1", "2"}, {"1", "2"}},
        QueueCase{"inserted_before_retried", {"p", "1", "r", "i", "2", "3"}, {"2", "3", "1"}},
        QueueCase{
            "inserted_before_inserted", {"i", "1", "2", "o", "i", "3", "4"}, {"1", "3", "4", "2"}},
        QueueCase{"retried_before_waiting", {"i", "1", "2", "p", "3", "r"}, {"3", "1", "2"}},
        QueueCase{"retried_again", {"p", "1", "p", "2", "r", "o", "p", "1", "r"}, {"1", "1", "2"}}),
    [](const auto& info) { return info.param.name; });

TEST(StatemQueue, MoveOnlyEventsAndManyOfThem) {
  StatemQueue<std::unique_ptr<int>> queue;
  for (int i = 0; i < 1000; ++i) queue.Postpone(std::make_unique<int>(i));
  EXPECT_EQ(queue.postponed().size(), 1000u);
  queue.Retry();
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(**queue.Pop(), i);
  EXPECT_FALSE(queue.Pop().has_value());
}

}  // namespace
}  // namespace banyan
