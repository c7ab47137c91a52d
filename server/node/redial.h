#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "common/time/clock.h"

namespace banyan {

// Which coordinator is dialled next, and when: all addresses in turn, then a pause that doubles,
// with full jitter, so that a fleet does not come back in step.
class Redial {
 public:
  Redial(absl::Duration min, absl::Duration max, Random* random)
      : min_(min), max_(max), random_(random) {}

  // Keeps the present one in front if it is still there.
  void SetAddresses(std::vector<std::string> addresses);
  // A better one is known: the next dial goes there, without a pause.
  void Prefer(const std::string& address);
  const std::vector<std::string>& addresses() const { return addresses_; }
  bool empty() const { return addresses_.empty(); }
  const std::string& current() const { return addresses_[next_]; }

  // After a failure: turns to the next address; how long to wait before dialling it.
  absl::Duration Failed();
  void Succeeded() {
    pause_ = absl::ZeroDuration();
    in_row_ = 0;
  }

 private:
  const absl::Duration min_;
  const absl::Duration max_;
  Random* const random_;
  std::vector<std::string> addresses_;
  size_t next_ = 0;
  size_t in_row_ = 0;
  bool preferred_ = false;
  absl::Duration pause_ = absl::ZeroDuration();
};

}  // namespace banyan
