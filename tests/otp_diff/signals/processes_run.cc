// Our processes, on virtual time.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"

#include "common/time/virtual_time.h"
#include "script.h"
#include "server/runtime/process_exit.h"
#include "server/runtime/runtime.h"

namespace banyan::otp_diff {
namespace {

using Kind = Op::Kind;

ExitReason Reason(const std::string& word) {
  if (word == "normal") return ExitReason::Normal();
  if (word == "shutdown") return ExitReason::Shutdown();
  if (word == "kill") return ExitReason::Kill();
  if (word == "killed") return ExitReason::Killed();
  if (word == "noproc") return ExitReason::NoProc();
  return ExitReason::Error(word);
}

std::string Word(const ExitReason& reason) {
  if (reason.kind() == ExitReason::Kind::kError) return reason.type();
  return std::string(ExitKindName(reason.kind()));
}

class ProcessesRun {
 public:
  explicit ProcessesRun(const Script& script)
      : script_(script),
        runtime_({.clock = &time_, .timers = &time_, .workers = 0, .executor = &time_}) {}
  ~ProcessesRun() { runtime_.Shutdown(); }

  std::vector<std::string> Run() {
    for (size_t i = 0; i < script_.traps.size(); ++i) {
      SpawnOptions options;
      options.trap_exit = script_.traps[i];
      const Pid pid = *runtime_.Spawn([this](Self& self) { return Live(self); }, options);
      Know(static_cast<char>('a' + i), pid);
      Watch(pid);
    }
    time_.RunUntilIdle();
    for (const Batch& batch : script_.batches) {
      const auto it = pids_.find(batch.who);
      if (it == pids_.end() || !runtime_.IsAlive(it->second)) continue;
      results_.clear();
      runtime_.Send(it->second, Payload::Local(&batch));
      time_.RunUntilIdle();
      Line(fmt::format("{} {}", batch.who, fmt::join(results_, ", ")));
      ShowState();
    }
    return std::move(trace_);
  }

 private:
  struct Number {
    uint32_t value;
  };
  using Received = std::map<char, std::vector<std::string>>;  // by sender

  void Line(std::string text) { trace_.push_back(std::move(text)); }
  void Know(char letter, Pid pid) {
    pids_[letter] = pid;
    letters_[pid] = letter;
  }
  void Watch(Pid pid) {
    runtime_.Monitor(pid, [this](Pid p, ExitReason r) { ends_[letters_.at(p)] = Word(r); });
  }

  // --- a process
  static bool IsBatch(const Message& m) { return m.payload().As<const Batch*>() != nullptr; }

  Task<ExitReason> Live(Self& self) {
    bool paused = false;
    for (;;) {
      std::optional<Message> m =
          co_await self.ReceiveIf([&](const Message& x) { return !paused || IsBatch(x); });
      if (!IsBatch(*m)) {
        Log(self, *m);
        continue;
      }
      for (const Op& op : (*m->payload().As<const Batch*>())->ops) {
        if (op.kind == Kind::kStop) {
          if (op.how == 0) co_return Reason(op.reason);
          if (op.how == 1) co_await self.ExitSelf(Reason(op.reason));
          throw ProcessExit(Reason(op.reason));
        }
        if (op.kind == Kind::kPause || op.kind == Kind::kResume) {
          paused = op.kind == Kind::kPause;
        } else {
          Perform(self, op);
        }
      }
    }
  }

  void Log(Self& self, const Message& m) {
    std::string text;
    if (m.is_exit()) {
      text = "EXIT " + Word(m.reason());
    } else if (m.is_down()) {
      text = fmt::format("DOWN {} {}", numbers_.at(m.ref()), Word(m.reason()));
    } else {
      text = fmt::format("msg {}", m.payload().As<Number>()->value);
    }
    received_[letters_.at(self.pid())][letters_.at(m.from())].push_back(std::move(text));
  }

  // Whether it is to be done at all: to what has not come to be nothing is done.
  bool Find(const Op& op, Pid* target) const {
    static const std::set<Kind> kTargeted = {Kind::kLink, Kind::kUnlink, Kind::kMonitor,
                                             Kind::kExit, Kind::kSend,   Kind::kRegister};
    if (!kTargeted.contains(op.kind)) return true;
    const auto it = pids_.find(op.target);
    if (it == pids_.end()) return false;
    *target = it->second;
    return true;
  }

