#include "server/core/drift_guard.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace banyan {
namespace {

constexpr int kParts = 20;
constexpr double kStep = 0.2;  // seconds; far more than a clock that may be used drifts in a part

}  // namespace

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
  const size_t n = samples_.size() - 1;  // without the part that has only begun
  // Over two parts each: between neighbours there may be a moment only.
  std::vector<double> rates;
  for (size_t i = 2; i < n; ++i) {
    const absl::Duration time = samples_[i].came - samples_[i - 2].came;
    rates.push_back(static_cast<double>(samples_[i - 2].lag() - samples_[i].lag()) /
                    static_cast<double>(absl::ToInt64Nanoseconds(time)));
  }
  if (rates.empty()) return;
  std::nth_element(rates.begin(), rates.begin() + rates.size() / 2, rates.end());
  const double usual = rates[rates.size() / 2];
  // Least squares of the node's time over ours, without the steps.
  double sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0, steps = 0;
  for (size_t i = 0; i < n; ++i) {
    const double x = absl::ToDoubleSeconds(samples_[i].came - first.came);
    const double gained = static_cast<double>(first.lag() - samples_[i].lag()) / 1e9;
    if (i > 0) {
      const double time = absl::ToDoubleSeconds(samples_[i].came - samples_[i - 1].came);
      const double more =
          static_cast<double>(samples_[i - 1].lag() - samples_[i].lag()) / 1e9 - usual * time;
      if (std::abs(more) > kStep) steps += more;
    }
    const double y = gained - steps;
    sum_x += x;
    sum_y += y;
    sum_xx += x * x;
    sum_xy += x * y;
  }
  const double count = static_cast<double>(n);
  const double spread = count * sum_xx - sum_x * sum_x;
  if (spread <= 0) return;
  drift_ = (count * sum_xy - sum_x * sum_y) / spread;
}

}  // namespace banyan
