#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "server/behaviours/gen_event.h"
#include "tests/support/actors/actor_test.h"

namespace banyan {

// A handler that runs closures, and writes down what happens: "a event x" for the handler {h,a}.
class ScriptHandler : public EventHandler {
 public:
  struct Script {
    // Without one: Ok(), a reply that is the request, no result.
    std::function<Task<InitResult>(ScriptHandler&, HandlerArgs)> init;
    std::function<Task<Result>(ScriptHandler&, std::string)> event;
    std::function<Task<CallResult>(ScriptHandler&, std::string)> call;
    std::function<Task<Payload>(ScriptHandler&, HandlerEnd)> terminate;
    std::function<absl::Status(ScriptHandler&, std::string state, std::string extra)> code_change;
    std::vector<std::string> trace;
  };

  explicit ScriptHandler(Script* script) : script_(script) {}
  Task<InitResult> Init(HandlerArgs args) override {
    state = TextOf(args.args);
    std::string from;
    if (args.predecessor) {
      from = args.predecessor->ok() ? " after " + TextOf(**args.predecessor)
                                    : " after " + ErrorReason(args.predecessor->status());
    }
    Note("init " + state + from);
    if (script_->init) return script_->init(*this, std::move(args));
    return Ok();
  }
  Task<Result> HandleEvent(Payload event) override {
    Note("event " + TextOf(event));
    if (script_->event) return script_->event(*this, TextOf(event));
    return Ok();
  }
  Task<CallResult> HandleCall(Payload request) override {
    Note("call " + TextOf(request));
    if (script_->call) return script_->call(*this, TextOf(request));
    return Reply(request);
  }
  Task<Result> HandleInfo(const Message& m) override {
    Note(m.is_exit() ? "EXIT " + m.reason().ToString() : "info " + TextOf(m.payload()));
    return Ok();
  }
  Task<Payload> Terminate(HandlerEnd why) override {
    Note("terminate " + Text(why));
    if (script_->terminate) return script_->terminate(*this, std::move(why));
    return Word("left by " + state);
  }
  absl::StatusOr<Payload> GetState() override { return Word(state); }
  absl::Status ReplaceState(const Payload& s) override {
    state = TextOf(s);
    return absl::OkStatus();
  }
  Task<absl::Status> OnCodeChange(Payload old, CodeChange change) override {
    state = TextOf(old);
    return script_->code_change(*this, state, TextOf(change.extra));
  }

  void Note(std::string what) {
    script_->trace.push_back((id().id.empty() ? id().module : id().id) + " " + std::move(what));
  }
  // "args x", "remove_handler", "stop", "{stop,R}", "{error,R}".
  static std::string Text(const HandlerEnd& why) {
    switch (why.kind) {
      case HandlerEnd::Kind::kArgs:
        return "args " + TextOf(why.args);
      case HandlerEnd::Kind::kRemoved:
        return "remove_handler";
      case HandlerEnd::Kind::kStop:
        return "stop";
      case HandlerEnd::Kind::kStopped:
        return "{stop," + why.reason.ToString() + "}";
      case HandlerEnd::Kind::kError:
        return "{error," + why.reason.ToString() + "}";
    }
    return "";
  }

  // For the closures.
  using EventHandler::Fail;
  using EventHandler::id;
  using EventHandler::Ok;
  using EventHandler::RemoveHandler;
  using EventHandler::Reply;
  using EventHandler::self;
  using EventHandler::SwapHandler;

  std::string state;

 private:
  Script* const script_;
};

// A handler with the mandatory callbacks and nothing else.
class BareHandler : public EventHandler {
 public:
  Task<InitResult> Init(HandlerArgs args) override { return Ok(); }
  Task<Result> HandleEvent(Payload event) override { return Ok(); }
  Task<CallResult> HandleCall(Payload request) override { return NotHandled(request); }
};

// T is no parent of its managers, unless it starts them with Linked(), so that it may supervise
// handlers. The module h is ScriptHandler, bare is BareHandler.
class GenEventTest : public ActorTest, protected ProcessReports {
 protected:
  using H = ScriptHandler;
  using Init = EventHandler::InitResult;
  using Step = EventHandler::Result;
  using CallResult = EventHandler::CallResult;

