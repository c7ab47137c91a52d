#include "tests/sim/history.h"

#include "fmt/format.h"

namespace banyan::sim {

void History::Violation(std::string text) {
  if (violations_.size() < 20)
    violations_.push_back(fmt::format("at {:.3f} s: {}", seconds_(), text));
}

void History::Event(std::string_view who, std::string_view what, std::string_view more) {
  log_.push_back(fmt::format("{:8.3f} {} {} {}", seconds_(), who, what, more));
}

void History::Started(const std::string& child, uint64_t fence, const std::string& node,
                      bool assignment_durable) {
  ++starts_;
  live_[{child, fence}] = node;
  log_.push_back(
      fmt::format("{:8.3f} {} starts on {} with fence {}", seconds_(), child, node, fence));
  if (!assignment_durable) {
    Violation(fmt::format("INV-7: {} started on {} with fence {}, which no durable assignment has",
                          child, node, fence));
  }
  uint64_t& newest = newest_started_[child];
  if (fence <= newest) {
    Violation(fmt::format("INV-6: {} started on {} with fence {}, after one with {}", child, node,
                          fence, newest));
  }
  newest = std::max(newest, fence);
}

void History::Dispatched(const std::string& child, uint64_t fence, const std::string& node) {
  ++dispatches_;
  uint64_t& newest = newest_dispatched_[child];
  if (fence < newest) {
    Violation(fmt::format("INV-5: {} of fence {} ran on {} after its successor of fence {} had",
                          child, fence, node, newest));
  }
  newest = std::max(newest, fence);
}

void History::Ended(const std::string& child, uint64_t fence) {
  live_.erase({child, fence});
  log_.push_back(fmt::format("{:8.3f} {} of fence {} ends", seconds_(), child, fence));
}

std::map<std::string, std::vector<std::pair<uint64_t, std::string>>> History::Live() const {
  std::map<std::string, std::vector<std::pair<uint64_t, std::string>>> out;
  for (const auto& [key, node] : live_) out[key.first].emplace_back(key.second, node);
  return out;
}

}  // namespace banyan::sim
