// Our server, its parent and its callers, on virtual time.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/time/virtual_time.h"
#include "script.h"
#include "server/behaviours/gen_server.h"
#include "server/behaviours/host.h"
#include "server/behaviours/module.h"
#include "server/behaviours/sys.h"
#include "server/runtime/process_exit.h"

namespace banyan::otp_diff {
namespace {

using Action = Callback::Action;
using Outcome = Callback::Result;
using Kind = Step::Kind;

ExitReason Reason(const std::string& word) {
  if (word == "normal") return ExitReason::Normal();
  if (word == "shutdown") return ExitReason::Shutdown();
  if (word == "x") return ExitReason::Shutdown(Payload::Any("x", "x"), "x");
  if (word == "kill") return ExitReason::Kill();
  if (word == "killed") return ExitReason::Killed();
  if (word == "noproc") return ExitReason::NoProc();
  return ExitReason::Error(word);
}

std::string Word(const ExitReason& reason) {
  if (reason.is_shutdown_with_detail()) return "shutdown(x)";
  if (reason.kind() != ExitReason::Kind::kError) return std::string(ExitKindName(reason.kind()));
  // error(boom) is an exception that says boom.
  return reason.type() == "std::runtime_error" ? "error:" + reason.message() : reason.type();
}

// What a caller sees of an error.
std::string Word(const absl::Status& status) {
  const ErrorInfo info = GetErrorInfo(status).value_or(ErrorInfo());
  if (info.exit_reason) return "exit " + Word(*info.exit_reason);
  return info.reason == "NOPROC" ? "exit noproc" : std::string(status.message());
}

struct Note {  // a message of which nothing is special
};

class Server : public GenServer {
 public:
  // `watch` hears of the process before it can end.
  Server(const Script& script, std::vector<std::string>* trace, std::function<void(Pid)> watch)
      : script_(script),
        trace_(*trace),
        watch_(std::move(watch)),
        others_(script.others.begin(), script.others.end()) {}

  absl::StatusOr<Payload> GetState() override { return Payload::Local(callbacks_); }

 private:
  Task<InitResult> Init(std::vector<Payload>) override {
    watch_(self().pid());
    co_await self().Yield();  // takes the monitor: behind its end it would find nobody
    Trace("init");
    for (Action a : script_.init.actions) Act(a);
    switch (script_.init.result) {
      case Outcome::kIgnore:
        co_return Ignore();
      case Outcome::kStop:
        co_return Stop(Reason(script_.init.reason));
      default:
        ThrowIfAsked(script_.init);
        co_return Then(script_.init, Ok());
    }
  }
  Task<CallResult> HandleCall(Payload request, CallFrom from) override {
    const Callback& c = Begin("call", request);
    if (!Waits(c)) return CallResultOf(c, from);
    return [](Server* me, const Callback& c, CallFrom from) -> Task<CallResult> {
      co_await me->self().Yield();
      co_return me->CallResultOf(c, from);
    }(this, c, from);
  }
  Task<Result> HandleCast(Payload request) override { return Handle(Begin("cast", request)); }
  Task<Result> HandleInfo(Message message) override {
    if (message.is_exit()) return HandleOther("EXIT " + Word(message.reason()));
    if (IsIdleTimeout(message)) return HandleOther("timeout");
    if (message.payload().As<Note>()) {
      ++callbacks_;
      Trace("info");
      return NoReply();
    }
    return Handle(Begin("info", message.payload()));
  }
  Task<Result> HandleContinue(Payload argument) override {
    return Handle(Begin("continue", argument));
  }
  Task<void> Terminate(ExitReason reason) override {
    Trace("terminate " + Word(reason));
    if (Waits(script_.terminate)) co_await self().Yield();
    for (Action a : script_.terminate.actions) Act(a);
    ThrowIfAsked(script_.terminate);
  }

  void Trace(std::string text) { trace_.push_back(std::move(text)); }
  const Callback& Begin(const char* what, const Payload& payload) {
    const Callback& c = **payload.As<const Callback*>();
    ++callbacks_;
    Trace(fmt::format("{} {}", what, c.id));
    return c;
  }
  Task<Result> HandleOther(std::string what) {
    static const Callback kNothing;
    Trace(std::move(what));
    ++callbacks_;
    if (others_.empty()) return NoReply();
    current_ = std::move(others_.front());
    others_.pop_front();
    return Handle(current_);
  }
  Task<Result> Handle(const Callback& c) {
    if (!Waits(c)) return ResultOf(c);
    return [](Server* me, const Callback& c) -> Task<Result> {
      co_await me->self().Yield();
      co_return me->ResultOf(c);
    }(this, c);
  }

  static bool Waits(const Callback& c) {
    return std::find(c.actions.begin(), c.actions.end(), Action::kWait) != c.actions.end();
  }
  void Act(Action action) {
    switch (action) {
      case Action::kLateReply:
        if (waiting_.empty()) return;
        self().Answer(waiting_.front(), Payload::Local(std::string("late")));
        waiting_.pop_front();
        return;
      case Action::kTrap:
      case Action::kNoTrap:
        self().SetTrapExit(action == Action::kTrap);
        return;
      case Action::kWait:
        return;
      case Action::kSendInfo:
        return self().Send(self().pid(), Payload::Local(Note{}));
    }
  }
  static void ThrowIfAsked(const Callback& c) {
    if (c.result == Outcome::kError) throw std::runtime_error("boom");
    if (c.result == Outcome::kExit) throw ProcessExit(Reason(c.reason));
  }
  template <typename R>
  static R Then(const Callback& c, R result) {
    if (c.timeout) return std::move(result).Timeout(absl::ZeroDuration());
    if (!c.after.empty()) {
      return std::move(result).Continue(Payload::Local<const Callback*>(&c.after[0]));
    }
    return result;
  }
  Result ResultOf(const Callback& c) {
    for (Action a : c.actions) Act(a);
    ThrowIfAsked(c);
    if (c.result == Outcome::kStop) return Stop(Reason(c.reason));
    return Then(c, NoReply());
  }
  CallResult CallResultOf(const Callback& c, const CallFrom& from) {
    const Payload reply = Payload::Local(fmt::format("{}", c.id));
    if (c.result != Outcome::kReply && c.result != Outcome::kStopReply) {
      Result result = ResultOf(c);
      waiting_.push_back(from);
      return result;
    }
    for (Action a : c.actions) Act(a);
    if (c.result == Outcome::kReply) return Then(c, Reply(reply));
    return StopReply(Reason(c.reason), reply);
  }

