#include "server/core/statem_timeouts.h"

#include <algorithm>
#include <utility>

namespace banyan {

void StatemTimeouts::KeepLast(std::vector<TimeoutRequest>* requests) {
  // Compared with those behind only, so a request that goes is covered by one that stays.
  auto superseded = [end = requests->end()](auto it) {
    return std::any_of(it + 1, end, [&](const TimeoutRequest& r) { return r.id == it->id; });
  };
  auto to = requests->begin();
  for (auto from = requests->begin(); from != requests->end(); ++from) {
    if (superseded(from)) continue;
    if (to != from) *to = std::move(*from);
    ++to;
  }
  requests->erase(to, requests->end());
}

std::vector<StatemTimeouts::Entry>::iterator StatemTimeouts::Find(const TimeoutId& id) {
  return std::find_if(entries_.begin(), entries_.end(),
                      [&](const Entry& e) { return e.what.id == id; });
}

StatemTimeouts::Fired StatemTimeouts::Take(std::vector<Entry>::iterator it) {
  Fired fired = std::move(it->what);
  entries_.erase(it);
  return fired;
}

void StatemTimeouts::Cancel(const TimeoutId& id, StatemTimerService& timers) {
  auto it = Find(id);
  if (it == entries_.end()) return;
  if (it->timer != kZero) timers.Cancel(it->timer);
  entries_.erase(it);
}

void StatemTimeouts::Apply(TimeoutRequest request, StatemTimerService& timers) {
  using Op = TimeoutRequest::Op;
  if (request.op == Op::kUpdate) {
    auto running = Find(request.id);
    if (running != entries_.end()) {
      running->what.content = std::move(request.content);
      return;
    }
    request.op = Op::kStart;
    request.after = absl::ZeroDuration();
  }
  Cancel(request.id, timers);
  if (request.op == Op::kCancel) return;
  if (request.op == Op::kStart && request.after == absl::InfiniteDuration()) return;
  if (request.op == Op::kStartAt && request.at.infinite()) return;
  const bool zero = request.op == Op::kStart && request.after == absl::ZeroDuration();
  const Ref timer = zero ? kZero : timers.Start(request);
  entries_.push_back({{std::move(request.id), std::move(request.content)}, timer});
}

void StatemTimeouts::EventDone(bool state_changed, StatemTimerService& timers) {
  if (entries_.empty()) return;
  Cancel({TimeoutId::Kind::kEvent, {}}, timers);
  if (state_changed) Cancel({TimeoutId::Kind::kState, {}}, timers);
}

const StatemTimeouts::Fired* StatemTimeouts::Of(Ref timer) const {
  if (timer == kZero) return nullptr;
  for (const Entry& e : entries_) {
    if (e.timer == timer) return &e.what;
  }
  return nullptr;
}

std::optional<StatemTimeouts::Fired> StatemTimeouts::Fire(Ref timer) {
  const Fired* fired = Of(timer);
  if (!fired) return std::nullopt;
  return Take(Find(fired->id));
}

std::optional<StatemTimeouts::Fired> StatemTimeouts::PopZero() {
  auto it = std::find_if(entries_.begin(), entries_.end(),
                         [](const Entry& e) { return e.timer == kZero; });
  if (it == entries_.end()) return std::nullopt;
  return Take(it);
}

std::vector<StatemTimeouts::Fired> StatemTimeouts::List() const {
  std::vector<Fired> list;
  for (const Entry& e : entries_) list.push_back(e.what);
  return list;
}

}  // namespace banyan
