// The planner driven as the local supervisor drives it: one message of the mailbox after the other,
// each action performed before the next.
#include <algorithm>
#include <deque>
#include <map>
#include <optional>

#include "fmt/format.h"
#include "fmt/ranges.h"

#include "scenario.h"
#include "server/core/supervisor_planner.h"

namespace banyan::otp_diff {
namespace {

ExitReason Reason(const std::string& word) {
  if (word == "normal") return ExitReason::Normal();
  if (word == "shutdown") return ExitReason::Shutdown();
  if (word == "x") return ExitReason::Shutdown(Payload::Any("x", "x"), "x");
  if (word == "killed") return ExitReason::Killed();
  return ExitReason::Error(word);
}

std::string Word(const ExitReason& reason) {
  if (reason.cause() != nullptr) {
    return fmt::format("failed_to_start({},{})",
                       reason.detail().bytes().substr(2),  // a StringValue
                       reason.cause()->type());
  }
  if (reason.is_shutdown_with_detail()) return "shutdown(x)";
  if (reason.kind() == ExitReason::Kind::kError) return reason.type();
  return std::string(ExitKindName(reason.kind()));
}

std::string Word(const OpResult& result) {
  using Code = OpResult::Code;
  switch (result.code) {
    case Code::kOk:
      return "ok";
    case Code::kIgnored:
      return "ignored";
    case Code::kStartFailed:
      return fmt::format("failed({})", result.reason.type());
    case Code::kAlreadyStarted:
      return "already_started";
    case Code::kAlreadyPresent:
      return "already_present";
    case Code::kNotFound:
      return "not_found";
    case Code::kRunning:
      return "running";
    case Code::kRestarting:
      return "restarting";
    case Code::kSimpleOneForOne:
      return "simple_one_for_one";
    case Code::kMaxChildren:
      return "max_children";
    case Code::kShuttingDown:
      return "down";
  }
  return "?";
}

class PlannerRun {
 public:
  explicit PlannerRun(const Scenario& s) : scenario_(s), planner_(FlagsOf(s), {}, TemplateOf(s)) {}

  std::vector<std::string> Run() {
    std::vector<std::shared_ptr<const ChildSpec>> specs;
    for (const Child& c : scenario_.children) {
      outcomes_[c.id] = {c.outcomes.begin(), c.outcomes.end()};
      if (!simple()) specs.push_back(SpecOf(c));
    }
    Perform(planner_.Init(std::move(specs), now_));
    Settle();
    if (!exited_) State();
    for (const Step& step : scenario_.steps) {
      if (exited_) break;
      RunStep(step);
    }
    if (!exited_) Perform(planner_.BeginShutdown(ExitReason::Shutdown(), now_));
    Line("exit:" + Word(*exited_));
    return std::move(trace_);
  }

 private:
  struct Process {
    std::string name;
    std::optional<ExitReason> ended;
  };
  struct Mail {
    enum Kind { kExit, kOp, kRetry } kind;
    Pid pid;
    ChildKey key = kNoChild;
    OpId op = 0;
    Step step{};
  };

  static SupervisorFlags FlagsOf(const Scenario& s) {
    return {s.strategy, s.intensity, absl::Seconds(3600), s.auto_shutdown};
  }
  static std::shared_ptr<ChildSpec> SpecOf(const Child& c) {
    auto spec = std::make_shared<ChildSpec>();
    spec->id = c.id;
    spec->start.module = "m";
    spec->restart = c.restart;
    spec->significant = c.significant;
    if (c.brutal_kill) spec->shutdown = ShutdownPolicy::BrutalKill();
    // What the child does when asked to stop goes with its spec, as a start argument does.
    spec->labels["stop_with"] = c.stop_with;
    return spec;
  }
  static std::shared_ptr<ChildSpec> TemplateOf(const Scenario& s) {
    return s.strategy == Strategy::kSimpleOneForOne ? SpecOf(s.children[0]) : nullptr;
  }
  bool simple() const { return planner_.simple(); }
  void Line(std::string text) { trace_.push_back(std::move(text)); }

