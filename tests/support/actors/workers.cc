#include "tests/support/actors/workers.h"

#include "tests/support/actors/actor_test.h"

namespace banyan {
namespace {

std::string Arg(const std::vector<Payload>& args, size_t i) {
  return i < args.size() ? TextOf(args[i]) : "";
}

absl::Duration Millis(const std::string& text) { return absl::Milliseconds(std::stoi(text)); }

// A server that takes no calls and drops what it does not know.
class Worker : public GenServer {
 public:
  Task<InitResult> Init(std::vector<Payload> args) override {
    self().SetTrapExit(true);
    return Ok();
  }
  Task<CallResult> HandleCall(Payload request, CallFrom from) override {
    return NotHandled(request);
  }
  Task<Result> HandleCast(Payload request) override { return NoReply(); }
  Task<Result> HandleInfo(Message m) override { return NoReply(); }
};

class W1 : public Worker {
 public:
  Task<Result> HandleInfo(Message m) override {
    if (m.is_exit() && m.reason().is_shutdown()) return Stop(m.reason());
    const std::string word = TextOf(m.payload());
    if (word == "die") return Stop(ExitReason::Error("died"));
    if (word == "stop") return Stop(ExitReason::Normal());
    if (word == "sleep") return SleepForEver();
    return NoReply();
  }

 private:
  Task<Result> SleepForEver() {
    for (;;) co_await self().Sleep(absl::Hours(1));
  }
};

class FailingInit : public Worker {
 public:
  Task<InitResult> Init(std::vector<Payload> args) override { throw FunctionClause(); }
};

class W2 : public Worker {
 public:
  Task<InitResult> Init(std::vector<Payload> args) override {
    self().SetTrapExit(true);
    pause_ = Millis(Arg(args, 0));
    return Ok();
  }
  Task<void> Terminate(ExitReason reason) override { co_await self().Sleep(pause_); }

 private:
  absl::Duration pause_;
};

class W3 : public Worker {
 public:
  explicit W3(WorkerWorld* world) : world_(world) {}
  Task<InitResult> Init(std::vector<Payload> args) override {
    self().Send(world_->judge,
                Payload::Local(std::pair<std::string, Pid>(Arg(args, 0), self().pid())));
    std::optional<Message> verdict = co_await self().Receive();
    if (TextOf(verdict->payload()) == "ok") co_return Ok();
    co_return Stop(ExitReason::Normal());
  }
  Task<Result> HandleInfo(Message m) override {
    if (TextOf(m.payload()) == "die") return Stop(ExitReason::Error("died"));
    return NoReply();
  }

 private:
  WorkerWorld* world_;
};

class W4 : public Worker {
 public:
  Task<InitResult> Init(std::vector<Payload> args) override {
    self().SetTrapExit(true);
    word_ = Arg(args, 0);
    return Ok();
  }
  Task<Result> HandleInfo(Message m) override {
    if (TextOf(m.payload()) == "stop") return Stop(ExitReason::Normal());
    return NoReply();
  }
  Task<void> Terminate(ExitReason reason) override {
    if (!word_.empty()) co_await self().ExitSelf(ReasonOfWord(word_));
  }

 private:
  std::string word_;
};

class WD : public Worker {
 public:
  explicit WD(WorkerWorld* world) : world_(world) {}
  Task<InitResult> Init(std::vector<Payload> args) override {
    if (!world_->fail_start) co_return Ok();
    co_await self().Sleep(absl::Seconds(2));
    co_return Stop(ExitReason::Error("error"));
  }
  Task<Result> HandleCast(Payload request) override { return Stop(ExitReason::Error("error")); }

 private:
  WorkerWorld* world_;
};

class WU : public Worker {
 public:
  Task<InitResult> Init(std::vector<Payload> args) override {
    self().Unlink(self().parent());
    return Ok();
  }
};

class Recorder : public W1 {
 public:
  explicit Recorder(WorkerWorld* world) : world_(world) {}
  Task<InitResult> Init(std::vector<Payload> args) override {
    self().SetTrapExit(true);
    id_ = Arg(args, 0);
    world_->trace.push_back("init " + id_);
    return Ok();
  }
  Task<void> Terminate(ExitReason reason) override {
    world_->trace.push_back("terminate " + id_ + " " + reason.ToString());
    return Task<void>();
  }

