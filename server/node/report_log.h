#pragma once

#include <cstdint>
#include <deque>

#include "banyan/internal/v1/membership.pb.h"

namespace banyan {

// Reports that the coordinator has not recorded yet, oldest first. A report is here or in the
// coordinator's store, never in neither, but for those dropped at the limit: the next resync shows
// what they would have said.
class ReportLog {
 public:
  explicit ReportLog(size_t max) : max_(max) {}

  // Numbers the report and keeps it.
  const internal::v1::Report& Add(internal::v1::Report report);
  void Ack(uint64_t up_to);
  // A new life counts from 1.
  void Clear();
  const std::deque<internal::v1::Report>& unacked() const { return unacked_; }
  // True once after reports were dropped: the coordinator must be told all anew.
  bool TakeOverflow() { return std::exchange(overflow_, false); }

 private:
  const size_t max_;
  uint64_t next_seq_ = 1;
  bool overflow_ = false;
  std::deque<internal::v1::Report> unacked_;
};

}  // namespace banyan