  void RunStep(const Step& step) {
    op_texts_.clear();
    if (step.kind == Step::Kind::kQueued) {
      for (const Step& s : step.queued) Submit(s);
    } else {
      Submit(step);
    }
    Settle();
    for (const std::string& text : op_texts_) Line("op:" + text);
    if (!exited_) State();
  }

  void Submit(const Step& step) {
    const Pid pid = PidOf(step.child.id);
    if (step.kind == Step::Kind::kExit) {
      const auto process = processes_.find(pid);
      if (process == processes_.end() || process->second.ended) return;
      process->second.ended = Reason(step.reason);
      mailbox_.push_back({.kind = Mail::kExit, .pid = pid});
      return;
    }
    const OpId op = op_texts_.size() + 1;
    op_texts_.push_back("down");
    if (simple() && step.kind == Step::Kind::kTerminate && !pid.valid()) {
      op_texts_.back() = "skipped";
      return;
    }
    if (step.kind == Step::Kind::kStart) {
      outcomes_[step.child.id] = {step.child.outcomes.begin(), step.child.outcomes.end()};
    }
    mailbox_.push_back({.kind = Mail::kOp, .pid = pid, .op = op, .step = step});
  }
  Pid PidOf(const std::string& name) const {
    const auto it = pids_.find(name);
    return it == pids_.end() ? Pid{} : it->second;
  }

  void Settle() {
    while (!mailbox_.empty() && !exited_) {
      const Mail mail = std::move(mailbox_.front());
      mailbox_.pop_front();
      Handle(mail);
    }
  }
  void Handle(const Mail& mail) {
    if (mail.kind == Mail::kRetry) return Perform(planner_.OnRetry(mail.key, now_));
    if (mail.kind == Mail::kExit) {
      const ChildRecord* r = planner_.FindByPid(mail.pid);
      if (r == nullptr) return;
      return Perform(planner_.OnExited(r->key, *processes_.at(mail.pid).ended, now_));
    }
    const std::string& id = mail.step.child.id;
    switch (mail.step.kind) {
      case Step::Kind::kStart:
        if (simple()) {
          return Perform(planner_.StartDynamicChild(mail.op, nullptr, {Payload::Local(id)}, now_));
        }
        return Perform(planner_.StartChild(mail.op, SpecOf(mail.step.child), now_));
      case Step::Kind::kTerminate:
        if (simple()) return TerminatePid(mail);
        return Perform(planner_.TerminateChild(mail.op, id, now_));
      case Step::Kind::kRestart:
        return Perform(planner_.RestartChild(mail.op, id, now_));
      default:
        return Perform(planner_.DeleteChild(mail.op, id, now_));
    }
  }
  void TerminatePid(const Mail& mail) {
    const ChildRecord* r = planner_.FindByPid(mail.pid);
    if (r != nullptr) return Perform(planner_.TerminateChildByKey(mail.op, r->key, now_));
    const bool dead = processes_.at(mail.pid).ended.has_value();
    op_texts_[mail.op - 1] = dead ? "ok" : "not_found";
  }

  void Perform(const SupervisorActions& first) {
    std::deque<SupervisorAction> queue(first.begin(), first.end());
    while (!queue.empty()) {
      const SupervisorAction a = std::move(queue.front());
      queue.pop_front();
      const SupervisorActions more = PerformOne(a);
      queue.insert(queue.end(), more.begin(), more.end());
    }
  }
  SupervisorActions PerformOne(const SupervisorAction& a) {
    if (const auto* x = std::get_if<action::Start>(&a)) return Start(x->key);
    if (const auto* x = std::get_if<action::Stop>(&a)) return Stop(x->key);
    if (const auto* x = std::get_if<action::StopAll>(&a)) {
      SupervisorActions more;
      for (ChildKey key : x->keys) {
        for (SupervisorAction& m : Stop(key)) more.push_back(std::move(m));
      }
      return more;
    }
    if (const auto* x = std::get_if<action::ScheduleRetry>(&a)) {
      mailbox_.push_back({.kind = Mail::kRetry, .key = x->key});
    }
    if (const auto* x = std::get_if<action::Report>(&a)) Report(x->report);
    if (const auto* x = std::get_if<action::OpReply>(&a)) op_texts_[x->op - 1] = Word(x->result);
    if (const auto* x = std::get_if<action::ExitSupervisor>(&a)) exited_ = x->reason;
    return {};
  }