 private:
  WorkerWorld* world_;
  std::string id_;
};

class Slow : public Worker {
 public:
  Task<InitResult> Init(std::vector<Payload> args) override {
    self().SetTrapExit(true);
    co_await self().Sleep(Millis(Arg(args, 0)));
    co_return Ok();
  }
};

template <typename T, typename... A>
Task<StartResult> StartWorker(Self& starter, StartSpec spec, StartContext context, A... a) {
  StartOptions o = StartOptionsOf(spec, context);
  return StartBehaviour(
      starter, [a...] { return std::unique_ptr<Behaviour>(new T(a...)); }, std::move(spec.args),
      std::move(o), std::move(context));
}

Task<StartResult> StartW1(WorkerWorld* world, Self& starter, StartSpec spec, StartContext context) {
  const std::string mode = Arg(spec.args, 0);
  const int before = world->starts[{starter.pid(), context.child_id}]++;
  if (mode == "ret_error") co_return StartResult::Failed(ExitReason::Error("reason"));
  if (mode == "ignore" && before == 0) co_return StartResult::Ignored();
  if (mode == "raise") throw FunctionClause();
  if (mode == "error" && before > 0) {
    co_return co_await StartWorker<FailingInit>(starter, std::move(spec), std::move(context));
  }
  Payload info = mode == "extra" ? spec.args[1] : Payload();
  StartResult result = co_await StartWorker<W1>(starter, std::move(spec), std::move(context));
  if (result.started()) result.info = std::move(info);
  co_return result;
}

// Starts 2 to N+1 of a child fail where N is its second argument; "for_ever" fails them all.
Task<StartResult> StartRecorder(WorkerWorld* world, Self& starter, StartSpec spec,
                                StartContext context) {
  const int before = world->starts[{starter.pid(), context.child_id}]++;
  const std::string id = Arg(spec.args, 0);
  const std::string fails = Arg(spec.args, 1);
  if (!fails.empty() && before > 0 && (fails == "for_ever" || before <= std::stoi(fails))) {
    world->trace.push_back("fail " + id);
    return StartResult::Failed(ExitReason::Error("nope"));
  }
  return StartWorker<Recorder>(starter, std::move(spec), std::move(context), world);
}

// A process that is not linked to whoever starts it.
Task<StartResult> StartUnlinked(Self& starter, StartSpec spec, StartContext context) {
  ProcessMain main = [](Self& self) -> Task<ExitReason> {
    co_await self.Receive();
    co_return ExitReason::Normal();
  };
  absl::StatusOr<SpawnResult> p = starter.Spawn(std::move(main), {});
  return StartResult::Started(p->pid);
}

}  // namespace

ExitReason ReasonOfWord(const std::string& word) {
  if (word == "normal") return ExitReason::Normal();
  if (word == "shutdown") return ExitReason::Shutdown();
  if (word == "shutdown_test") return ExitReason::Shutdown(Payload::Any("test", "test"));
  return ExitReason::Error(word);
}

void AddWorkers(Modules* modules, WorkerWorld* world) {
  modules->AddFunction("w1", [world](Self& s, StartSpec spec, StartContext c) {
    return StartW1(world, s, std::move(spec), std::move(c));
  });
  modules->Add<W2>("w2");
  modules->AddBehaviour("w3", [world] { return std::make_unique<W3>(world); });
  modules->Add<W4>("w4");
  modules->AddBehaviour("wd", [world] { return std::make_unique<WD>(world); });
  modules->Add<WU>("wu");
  modules->AddFunction("r", [world](Self& s, StartSpec spec, StartContext c) {
    return StartRecorder(world, s, std::move(spec), std::move(c));
  });
  modules->Add<Slow>("slow");
  modules->AddFunction("unlinked", StartUnlinked);
}

}  // namespace banyan
