#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"

#include "server/core/supervisor_planner.h"

namespace banyan {

// A planner with a synchronous executor: children are pids that start and stop at once, save where
// a test has scripted otherwise. Retries wait until RunRetries, as they would in a mailbox.
//
// What happens is written to `trace`, one word each: "+a" a started, "!a" its start failed, "~a" it
// was ignored, "-a" it was stopped, "exit:REASON" the supervisor's end.
class PlannerRig {
 public:
  struct Outcome {
    enum Kind { kOk, kIgnore, kFail } kind = kOk;
  };

  explicit PlannerRig(SupervisorFlags flags, SupervisorPlanner::Options options = {},
                      std::shared_ptr<const ChildSpec> child_template = nullptr)
      : planner(flags, options, std::move(child_template)) {}

  static std::shared_ptr<ChildSpec> Spec(std::string id,
                                         RestartType restart = RestartType::kPermanent) {
    auto spec = std::make_shared<ChildSpec>();
    spec->id = std::move(id);
    spec->start.module = "m";
    spec->restart = restart;
    return spec;
  }
  static std::shared_ptr<ChildSpec> Significant(std::string id, RestartType restart) {
    auto spec = Spec(std::move(id), restart);
    spec->significant = true;
    return spec;
  }

  PlannerRig& Init(std::vector<std::shared_ptr<const ChildSpec>> specs) {
    Run(planner.Init(std::move(specs), now));
    return *this;
  }

  // The next starts of `id` end like this, in order; then they succeed again.
  void Script(const std::string& id, std::vector<Outcome::Kind> outcomes) {
    for (auto o : outcomes) scripted[id].push_back(o);
  }
  // The reason that a stop of `id` yields instead of `shutdown`.
  void StopsWith(const std::string& id, ExitReason reason) { stop_reasons[id] = std::move(reason); }

  void Run(const SupervisorActions& actions) {
    std::deque<SupervisorAction> queue(actions.begin(), actions.end());
    while (!queue.empty()) {
      const SupervisorAction a = std::move(queue.front());
      queue.pop_front();
      const SupervisorActions more = Perform(a);
      queue.insert(queue.end(), more.begin(), more.end());
    }
  }

  void Exit(const std::string& id, const ExitReason& reason) {
    Run(planner.OnExited(Key(id), reason, now));
  }
  void RunRetries() {
    while (!retries.empty()) {
      const ChildKey key = retries.front();
      retries.pop_front();
      Run(planner.OnRetry(key, now));
    }
  }
  OpResult Start(std::shared_ptr<const ChildSpec> spec) {
    Run(planner.StartChild(++op, std::move(spec), now));
    return results.at(op);
  }
  OpResult Terminate(const std::string& id) {
    Run(planner.TerminateChild(++op, id, now));
    return results.at(op);
  }
  OpResult Restart(const std::string& id) {
    Run(planner.RestartChild(++op, id, now));
    return results.at(op);
  }
  OpResult Delete(const std::string& id) {
    Run(planner.DeleteChild(++op, id, now));
    return results.at(op);
  }
  OpResult StartDynamic(ExtraArgs args = {}) {
    Run(planner.StartDynamicChild(++op, nullptr, std::move(args), now));
    return results.at(op);
  }
  OpResult TerminateKey(ChildKey key) {
    Run(planner.TerminateChildByKey(++op, key, now));
    return results.at(op);
  }
  void Shutdown(const ExitReason& reason = ExitReason::Shutdown()) {
    Run(planner.BeginShutdown(reason, now));
  }

  ChildKey Key(const std::string& id) const {
    const ChildRecord* r = planner.FindById(id);
    return r == nullptr ? kNoChild : r->key;
  }
  Pid PidOf(const std::string& id) const {
    const ChildRecord* r = planner.FindById(id);
    return r == nullptr ? Pid{} : r->pid;
  }
  // "c:restarting b:undefined a" : last in start order first, as which_children does; running ones
  // bare.
  std::string Children() const {
    std::string text;
    const ChildTable& table = planner.children();
    for (const ChildRecord* r = table.Last(); r != nullptr; r = table.Prev(r)) {
      if (!text.empty()) text += ' ';
      text += r->spec->id;
      if (r->state == ChildState::kUndefined) text += ":undefined";
      if (r->state == ChildState::kRestarting) text += ":restarting";
      if (r->state == ChildState::kStarting) text += ":starting";
      if (r->state == ChildState::kStopping) text += ":stopping";
    }
    return text;
  }
  std::string Counts() const {
    const ChildCounts c = planner.Count();
    return fmt::format("[{},{},{},{}]", c.specs, c.active, c.supervisors, c.workers);
  }
  std::string TakeTrace() { return std::exchange(trace, {}); }
  std::string TakeReports() { return std::exchange(reports, {}); }
  void Note(const std::string& word) { trace += (trace.empty() ? "" : " ") + word; }

