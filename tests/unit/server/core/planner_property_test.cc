// Random events against random drivers; what must hold whatever happens.
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "planner_fixture.h"

namespace banyan {
namespace {

constexpr RestartType kTypes[] = {RestartType::kPermanent, RestartType::kTransient,
                                  RestartType::kTemporary};

// A slow driver: it keeps what is in flight and answers in random order. It knows which children
// really have a process, and fails the test when the planner asks for something impossible.
class RandomRun {
 public:
  explicit RandomRun(uint32_t seed) : rng_(seed) {
    SupervisorFlags flags;
    flags.strategy = static_cast<Strategy>(1 + Below(5));
    flags.intensity = Below(6);
    flags.period = absl::Seconds(1 + Below(5));
    if (flags.strategy != Strategy::kDynamic)
      flags.auto_shutdown = static_cast<AutoShutdown>(1 + Below(3));
    if (flags.dynamic() && Below(2) == 0) flags.max_children = Below(6);
    SupervisorPlanner::Options options;
    options.parallel_stop = Below(4) == 0;
    if (Below(4) == 0) options.default_backoff = RestartBackoff{};
    sequential_ = !options.parallel_stop && !flags.dynamic();
    const auto spec = flags.strategy == Strategy::kSimpleOneForOne ? RandomSpec("t") : nullptr;
    planner_ = std::make_unique<SupervisorPlanner>(flags, options, spec);
  }

  void Run() {
    std::vector<std::shared_ptr<const ChildSpec>> specs;
    const uint32_t n = planner_->simple() ? 0 : Below(6);
    for (uint32_t i = 0; i < n; ++i) specs.push_back(RandomSpec(Name(i)));
    Take(planner_->Init(std::move(specs), now_));
    for (int i = 0; i < 400 && !exited_; ++i) {
      Event();
      Check();
      if (testing::Test::HasFailure()) return;
    }
    if (!exited_) Take(planner_->BeginShutdown(ExitReason::Shutdown(), now_));
    for (int i = 0; i < 10000 && !exited_ && AnswerOne(); ++i) {
    }
    ASSERT_TRUE(exited_) << "the shutdown never ends";
    EXPECT_TRUE(live_.empty());
    EXPECT_TRUE(open_ops_.empty()) << "operations without an answer";
  }

 private:
  uint32_t Below(uint32_t n) { return std::uniform_int_distribution<uint32_t>(0, n - 1)(rng_); }
  static std::string Name(uint32_t i) { return std::string(1, static_cast<char>('a' + i)); }
  template <typename C>
  ChildKey Pick(const C& keys) {
    return *std::next(keys.begin(), Below(static_cast<uint32_t>(keys.size())));
  }

  std::shared_ptr<ChildSpec> RandomSpec(std::string id) {
    auto spec = PlannerRig::Spec(std::move(id), kTypes[Below(3)]);
    spec->significant = planner_ != nullptr &&
                        planner_->flags().auto_shutdown != AutoShutdown::kNever &&
                        spec->restart != RestartType::kPermanent && Below(2) == 0;
    return spec;
  }
  ExitReason RandomReason() {
    switch (Below(4)) {
      case 0:
        return ExitReason::Normal();
      case 1:
        return ExitReason::Shutdown();
      case 2:
        return ExitReason::Killed();
      default:
        return ExitReason::Error("boom");
    }
  }

  void Event() {
    now_ = now_ + absl::Milliseconds(Below(700));
    switch (Below(10)) {
      case 0:
        return Operation();
      case 1:
      case 2:
        return CrashOne();
      case 3:
        if (!live_.empty() && Below(4) == 0) return MoveOne();
        [[fallthrough]];
      case 4:
        if (!starting_.empty() && Below(2) == 0)
          return Take(planner_->OnStartWaits(Pick(starting_), Below(4) != 0, now_));
        [[fallthrough]];
      default:
        AnswerOne();
    }
  }

  void Operation() {
    const OpId op = ++next_op_;
    open_ops_.insert(op);
    const std::string id = Name(Below(8));
    switch (Below(4)) {
      case 0:
        if (planner_->simple()) {
          auto spec = planner_->child_template() == nullptr ? RandomSpec("same") : nullptr;
          return Take(planner_->StartDynamicChild(op, std::move(spec), {}, now_));
        }
        return Take(planner_->StartChild(op, RandomSpec(id), now_));
      case 1:
        if (planner_->simple() && !live_.empty()) {
          return Take(planner_->TerminateChildByKey(op, Pick(live_), now_));
        }
        return Take(planner_->TerminateChild(op, id, now_));
      case 2:
        return Take(planner_->RestartChild(op, id, now_));
      default:
        return Take(planner_->DeleteChild(op, id, now_));
    }
  }

  void CrashOne() {
    if (live_.empty()) return;
    const ChildKey key = Pick(live_);
    live_.erase(key);
    if (stopping_.erase(key) == 0) dead_.insert(key);
    Take(planner_->OnExited(key, RandomReason(), now_, Below(3) != 0));
  }
  void MoveOne() {
    const ChildKey key = Pick(live_);
    if (stopping_.contains(key) || planner_->busy()) return;
    live_.erase(key);
    Take(planner_->OnMoved(key, now_));
  }

