// Banyan's supervisors, with real processes below them, on virtual time.
#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"

#include "common/base/error.h"
#include "common/time/virtual_time.h"
#include "scenario.h"
#include "server/behaviours/host.h"
#include "server/behaviours/module.h"
#include "server/behaviours/start.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"
#include "server/behaviours/sys.h"
#include "server/runtime/runtime.h"

namespace banyan::otp_diff {
namespace {

ExitReason Reason(const std::string& word) {
  if (word == "normal") return ExitReason::Normal();
  if (word == "shutdown") return ExitReason::Shutdown();
  if (word == "x") return ExitReason::Shutdown(Payload::Any("x", "x"), "x");
  if (word == "killed") return ExitReason::Kill();
  return ExitReason::Error(word);
}

std::string Word(const ExitReason& reason) {
  if (reason.cause() != nullptr) {
    return fmt::format("failed_to_start({},{})",
                       reason.detail().bytes().substr(2),  // a StringValue
                       Word(*reason.cause()));
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
      return fmt::format("failed({})", Word(result.reason));
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

struct Die {  // what a child is told to end by itself
  ExitReason reason;
};

class ActorsRun : public SupervisorEvents {
 public:
  explicit ActorsRun(const Scenario& s)
      : scenario_(s),
        runtime_({.clock = &time_, .timers = &time_, .workers = 0, .executor = &time_}) {
    modules_.AddFunction("leaf", [this](Self& self, StartSpec spec, StartContext context) {
      return StartLeaf(self, std::move(spec), std::move(context));
    });
    modules_.AddFunction("tree", [this](Self& self, StartSpec spec, StartContext context) {
      return StartTree(self, std::move(spec), std::move(context));
    });
    host_.modules = &modules_;
    host_.supervisor_events = this;
    runtime_.SetHost(&host_);
  }
  ~ActorsRun() override { runtime_.Shutdown(); }

  std::vector<std::string> Run() {
    for (const Child& c : scenario_.top.children) Declare(c);
    std::optional<StartResult> started;
    const Pid parent =
        *runtime_.Spawn([&](Self& self) { return Parent(self, &started); }, {.trap_exit = true});
    time_.RunUntilIdle();
    if (!started->started()) {
      Line("exit:" + Word(started->reason));
      return std::move(trace_);
    }
    time_.RunUntilIdle();
    if (!exited_) State("", top_, simple());
    for (const Step& step : scenario_.steps) {
      if (exited_) break;
      RunStep(step);
    }
    if (!exited_) {
      runtime_.Send(parent, Payload::Local(Die{ExitReason::Shutdown()}));
      time_.RunUntilIdle();
    }
    Line("exit:" + (exited_ ? Word(*exited_) : "never"));
    return std::move(trace_);
  }

  void OnReport(Pid, const std::string&, const SupervisorReport& r) override {
    static constexpr const char* kNames[] = {"progress", "start_error", "child_terminated",
                                             "shutdown", "shutdown_error"};
    const char* name = kNames[static_cast<int>(r.context)];
    if (r.nb_children > 0)
      return Line(fmt::format("{}:x{}:{}", name, r.nb_children, Word(r.reason)));
    const char* pid = r.restarting ? "r" : r.pid.valid() ? "p" : "u";
    Line(fmt::format("{}:{}:{}:{}", name, r.spec->id, pid, Word(r.reason)));
  }

 private:
  bool simple() const { return scenario_.top.strategy == Strategy::kSimpleOneForOne; }
  void Line(std::string text) { trace_.push_back(std::move(text)); }

  // --- specifications
  static ChildSpec SpecOf(const Child& c, bool dynamic) {
    ChildSpec spec;
    spec.id = c.id;
    spec.restart = c.restart;
    spec.significant = c.significant;
    if (c.brutal_kill) spec.shutdown = ShutdownPolicy::BrutalKill();
    if (!c.tree.empty()) {
      spec.start.module = "tree";
      spec.type = ChildType::kSupervisor;
      spec.start.args = {Payload::Local(c.tree[0]), Payload::Local(c.id)};
    } else {
      spec.start.module = "leaf";
      spec.start.args = {Payload::Local(c.stop_with)};
      if (!dynamic) spec.start.args.push_back(Payload::Local(c.id));
    }
    return spec;
  }
  static std::shared_ptr<const SupervisorSpec> SpecOf(const Tree& tree) {
    auto spec = std::make_shared<SupervisorSpec>();
    spec->flags = {tree.strategy, tree.intensity, absl::Seconds(3600), tree.auto_shutdown};
    if (tree.strategy == Strategy::kSimpleOneForOne) {
      spec->child_template = SpecOf(tree.children[0], true);
    } else {
      for (const Child& c : tree.children) spec->children.push_back(SpecOf(c, false));
    }
    return spec;
  }
  void Declare(const Child& c) {
    outcomes_[c.id] = {c.outcomes.begin(), c.outcomes.end()};
    for (const Tree& tree : c.tree) {
      for (const Child& child : tree.children) Declare(child);
    }
  }

  // --- children
  // Nothing if it starts.
  std::optional<StartResult> Outcome(const std::string& id) {
    StartOutcome outcome = StartOutcome::kOk;
    if (auto& list = outcomes_[id]; !list.empty()) {
      outcome = list.front();
      list.pop_front();
    }
    if (outcome == StartOutcome::kIgnore) {
      Line("~" + id);
      return StartResult::Ignored();
    }
    if (outcome == StartOutcome::kFail) {
      Line("!" + id);
      return StartResult::Failed(ExitReason::Error("nope"));
    }
    Line("+" + id);
    return std::nullopt;
  }
  void Remember(const std::string& id, const StartResult& started) {
    if (!started.started()) return;
    pids_[id] = started.pid;
    names_[started.pid] = id;
  }

  Task<StartResult> StartLeaf(Self& self, StartSpec spec, StartContext context) {
    const std::string stop_with = *spec.args.at(0).As<std::string>();
    const std::string id = *spec.args.at(1).As<std::string>();
    if (auto other = Outcome(id)) co_return *std::move(other);
    StartOptions options = StartOptionsOf(spec, context);
    options.trap_exit = true;
    StartResult started = co_await StartProcess(
        self,
        [this, id, stop_with](Self& me, StartAck ack) {
          return Leaf(me, std::move(ack), id, Reason(stop_with));
        },
        options);
    Remember(id, started);
    co_return started;
  }
  Task<ExitReason> Leaf(Self& self, StartAck ack, std::string id, ExitReason stop_with) {
    ack.Started();
    while (true) {
      std::optional<Message> m = co_await self.Receive();
      if (m->is_exit() && m->from() == self.parent()) {
        Line("-" + id);
        co_return stop_with;
      }
      if (const Die* die = m->payload().As<Die>()) co_return die->reason;
    }
  }
  Task<StartResult> StartTree(Self& self, StartSpec spec, StartContext context) {
    const Tree tree = *spec.args.at(0).As<Tree>();
    const std::string id = *spec.args.at(1).As<std::string>();
    if (auto other = Outcome(id)) co_return *std::move(other);
    StartResult started =
        co_await banyan::StartSupervisor(self, SpecOf(tree), std::move(context), std::move(spec));
    Remember(id, started);
    co_return started;
  }

  // Starts the outermost supervisor, hears of its end, and asks for it when told to die.
  Task<ExitReason> Parent(Self& self, std::optional<StartResult>* started) {
    *started = co_await banyan::StartSupervisor(self, SpecOf(scenario_.top), {}, {});
    top_ = (*started)->pid;
    while (true) {
      std::optional<Message> m = co_await self.Receive();
      if (m->is_exit() && m->from() == top_) exited_ = m->reason();
      if (const Die* die = m->payload().As<Die>()) self.Exit(top_, die->reason);
    }
  }

  // --- steps
  void RunStep(const Step& step) {
    op_texts_.clear();
    if (step.kind == Step::Kind::kQueued) {
      Suspend(true);
      for (const Step& s : step.queued) Submit(s);
      Suspend(false);
    } else {
      Submit(step);
    }
    for (const std::string& text : op_texts_) Line("op:" + text);
    if (!exited_) State("", top_, simple());
  }
  void Suspend(bool on) {
    SysRequest request;
    request.op = on ? SysRequest::Op::kSuspend : SysRequest::Op::kResume;
    sys::Request(runtime_, top_, std::move(request), Instant::Infinite(),
                 [](absl::StatusOr<Payload>, Pid) {});
    time_.RunUntilIdle();
  }
  Pid PidOf(const std::string& id) const {
    const auto it = pids_.find(id);
    return it == pids_.end() ? Pid{} : it->second;
  }
  void Submit(const Step& step) {
    const Pid pid = PidOf(step.child.id);
    if (step.kind == Step::Kind::kExit) {
      if (step.reason == "killed") {
        runtime_.Exit(pid, ExitReason::Kill());
      } else {
        runtime_.Send(pid, Payload::Local(Die{Reason(step.reason)}));
      }
      time_.RunUntilIdle();
      return;
    }
    if (step.kind == Step::Kind::kStart) Declare(step.child);
    const Pid supervisor = step.at.empty() ? top_ : PidOf(step.at);
    const bool terminate_by_pid = simple() && step.kind == Step::Kind::kTerminate;
    const size_t op = op_texts_.size();
    op_texts_.push_back("down");
    if (!runtime_.IsAlive(supervisor) || (terminate_by_pid && !pid)) {
      op_texts_[op] = "skipped";
      return;
    }
    auto done = [this, op](absl::StatusOr<OpResult> r) {
      if (r.ok()) {
        op_texts_[op] = Word(*r);
      } else if (ErrorReason(r.status()) == "SIMPLE_ONE_FOR_ONE") {
        op_texts_[op] = "simple_one_for_one";  // the client's word is a status here
      }
    };
    const SupervisorClient client(supervisor);
    ChildRef child = step.child.id;
    if (terminate_by_pid) child = pid;
    switch (step.kind) {
      case Step::Kind::kStart:
        if (simple()) {
          client.StartChild(runtime_, {Payload::Local(step.child.id)}, done);
        } else {
          client.StartChild(runtime_, SpecOf(step.child, false), done);
        }
        break;
      case Step::Kind::kTerminate:
        client.TerminateChild(runtime_, child, done);
        break;
      case Step::Kind::kRestart:
        client.RestartChild(runtime_, child, done);
        break;
      default:
        client.DeleteChild(runtime_, child, done);
        break;
    }
    time_.RunUntilIdle();
  }

  void State(const std::string& at, Pid supervisor, bool dynamic) {
    std::vector<ChildEntry> children;
    ChildCounts counts;
    const SupervisorClient client(supervisor);
    client.WhichChildren(runtime_, [&](auto r) { children = *std::move(r); });
    client.CountChildren(runtime_, [&](auto r) { counts = *r; });
    time_.RunUntilIdle();
    std::vector<std::string> names;
    for (const ChildEntry& c : children) {
      names.push_back(dynamic ? names_.at(c.pid)
                              : c.id + (c.state == ChildState::kUndefined ? ":undefined" : ""));
    }
    if (dynamic) std::sort(names.begin(), names.end());
    Line(fmt::format("={}:{} [{},{},{}]", at, fmt::join(names, " "), counts.specs, counts.active,
                     counts.supervisors));
    for (const ChildEntry& c : children) {
      if (c.spec->type == ChildType::kSupervisor && c.pid) State(c.id, c.pid, false);
    }
  }

  const Scenario& scenario_;
  VirtualTime time_;
  Modules modules_;
  Host host_;
  std::map<Pid, std::string> names_;
  std::map<std::string, Pid> pids_;  // the latest of each name
  std::map<std::string, std::deque<StartOutcome>> outcomes_;
  std::vector<std::string> op_texts_;  // of the step
  std::vector<std::string> trace_;
  std::optional<ExitReason> exited_;
  Pid top_;
  Runtime runtime_;
};

}  // namespace

std::vector<std::string> RunOnActors(const Scenario& scenario) { return ActorsRun(scenario).Run(); }

}  // namespace banyan::otp_diff
