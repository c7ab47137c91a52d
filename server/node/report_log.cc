#include "server/node/report_log.h"

namespace banyan {

const internal::v1::Report& ReportLog::Add(internal::v1::Report report) {
  report.set_seq(next_seq_++);
  unacked_.push_back(std::move(report));
  if (unacked_.size() > max_) {
    unacked_.pop_front();
    overflow_ = true;
  }
  return unacked_.back();
}

void ReportLog::Ack(uint64_t up_to) {
  while (!unacked_.empty() && unacked_.front().seq() <= up_to) unacked_.pop_front();
}

void ReportLog::Clear() {
  unacked_.clear();
  next_seq_ = 1;
  overflow_ = false;
}

}  // namespace banyan
