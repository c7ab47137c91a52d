#include "common/time/virtual_time.h"

#include <algorithm>

namespace banyan {

Timers::Id VirtualTime::ScheduleAt(Instant at, std::function<void()> fn) {
  if (at.infinite()) return 0;
  const Instant when = std::max(at, now_);
  const Id id = ++last_id_;
  events_.emplace(std::pair(when, id), std::move(fn));
  times_.emplace(id, when);
  return id;
}

bool VirtualTime::Cancel(Id id) {
  auto it = times_.find(id);
  if (it == times_.end()) return false;
  // Out of the tables first: what the function captured may call back when it is destroyed.
  auto event = events_.extract(std::pair(it->second, id));
  times_.erase(it);
  return true;
}

bool VirtualTime::RunOne() {
  if (events_.empty()) return false;
  auto event = events_.extract(events_.begin());
  now_ = std::max(now_, event.key().first);
  times_.erase(event.key().second);
  event.mapped()();
  return true;
}

size_t VirtualTime::RunUntilIdle() {
  size_t count = 0;
  for (; NextEventAt() <= now_; ++count) RunOne();
  return count;
}

void VirtualTime::RunFor(absl::Duration d) {
  const Instant end = now_ + d;
  while (!events_.empty() && NextEventAt() <= end) RunOne();
  if (!end.infinite()) now_ = std::max(now_, end);
}

bool VirtualTime::RunUntil(const std::function<bool()>& pred, absl::Duration limit) {
  const Instant end = now_ + limit;
  while (!pred()) {
    if (events_.empty() || NextEventAt() > end) {
      if (!end.infinite()) now_ = std::max(now_, end);
      return pred();
    }
    RunOne();
  }
  return true;
}

}  // namespace banyan
