#include "server/core/drift_guard.h"

namespace banyan {
namespace {
constexpr int kParts = 20;
}

void DriftGuard::OnHeartbeat(uint64_t sent_ns, Instant now) {
  const Sample sample{static_cast<int64_t>(sent_ns), now};
  if (sample.sent_ns <= last_ns_) {  // another boot: its clock begins anew
    samples_.clear();
    drift_.reset();
  }
  last_ns_ = sample.sent_ns;
  if (samples_.empty() || now - part_began_ >= window_ / kParts) {
    samples_.push_back(sample);
    part_began_ = now;
    while (now - samples_.front().came > window_) samples_.pop_front();
    return Fit();
  }
  if (sample.lag() < samples_.back().lag()) samples_.back() = sample;
}

void DriftGuard::Fit() {
  const Sample& first = samples_.front();
  if (samples_.back().came - first.came < window_ / 2) return;
  // Least squares of the node's time over ours, without the part that has only begun.
  double n = 0, sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
  for (size_t i = 0; i + 1 < samples_.size(); ++i) {
    const double x = absl::ToDoubleSeconds(samples_[i].came - first.came);
    const double y = static_cast<double>(samples_[i].sent_ns - first.sent_ns) / 1e9;
    n += 1;
    sum_x += x;
    sum_y += y;
    sum_xx += x * x;
    sum_xy += x * y;
  }
  const double spread = n * sum_xx - sum_x * sum_x;
  if (spread <= 0) return;
  drift_ = (n * sum_xy - sum_x * sum_y) / spread - 1;
}

}  // namespace banyan