  // Dynamic children are named by their one extra argument.
  std::string NameOf(const ChildRecord* r) const {
    if (!simple()) return r->spec->id;
    if (r->extra_args != nullptr) return *(*r->extra_args)[0].As<std::string>();
    return processes_.at(r->pid).name;
  }

  SupervisorActions Start(ChildKey key) {
    const std::string name = NameOf(planner_.Find(key));
    StartOutcome outcome = StartOutcome::kOk;
    if (auto& list = outcomes_[name]; !list.empty()) {
      outcome = list.front();
      list.pop_front();
    }
    if (outcome == StartOutcome::kIgnore) {
      Line("~" + name);
      return planner_.OnStartIgnored(key, now_);
    }
    if (outcome == StartOutcome::kFail) {
      Line("!" + name);
      return planner_.OnStartFailed(key, ExitReason::Error("nope"), now_);
    }
    Line("+" + name);
    const Pid pid = Pid::Local(next_pid_++, 1);
    processes_[pid] = {name, std::nullopt};
    pids_[name] = pid;
    return planner_.OnStarted(key, pid, {}, now_);
  }

  SupervisorActions Stop(ChildKey key) {
    const ChildRecord* r = planner_.Find(key);
    Process& process = processes_.at(r->pid);
    if (process.ended) {
      // The exit that waits in the mailbox is taken out and tells why.
      std::erase_if(mailbox_,
                    [&](const Mail& m) { return m.kind == Mail::kExit && m.pid == r->pid; });
    } else if (r->spec->shutdown_or_default().brutal_kill) {
      process.ended = ExitReason::Killed();
    } else {
      Line("-" + process.name);
      process.ended = Reason(r->spec->labels.at("stop_with"));
    }
    return planner_.OnStopped(key, *process.ended, now_);
  }

  void Report(const SupervisorReport& r) {
    static constexpr const char* kNames[] = {"progress", "start_error", "child_terminated",
                                             "shutdown", "shutdown_error"};
    const char* name = kNames[static_cast<int>(r.context)];
    if (r.nb_children > 0)
      return Line(fmt::format("{}:x{}:{}", name, r.nb_children, Word(r.reason)));
    const char* pid = r.restarting ? "r" : r.pid.valid() ? "p" : "u";
    Line(fmt::format("{}:{}:{}:{}", name, r.spec->id, pid, Word(r.reason)));
  }

  void State() {
    std::vector<std::string> names;
    const ChildTable& table = planner_.children();
    for (const ChildRecord* r = table.Last(); r != nullptr; r = table.Prev(r)) {
      names.push_back(NameOf(r) + (r->state == ChildState::kUndefined ? ":undefined" : ""));
    }
    if (simple()) std::sort(names.begin(), names.end());
    const ChildCounts counts = planner_.Count();
    Line(fmt::format("={} [{},{}]", fmt::join(names, " "), counts.specs, counts.active));
  }

  const Scenario& scenario_;
  SupervisorPlanner planner_;
  const Instant now_ = Instant::FromNanos(1'000'000'000'000);
  std::deque<Mail> mailbox_;
  std::map<Pid, Process> processes_;
  std::map<std::string, Pid> pids_;  // the latest of each name
  std::map<std::string, std::deque<StartOutcome>> outcomes_;
  std::vector<std::string> op_texts_;  // of the step; OpId - 1
  std::vector<std::string> trace_;
  std::optional<ExitReason> exited_;
  uint32_t next_pid_ = 1;
};

}  // namespace

std::vector<std::string> RunOnPlanner(const Scenario& scenario) {
  return PlannerRun(scenario).Run();
}

}  // namespace banyan::otp_diff
