#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "common/time/virtual_time.h"

namespace banyan::sim {

// One simulated OS process: a clock of its own rate and offset, timers and an executor on the one
// event loop. A crash drops all that was to run. A pause (SIGSTOP) holds it up while the clock goes
// on; when the whole machine pauses, the clock stands still too.
class SimHost : public Clock, public Timers, public Executor {
 public:
  SimHost(VirtualTime* time, double rate, absl::Duration offset)
      : time_(time),
        state_(std::make_shared<State>()),
        rate_(rate),
        local_(Instant::FromNanos(1) + offset),
        since_(time->Now()) {
    state_->host = this;
  }
  ~SimHost() override {
    Kill();
    state_->host = nullptr;
  }

  Instant Now() const override {
    return stopped_ ? local_ : local_ + (time_->Now() - since_) * rate_;
  }
  absl::Time WallNow() const override { return time_->WallNow() + wall_offset_; }
  Id ScheduleAt(Instant at, std::function<void()> fn) override {
    if (at.infinite()) return 0;
    const Id id = ++last_id_;
    at = std::max(at, Now());
    timers_.emplace(std::pair(at, id), std::move(fn));
    times_.emplace(id, at);
    Arm();
    return id;
  }
  bool Cancel(Id id) override {
    auto it = times_.find(id);
    if (it == times_.end()) return false;
    // Out of the tables first: what the function captured may call back when it is destroyed.
    auto timer = timers_.extract({it->second, id});
    times_.erase(it);
    return true;
  }
  void Post(std::function<void()> fn) override {
    auto run = [state = state_, fn = std::move(fn)]() mutable { Run(state, std::move(fn)); };
    if (!starved_) return time_->Post(std::move(run));
    busy_until_ = std::max(busy_until_, time_->Now());
    if (busy_until_ - time_->Now() < kBacklogMax) busy_until_ = busy_until_ + each_;
    time_->ScheduleAt(busy_until_, std::move(run));
  }
  // From now on each thing that it does takes so long, as on a machine that has too much to do.
  // Zero: no longer; what has piled up comes first.
  void Starve(absl::Duration each) {
    starved_ = true;
    each_ = each;
  }

  // From here on nothing runs.
  void Kill() {
    state_->dead = true;
    std::exchange(state_->held, {}).clear();  // they hold the state
  }
  bool dead() const { return state_->dead; }
  void Pause() { state_->paused = true; }
  void Resume() {
    state_->paused = false;
    std::deque<std::function<void()>> held = std::exchange(state_->held, {});
    for (auto& fn : held) Post(std::move(fn));
  }
  bool paused() const { return state_->paused; }

  // The machine as a whole: its clock stands still, too.
  void StopMachine() {
    Rebase();
    stopped_ = true;
    Pause();
  }
  void ContinueMachine() {
    since_ = time_->Now();
    stopped_ = steady_ = false;
    Resume();
    Rearm();
  }
  void SetRate(double rate) {
    Rebase();
    rate_ = rate;
    steady_ = false;
    if (!stopped_) Rearm();
  }
  double rate() const { return rate_; }
  // It has run at one rate all the time. Who stands still again and again may seem to drift.
  bool steady() const { return steady_; }
  // The wall clock is set; the monotonic one knows nothing of it.
  void JumpWall(absl::Duration by) { wall_offset_ += by; }

 private:
  struct State {
    SimHost* host = nullptr;
    bool dead = false, paused = false;
    std::deque<std::function<void()>> held;
  };
  static void Run(const std::shared_ptr<State>& state, std::function<void()> fn) {
    if (state->dead) return;
    if (state->paused) {
      state->held.push_back(std::move(fn));
    } else {
      fn();
    }
  }
  void Rebase() {
    local_ = Now();
    since_ = time_->Now();
  }
  void Rearm() {
    armed_ = Instant::Infinite();
    ++generation_;
    Arm();
  }
  // One event of the loop stands for the earliest timer; one that comes for nothing does no harm.
  void Arm() {
    if (timers_.empty() || stopped_ || timers_.begin()->first.first >= armed_) return;
    armed_ = timers_.begin()->first.first;
    const absl::Duration left = std::max((armed_ - Now()) / rate_, absl::ZeroDuration());
    time_->ScheduleAt(time_->Now() + left, [state = state_, generation = ++generation_] {
      auto fire = [state, generation] {
        if (state->host != nullptr) state->host->Fire(generation);
      };
      if (state->host != nullptr && state->host->starved_) return state->host->Post(fire);
      Run(state, fire);
    });
  }
  void Fire(uint64_t generation) {
    if (generation != generation_) return;
    armed_ = Instant::Infinite();
    // A nanosecond for what the division by the rate lost.
    const Instant now = Now() + absl::Nanoseconds(2);
    std::shared_ptr<State> state = state_;
    for (const Id last = last_id_; !timers_.empty();) {
      auto [at, id] = timers_.begin()->first;
      if (at > now || id > last) break;
      auto timer = timers_.extract(timers_.begin());
      times_.erase(id);
      timer.mapped()();
      if (state->dead || state->paused) break;
    }
    if (!state->dead && state->host != nullptr) Arm();
  }

  static constexpr absl::Duration kBacklogMax = absl::Seconds(4);

  VirtualTime* const time_;
  const std::shared_ptr<State> state_;
  bool starved_ = false;
  absl::Duration each_;
  Instant busy_until_;
  double rate_;
  Instant local_;  // at `since_`
  Instant since_;
  bool stopped_ = false, steady_ = true;
  absl::Duration wall_offset_;
  std::map<std::pair<Instant, Id>, std::function<void()>> timers_;
  std::map<Id, Instant> times_;
  Instant armed_ = Instant::Infinite();
  uint64_t generation_ = 0;
  Id last_id_ = 0;
};

}  // namespace banyan::sim
