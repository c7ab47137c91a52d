#include "server/node/redial.h"

#include <algorithm>

namespace banyan {

void Redial::SetAddresses(std::vector<std::string> addresses) {
  if (addresses.empty()) return;
  const std::string current = addresses_.empty() ? "" : addresses_[next_];
  addresses_ = std::move(addresses);
  auto it = std::find(addresses_.begin(), addresses_.end(), current);
  next_ = it == addresses_.end() ? 0 : static_cast<size_t>(it - addresses_.begin());
}

void Redial::Prefer(const std::string& address) {
  if (address.empty()) return;
  auto it = std::find(addresses_.begin(), addresses_.end(), address);
  if (it == addresses_.end()) it = addresses_.insert(addresses_.end(), address);
  next_ = static_cast<size_t>(it - addresses_.begin());
  preferred_ = true;
}

absl::Duration Redial::Failed() {
  // A hint is followed at once, but two replicas that point at each other must not be a busy loop.
  if (std::exchange(preferred_, false) && in_row_ < 3) {
    ++in_row_;
    return absl::ZeroDuration();
  }
  next_ = (next_ + 1) % addresses_.size();
  pause_ = std::min(max_, std::max(min_, 2 * pause_));
  return pause_ * random_->Unit();
}

}  // namespace banyan
