#include "server/core/intensity.h"

#include <algorithm>

#include "common/base/mutant.h"

namespace banyan {
namespace {

int64_t WholeSeconds(absl::Duration period) {
  return std::max<int64_t>(1, absl::ToInt64Seconds(period));
}

}  // namespace

RestartWindow::RestartWindow(uint32_t intensity, absl::Duration period)
    : intensity_(intensity), period_seconds_(WholeSeconds(period)) {}

bool RestartWindow::Add(Instant now) {
  const int64_t seconds = now.seconds();
  // OTP's takewhile: what lies behind the first entry that is too old goes with it.
  const auto old = std::find_if(seconds_.begin(), seconds_.end(),
                                [&](int64_t r) { return r < seconds - period_seconds_; });
  seconds_.erase(old, seconds_.end());
  seconds_.push_front(seconds);
  ++added_;
  const bool allowed = seconds_.size() <= intensity_ || Mutant("intensity-not-kept");
  if (seconds_.size() > size_t{intensity_} + 1) seconds_.pop_back();
  return allowed;
}

void RestartWindow::SetLimits(uint32_t intensity, absl::Duration period) {
  intensity_ = intensity;
  period_seconds_ = WholeSeconds(period);
  while (seconds_.size() > size_t{intensity_} + 1) seconds_.pop_back();
}

std::vector<absl::Duration> RestartWindow::Ages(Instant now) const {
  std::vector<absl::Duration> ages;
  ages.reserve(seconds_.size());
  for (int64_t s : seconds_) ages.push_back(absl::Seconds(now.seconds() - s));
  return ages;
}

void RestartWindow::RestoreAges(const std::vector<absl::Duration>& ages, Instant now) {
  seconds_.clear();
  for (absl::Duration age : ages) {
    if (seconds_.size() > intensity_) break;
    seconds_.push_back(now.seconds() - std::max<int64_t>(0, absl::ToInt64Seconds(age)));
  }
}

}  // namespace banyan