  // True if something was in flight.
  bool AnswerOne() {
    const size_t total = starting_.size() + stopping_.size() + retries_.size();
    if (total == 0) return false;
    const uint32_t i = Below(static_cast<uint32_t>(total));
    if (i < starting_.size()) {
      AnswerStart(Pick(starting_));
    } else if (i < starting_.size() + stopping_.size()) {
      const ChildKey key = Pick(stopping_);
      stopping_.erase(key);
      stopped_dead_.erase(key);
      live_.erase(key);
      Take(planner_->OnStopped(key, Below(3) == 0 ? RandomReason() : ExitReason::Shutdown(), now_));
    } else {
      const ChildKey key = Pick(retries_);
      retries_.erase(retries_.find(key));
      Take(planner_->OnRetry(key, now_));
    }
    return true;
  }
  void AnswerStart(ChildKey key) {
    starting_.erase(key);
    switch (Below(6)) {
      case 0:
        return Take(planner_->OnStartFailed(key, ExitReason::Error("nope"), now_));
      case 1:
        return Take(planner_->OnStartIgnored(key, now_));
      default:
        live_.insert(key);
        return Take(planner_->OnStarted(key, Pid::Local(next_pid_++, 1), {}, now_));
    }
  }

  void Take(const SupervisorActions& actions) {
    for (const SupervisorAction& a : actions) {
      ASSERT_FALSE(exited_) << "actions after the exit";
      if (const auto* x = std::get_if<action::Start>(&a)) OnStart(x->key);
      if (const auto* x = std::get_if<action::Stop>(&a)) OnStop(x->key);
      if (const auto* x = std::get_if<action::StopAll>(&a)) {
        for (ChildKey key : x->keys) OnStop(key);
      }
      if (const auto* x = std::get_if<action::ScheduleRetry>(&a)) retries_.insert(x->key);
      if (const auto* x = std::get_if<action::Forget>(&a)) OnForget(x->key);
      if (const auto* x = std::get_if<action::OpReply>(&a)) {
        ASSERT_EQ(open_ops_.erase(x->op), 1u) << "answered twice";
      }
      if (std::holds_alternative<action::ExitSupervisor>(a)) exited_ = true;
    }
    was_shutting_down_ = planner_->shutting_down();
  }
  void OnStart(ChildKey key) {
    ASSERT_NE(planner_->Find(key), nullptr);
    dead_.erase(key);
    if (stopped_dead_.erase(key) > 0) stopping_.erase(key);
    ASSERT_FALSE(live_.contains(key)) << "started twice";
    ASSERT_FALSE(stopping_.contains(key)) << "started while being stopped";
    ASSERT_TRUE(starting_.insert(key).second) << "two starts in flight";
    // Starts of the very turn that began the shutdown may come before its first stop.
    ASSERT_FALSE(was_shutting_down_);
  }
  void OnStop(ChildKey key) {
    // A Stop may overtake a Start; the start then comes to nothing here. And it may come for a
    // child whose exit is held back.
    ASSERT_TRUE(live_.contains(key) || starting_.contains(key) || dead_.contains(key))
        << "stopped without a process";
    if (dead_.erase(key) > 0) stopped_dead_.insert(key);
    starting_.erase(key);
    ASSERT_TRUE(stopping_.insert(key).second) << "two stops in flight";
    if (!sequential_ || !planner_->shutting_down()) return;
    // Reverse start order: no child after this one may still have a process, save those stopped
    // before the shutdown began, which are awaited first.
    const ChildRecord* r = planner_->Find(key);
    for (r = planner_->children().Next(r); r != nullptr; r = planner_->children().Next(r)) {
      ASSERT_FALSE(live_.contains(r->key)) << "not the last one in the start order";
    }
  }
  void OnForget(ChildKey key) {
    if (stopped_dead_.erase(key) > 0) stopping_.erase(key);
    ASSERT_FALSE(starting_.contains(key));
    ASSERT_FALSE(stopping_.contains(key));
    ASSERT_FALSE(live_.contains(key)) << "forgotten with a live process";
  }

  // The planner's view agrees with what is really there.
  void Check() {
    const SupervisorFlags& flags = planner_->flags();
    if (flags.max_children) ASSERT_LE(planner_->children().size(), *flags.max_children);
    uint64_t processes = 0;
    for (const ChildRecord* r = planner_->children().First(); r != nullptr;
         r = planner_->children().Next(r)) {
      SCOPED_TRACE(r->spec->id);
      switch (r->state) {
        case ChildState::kStarting:
          ASSERT_TRUE(starting_.contains(r->key));
          break;
        case ChildState::kStopping:
          ASSERT_TRUE(stopping_.contains(r->key));
          ++processes;
          break;
        case ChildState::kRunning:
          // An exit may be held back, so its process need not be there any more.
          ASSERT_FALSE(starting_.contains(r->key));
          ASSERT_FALSE(stopping_.contains(r->key));
          ASSERT_EQ(planner_->FindByPid(r->pid), r);
          ++processes;
          break;
        case ChildState::kRestarting:
        case ChildState::kUndefined:
          ASSERT_FALSE(live_.contains(r->key));
          break;
      }
    }
    ASSERT_EQ(planner_->Count().active, processes);
    if (starting_.empty() && stopping_.empty())
      ASSERT_FALSE(planner_->busy()) << "waits for nothing";
    if (!planner_->busy()) ASSERT_EQ(processes, live_.size());
  }

  std::mt19937 rng_;
  std::unique_ptr<SupervisorPlanner> planner_;
  Instant now_ = Instant::FromNanos(1'000'000'000'000);
  bool sequential_ = false;
  bool exited_ = false;
  bool was_shutting_down_ = false;
  std::set<ChildKey> live_;
  std::set<ChildKey> dead_;  // ended by themselves since their last start
  // Stopped when they had ended by themselves: the exit that is held back may count as the stop.
  std::set<ChildKey> stopped_dead_;
  std::set<ChildKey> starting_;
  std::set<ChildKey> stopping_;
  std::multiset<ChildKey> retries_;
  std::set<OpId> open_ops_;
  OpId next_op_ = 0;
  uint32_t next_pid_ = 1;
};

TEST(PlannerProperty, RandomEventsNeverBreakTheRules) {
  for (uint32_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomRun(seed).Run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace banyan