  const Script& script_;
  std::vector<std::string>& trace_;
  const std::function<void(Pid)> watch_;
  std::deque<Callback> others_;
  Callback current_;  // the last of them
  std::deque<CallFrom> waiting_;
  int callbacks_ = 0;
};

class ServerRun {
 public:
  explicit ServerRun(const Script& script)
      : script_(script),
        runtime_({.clock = &time_, .timers = &time_, .workers = 0, .executor = &time_}) {
    runtime_.SetHost(&host_);
  }
  ~ServerRun() { runtime_.Shutdown(); }

  std::vector<std::string> Run() {
    SpawnOptions trapping;
    trapping.trap_exit = true;
    parent_ = *runtime_.Spawn([this](Self& self) { return Parent(self); }, std::move(trapping));
    Show();
    for (size_t i = 0; started_ && i < script_.steps.size(); ++i) {
      Do(i + 1, script_.steps[i]);
      Show();
    }
    return std::move(trace_);
  }

 private:
  struct Command {
    bool exit;  // else a signal to the server
    ExitReason reason;
  };

  Task<ExitReason> Parent(Self& self) {
    StartOptions options;
    options.link = script_.link;
    auto make = [this]() -> std::unique_ptr<Behaviour> {
      return std::make_unique<Server>(script_, &trace_, [this](Pid server) {
        runtime_.Monitor(server, [this](Pid, ExitReason reason) { end_ = Word(reason); });
      });
    };
    const StartResult result = co_await StartBehaviour(self, make, {}, std::move(options));
    started_ = result.started();
    server_ = result.pid;
    if (!started_) {
      results_[0] = result.ignored() ? "ignored" : "failed " + Word(result.reason);
      co_return ExitReason::Normal();
    }
    for (;;) {
      Message m = *co_await self.Receive();
      if (m.is_exit()) {
        heard_.push_back(Word(m.reason()));
      } else if (const Command* command = m.payload().As<Command>()) {
        if (command->exit) co_return command->reason;
        self.Exit(server_, command->reason);
      }
    }
  }

  void Do(size_t k, const Step& s) {
    const Payload callback = Payload::Local<const Callback*>(&s.callback);
    switch (s.kind) {
      case Kind::kCast:
        return runtime_.Cast(server_, callback);
      case Kind::kInfo:
        return runtime_.Send(server_, callback);
      case Kind::kParentExit:
      case Kind::kParentSignal:
        return runtime_.Send(
            parent_, Payload::Local(Command{s.kind == Kind::kParentExit, Reason(s.reason)}));
      case Kind::kSignal:
        return runtime_.Exit(server_, Reason(s.reason));
      default:
        break;
    }
    (void)runtime_.Spawn([this, k, &s](Self& self) { return Caller(self, k, s); });
  }

  Task<ExitReason> Caller(Self& self, size_t k, const Step& s) {
    const absl::Duration forever = absl::InfiniteDuration();
    std::string text;
    if (s.kind == Kind::kCall) {
      text = "call ";
      const auto reply =
          co_await self.Call(server_, Payload::Local<const Callback*>(&s.callback), forever);
      text += reply.ok() ? "reply " + *reply->As<std::string>() : Word(reply.status());
    } else if (s.kind == Kind::kGetState) {
      text = "get_state ";
      const auto state = co_await sys::GetState(self, server_, forever);
      text += state.ok() ? fmt::format("{}", *state->As<int>()) : Word(state.status());
    } else {
      absl::Status status;
      if (s.kind == Kind::kSuspend) {
        text = "suspend ";
        status = co_await sys::Suspend(self, server_, forever);
      } else if (s.kind == Kind::kResume) {
        text = "resume ";
        status = co_await sys::Resume(self, server_, forever);
      } else if (s.kind == Kind::kTerminate) {
        text = "terminate ";
        status = co_await sys::Terminate(self, server_, Reason(s.reason), forever);
      } else {
        text = "stop ";
        status = co_await sys::Stop(self, server_, Reason(s.reason));
      }
      text += status.ok() ? "ok" : Word(status);
    }
    results_[k] = std::move(text);
    co_return ExitReason::Normal();
  }

  void Show() {
    time_.RunUntilIdle();
    for (const auto& [k, text] : std::exchange(results_, {})) {
      trace_.push_back(fmt::format("{} {}", k, text));
    }
    for (const std::string& reason : std::exchange(heard_, {}))
      trace_.push_back("parent " + reason);
    if (!end_.empty()) trace_.push_back("end " + std::exchange(end_, ""));
  }

  const Script& script_;
  VirtualTime time_;
  Host host_;
  std::vector<std::string> trace_;
  std::map<size_t, std::string> results_;
  std::vector<std::string> heard_;
  std::string end_;
  Pid parent_;
  Pid server_;
  bool started_ = false;
  Runtime runtime_;
};

}  // namespace

std::vector<std::string> RunOnServer(const Script& script) { return ServerRun(script).Run(); }

}  // namespace banyan::otp_diff
