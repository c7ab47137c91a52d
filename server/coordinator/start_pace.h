#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <tuple>

#include "common/time/instant.h"

namespace banyan {

// How fast starts may go, as a share of what is configured: all of it until there is trouble. It
// halves when more than a fifth of a second's starts fail (or are refused by their nodes), and
// comes back by a tenth a second.
class StartPace {
 public:
  void Note(bool failed, Instant now) {
    Pass(now);
    ++starts_;
    if (failed) ++failures_;
  }
  double Factor(Instant now) {
    Pass(now);
    return factor_;
  }

 private:
  static constexpr uint32_t kTellingMax = 10;  // fewer starts in a second say nothing
  static constexpr double kLeast = 0.01;

  void Pass(Instant now) {
    const int64_t seconds = absl::ToInt64Seconds(now - second_);
    if (seconds <= 0) return;
    second_ = second_ + absl::Seconds(seconds);
    int64_t quiet = seconds;
    if (starts_ >= kTellingMax && failures_ * 5 > starts_) {
      factor_ = std::max(factor_ / 2, kLeast);
      --quiet;
    }
    starts_ = failures_ = 0;
    factor_ = std::min(1.0, factor_ + 0.1 * static_cast<double>(quiet));
  }

  double factor_ = 1;
  Instant second_;
  uint32_t starts_ = 0, failures_ = 0;
};

// The order of starts that wait: by priority, then in turn by supervisor, each in the order of its
// children. A supervisor with ten thousand children does not hold up one with three.
class StartOrder {
 public:
  // Negated priority, round, number.
  using Place = std::tuple<int64_t, uint64_t, uint64_t>;
  static constexpr Place kBeforeAll{std::numeric_limits<int64_t>::min(), 0, 0};

  // The next place for a child of that supervisor.
  Place Next(const std::string& supervisor, int32_t priority) {
    uint64_t& round = rounds_[supervisor];
    round = std::max(round + 1, served_);
    return {-int64_t{priority}, round, ++number_};
  }
  // Its turn has come.
  void Served(const Place& place) { served_ = std::max(served_, std::get<1>(place)); }
  // Nothing waits.
  void Clear() { rounds_.clear(); }

 private:
  std::map<std::string, uint64_t> rounds_;  // of its last child in the queue
  uint64_t served_ = 0;
  uint64_t number_ = 0;
};

}  // namespace banyan