  void Perform(Self& self, const Op& op) {
    Pid target;
    if (!Find(op, &target)) return;
    switch (op.kind) {
      case Kind::kLink:
        return Result(fmt::format("link {} {}", op.target, self.Link(target) ? "true" : "noproc"));
      case Kind::kUnlink:
        return self.Unlink(target);
      case Kind::kMonitor:
        return Remember(op.ref, self.Monitor(target));
      case Kind::kDemonitor: {
        const auto it = refs_.find(op.ref);
        if (it == refs_.end()) return;
        const bool found = self.Demonitor(it->second, op.flag);
        if (!op.flag) Result(fmt::format("demonitor {} {}", op.ref, found));
        return;
      }
      case Kind::kExit:
        return self.Exit(target, Reason(op.reason));
      case Kind::kTrap:
        return Result(fmt::format("trap {}", self.SetTrapExit(op.flag)));
      case Kind::kSend:
        return self.Send(target, Payload::Local(Number{op.number}));
      case Kind::kRegister:
        if (const auto shown = runtime_.Look(target); shown && !shown->names.empty()) return;
        return Result(fmt::format("register {} {} {}", op.name, op.target,
                                  runtime_.Register(op.name, target)));
      case Kind::kUnregister:
        return Result(fmt::format("unregister {} {}", op.name, self.Unregister(op.name)));
      case Kind::kWhereis: {
        const std::optional<Pid> found = runtime_.Whereis(op.name);
        return Result(fmt::format("whereis {} {}", op.name,
                                  found ? std::string(1, letters_.at(*found)) : "none"));
      }
      case Kind::kSendName:
        return Result(fmt::format("send {} {}", op.name,
                                  self.SendName(op.name, Payload::Local(Number{op.number}))));
      case Kind::kSpawn:
        return Spawn(self, op);
      default:
        return;
    }
  }

  void Spawn(Self& self, const Op& op) {
    SpawnOptions options;
    options.link = op.link;
    options.monitor = op.ref != 0;
    options.trap_exit = op.flag;
    const bool lives = op.reason.empty();
    ProcessMain main = [this](Self& child) { return Live(child); };
    if (!lives) main = [&op](Self&) -> Task<ExitReason> { return Reason(op.reason); };
    const SpawnResult child = *self.Spawn(std::move(main), std::move(options));
    Know(op.target, child.pid);
    if (op.ref != 0) Remember(op.ref, child.monitor);
    if (lives) {
      Watch(child.pid);
    } else {
      ends_[op.target] = "at_once";
    }
  }

  void Result(std::string text) { results_.push_back(std::move(text)); }
  void Remember(uint32_t number, Ref ref) {
    refs_[number] = ref;
    numbers_[ref] = number;
  }

  // --- what is compared after a batch
  void ShowState() {
    auto received = std::exchange(received_, {});
    for (const auto& [letter, pid] : pids_) {
      std::optional<ProcessSnapshot> state;
      runtime_.Inspect(pid, [&](std::optional<ProcessSnapshot> s) { state = std::move(s); });
      time_.RunUntilIdle();
      if (!state) {
        Line(fmt::format("{} ended {}", letter, ends_.at(letter)));
        continue;
      }
      for (const auto& [from, texts] : received[letter]) {
        for (const std::string& text : texts) {
          Line(fmt::format("{} < {}:{}", letter, from, text));
        }
      }
      Line(fmt::format("{} trap {} links [{}] monitors [{}] by [{}] name {} queue {}", letter,
                       state->trap_exit, Letters(state->links), Letters(state->monitors),
                       Letters(state->watchers), state->names.empty() ? "none" : state->names[0],
                       state->mailbox_length));
    }
  }
  std::string Letters(const std::vector<Pid>& pids) const {
    std::vector<char> list;
    for (const Pid& pid : pids) {
      const auto it = letters_.find(pid);
      if (it != letters_.end()) list.push_back(it->second);  // else whoever watches all of them
    }
    std::sort(list.begin(), list.end());
    return fmt::format("{}", fmt::join(list, " "));
  }

  const Script& script_;
  VirtualTime time_;
  std::map<char, Pid> pids_;
  std::map<Pid, char> letters_;
  std::map<uint32_t, Ref> refs_;
  std::map<Ref, uint32_t> numbers_;
  std::map<char, std::string> ends_;
  std::map<char, Received> received_;
  std::vector<std::string> results_;
  std::vector<std::string> trace_;
  Runtime runtime_;
};

}  // namespace

std::vector<std::string> RunOnProcesses(const Script& script) { return ProcessesRun(script).Run(); }

}  // namespace banyan::otp_diff