  GenEventTest() {
    handlers_.AddFactory("h", [this] { return std::make_unique<H>(&script_); });
    handlers_.Add<BareHandler>("bare");
    host_.reports = this;
  }

  static StartOptions Unlinked() {
    StartOptions o;
    o.link = false;
    o.module = "gen_event";
    return o;
  }
  static StartOptions Linked() {
    StartOptions o = Unlinked();
    o.link = true;
    return o;
  }
  Task<Pid> Start(Self& t, StartOptions options = Unlinked()) {
    StartResult r = co_await StartBehaviour(
        t, [this] { return std::make_unique<GenEvent>(&handlers_); }, {}, std::move(options));
    EXPECT_TRUE(r.started()) << r.reason.ToString();
    co_return r.pid;
  }
  // {h,`id`} with `id` as its argument.
  static Task<void> Add(Self& t, Pid m, std::string id) {
    absl::Status added = co_await gen_event::AddHandler(t, m, {"h", id}, Word(id));
    EXPECT_TRUE(added.ok()) << added;
  }
  static Task<void> AddSup(Self& t, Pid m, std::string id) {
    absl::Status added = co_await gen_event::AddSupHandler(t, m, {"h", id}, Word(id));
    EXPECT_TRUE(added.ok()) << added;
  }
  static Task<void> Event(Self& t, Pid m, std::string word) {
    absl::Status all_have_run = co_await gen_event::SyncNotify(t, m, Word(std::move(word)));
    EXPECT_TRUE(all_have_run.ok()) << all_have_run;
  }
  // "{h,2} {h,1} bare"
  static Task<std::string> Which(Self& t, Pid m) {
    absl::StatusOr<std::vector<HandlerId>> ids = co_await gen_event::WhichHandlers(t, m);
    EXPECT_TRUE(ids.ok()) << ids.status();
    std::string text;
    for (const HandlerId& id : *ids) text += (text.empty() ? "" : " ") + FormatHandlerId(id);
    co_return text;
  }
  // The GenEventExit that comes next, as "{h,a} REASON" or "{h,a} swapped {h,b}"; "" for none
  // within a second.
  static Task<std::string> ExitWord(Self& t) {
    std::optional<Message> m = co_await t.ReceiveIf(
        [](const Message& m) { return m.payload().As<GenEventExit>() != nullptr; },
        t.Now() + absl::Seconds(1));
    if (!m) co_return "";
    const auto* word = m->payload().As<GenEventExit>();
    std::string text = FormatHandlerId(word->handler);
    if (!word->swapped) co_return text + " " + word->reason.ToString();
    if (word->swapped->supervisor != t.pid()) text += " not to T";
    co_return text + " swapped " + FormatHandlerId(word->swapped->by);
  }
  // The reason that a HANDLER_FAILED tells; any other status is shown as it is.
  static std::string Failure(const absl::Status& status) {
    if (ErrorReason(status) != "HANDLER_FAILED") return status.ToString();
    return GetErrorInfo(status)->exit_reason->ToString();
  }
  std::vector<std::string> TakeTrace() { return std::exchange(script_.trace, {}); }

  void OnHandlerCrash(Pid, const std::string& handler, const ExitReason& reason) override {
    reports_.push_back(handler + " " + reason.ToString());
  }
  void OnWarning(Pid, const std::string& module, const std::string& text) override {
    reports_.push_back("warning " + module + ": " + text);
  }

  EventHandlers handlers_;
  H::Script script_;
  std::vector<std::string> reports_;
};

}  // namespace banyan
