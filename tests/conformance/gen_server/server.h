#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "server/behaviours/gen_server.h"
#include "tests/support/actors/actor_test.h"

namespace banyan {

// X of spec/gen_server.md 15.3: a server that runs closures, and writes down what happens.
class ScriptServer : public GenServer {
 public:
  struct Script {
    std::function<Task<InitResult>(ScriptServer&, std::vector<Payload>)> init;
    std::function<Task<CallResult>(ScriptServer&, std::string, CallFrom)> call;
    std::function<Task<Result>(ScriptServer&, std::string)> cast;
    std::function<Task<Result>(ScriptServer&, Message)> info;
    std::function<Task<Result>(ScriptServer&, std::string)> resume;  // handle_continue
    std::function<Task<void>(ScriptServer&, ExitReason)> terminate;
    std::function<void(StatusView&)> format;  // format_status
    std::vector<std::string> trace;  // "call x", "info y", "timeout", "terminate normal", ...
  };

  explicit ScriptServer(Script* script) : script_(script) {}
  Task<InitResult> Init(std::vector<Payload> args) override {
    if (script_->init) return script_->init(*this, std::move(args));
    return Ok();
  }
  Task<CallResult> HandleCall(Payload request, CallFrom from) override {
    script_->trace.push_back("call " + TextOf(request));
    if (script_->call) return script_->call(*this, TextOf(request), from);
    return Reply(request);
  }
  Task<Result> HandleCast(Payload request) override {
    script_->trace.push_back("cast " + TextOf(request));
    if (script_->cast) return script_->cast(*this, TextOf(request));
    return NoReply();
  }
  Task<Result> HandleInfo(Message m) override {
    script_->trace.push_back(IsIdleTimeout(m) ? "timeout"
                             : m.is_exit()    ? "EXIT " + m.reason().ToString()
                                              : "info " + TextOf(m.payload()));
    if (script_->info) return script_->info(*this, std::move(m));
    return NoReply();
  }
  Task<Result> HandleContinue(Payload argument) override {
    script_->trace.push_back("continue " + TextOf(argument));
    if (script_->resume) return script_->resume(*this, TextOf(argument));
    return NoReply();
  }
  Task<void> Terminate(ExitReason reason) override {
    script_->trace.push_back("terminate " + reason.ToString());
    if (script_->terminate) return script_->terminate(*this, std::move(reason));
    return Task<void>();
  }
  void FormatStatus(StatusView& view) override {
    if (script_->format) script_->format(view);
  }
  absl::StatusOr<Payload> GetState() override { return Word(state); }
  absl::Status ReplaceState(const Payload& s) override {
    state = TextOf(s);
    return absl::OkStatus();
  }

  // For the closures.
  using GenServer::Ignore;
  using GenServer::NoReply;
  using GenServer::Ok;
  using GenServer::Reply;
  using GenServer::ReplyError;
  using GenServer::self;
  using GenServer::steps;
  using GenServer::Stop;
  using GenServer::StopReply;

  std::string state = "state";

 private:
  Script* const script_;
};

class GenServerTest : public ActorTest {
 protected:
  using S = ScriptServer;
  using Init = GenServer::InitResult;
  using CallResult = GenServer::CallResult;
  using Step = GenServer::Result;

  static StartOptions Linked(std::string name = "") {
    StartOptions o;
    o.name = std::move(name);
    o.module = "script";
    return o;
  }
  Task<StartResult> StartIt(Self& t, StartOptions options = Linked()) {
    return StartBehaviour(
        t, [this] { return std::make_unique<S>(&script_); }, {}, std::move(options));
  }
  Task<Pid> StartOk(Self& t, StartOptions options = Linked()) {
    StartResult r = co_await StartIt(t, std::move(options));
    EXPECT_TRUE(r.started()) << r.reason.ToString();
    co_return r.pid;
  }
  // A process that starts the server, tells it to trap exits or not, and sends T the pid; it lives
  // until it gets a word: an exit reason to end with.
  S::Script script_;
};

}  // namespace banyan