  Instant now = Instant::FromNanos(1'000'000'000'000);
  SupervisorPlanner planner;
  std::string trace;
  std::string reports;  // "child_terminated(a)" ...; progress left out
  std::vector<SupervisorReport> all_reports;
  std::map<OpId, OpResult> results;
  std::deque<ChildKey> retries;
  std::vector<absl::Duration> delays;
  std::vector<ChildKey> forgotten;
  std::map<std::string, std::deque<Outcome::Kind>> scripted;
  std::map<std::string, ExitReason> stop_reasons;
  std::optional<ExitReason> exited;
  OpId op = 0;
  uint32_t next_pid = 1;

 private:
  std::string IdOf(ChildKey key) const {
    const ChildRecord* r = planner.Find(key);
    return r == nullptr ? "?" : r->spec->id;
  }

  SupervisorActions Perform(const SupervisorAction& a) {
    if (const auto* start = std::get_if<action::Start>(&a)) return DoStart(start->key);
    if (const auto* stop = std::get_if<action::Stop>(&a)) return DoStop(stop->key);
    if (const auto* all = std::get_if<action::StopAll>(&a)) {
      SupervisorActions more;
      for (ChildKey key : all->keys) {
        for (auto& m : DoStop(key)) more.push_back(m);
      }
      return more;
    }
    if (const auto* retry = std::get_if<action::ScheduleRetry>(&a)) {
      retries.push_back(retry->key);
      delays.push_back(retry->delay);
    } else if (const auto* report = std::get_if<action::Report>(&a)) {
      Report(report->report);
    } else if (const auto* reply = std::get_if<action::OpReply>(&a)) {
      results[reply->op] = reply->result;
    } else if (const auto* forget = std::get_if<action::Forget>(&a)) {
      forgotten.push_back(forget->key);
    } else if (const auto* exit = std::get_if<action::ExitSupervisor>(&a)) {
      exited = exit->reason;
      Note("exit:" + exit->reason.ToString());
    }
    return {};
  }

  SupervisorActions DoStart(ChildKey key) {
    const std::string id = IdOf(key);
    Outcome::Kind outcome = Outcome::kOk;
    if (auto& q = scripted[id]; !q.empty()) {
      outcome = q.front();
      q.pop_front();
    }
    if (outcome == Outcome::kIgnore) {
      Note("~" + id);
      return planner.OnStartIgnored(key, now);
    }
    if (outcome == Outcome::kFail) {
      Note("!" + id);
      return planner.OnStartFailed(key, ExitReason::Error("nope"), now);
    }
    Note("+" + id);
    return planner.OnStarted(key, Pid::Local(next_pid++, 1), {}, now);
  }

  SupervisorActions DoStop(ChildKey key) {
    const std::string id = IdOf(key);
    Note("-" + id);
    const auto it = stop_reasons.find(id);
    return planner.OnStopped(key, it == stop_reasons.end() ? ExitReason::Shutdown() : it->second,
                             now);
  }

  void Report(const SupervisorReport& r) {
    all_reports.push_back(r);
    static constexpr const char* kNames[] = {"progress", "start_error", "child_terminated",
                                             "shutdown", "shutdown_error"};
    if (r.context == SupervisorReport::Context::kProgress) return;
    if (!reports.empty()) reports += ' ';
    reports += fmt::format("{}({})", kNames[static_cast<int>(r.context)],
                           r.nb_children > 0 ? fmt::format("x{}", r.nb_children)
                           : r.restarting    ? fmt::format("{}:restarting", r.spec->id)
                                             : r.spec->id);
  }
};

inline SupervisorFlags Flags(Strategy strategy, uint32_t intensity = 2,
                             absl::Duration period = absl::Seconds(3600),
                             AutoShutdown auto_shutdown = AutoShutdown::kNever) {
  return {strategy, intensity, period, auto_shutdown};
}

// Short words for tables of children.
inline constexpr RestartType kTemp = RestartType::kTemporary;
inline constexpr RestartType kTrans = RestartType::kTransient;
inline constexpr RestartType kPerm = RestartType::kPermanent;
inline auto S(const char* id, RestartType type = kPerm) { return PlannerRig::Spec(id, type); }
inline ExitReason Boom() { return ExitReason::Error("boom"); }

}  // namespace banyan
