#include "server/behaviours/gen_statem_engine.h"

#include <cstdlib>
#include <typeinfo>
#include <utility>

#include "fmt/format.h"
#include <cxxabi.h>

#include "server/behaviours/module.h"

namespace banyan {
namespace {

// After this many callbacks without a wait others get their turn, and exit signals are seen.
constexpr int kBurst = 256;

const StatemEvent& EnterEvent() {
  static const StatemEvent* const kEnter = new StatemEvent(StatemEvent::Enter());
  return *kEnter;
}

// `cast "go"`
std::string Shown(const StatemEvent& event) {
  const std::string content = FormatPayload(event.content());
  return event.TypeText() + (content.empty() ? "" : " ") + content;
}

void AddItem(std::string& list, const std::string& item) {
  if (!list.empty()) list += ", ";
  list += item;
}

}  // namespace

std::string StatemModuleBase::name() const {
  const char* mangled = typeid(*this).name();
  int status = 0;
  char* demangled = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name = status == 0 ? demangled : mangled;
  std::free(demangled);
  return name;
}

// The timers of a process.
class StatemEngine::Timers : public StatemTimerService {
 public:
  explicit Timers(Self& self) : self_(self) {}
  Ref Start(const TimeoutRequest& request) override {
    return self_.StartTimer(request.op == TimeoutRequest::Op::kStartAt ? request.at - self_.Now()
                                                                       : request.after);
  }
  void Cancel(Ref timer) override { self_.CancelTimer(timer); }

 private:
  Self& self_;
};

StatemEngine::~StatemEngine() = default;

StatemEngine::Extra& StatemEngine::extra() {
  if (!extra_) extra_ = std::make_unique<Extra>();
  return *extra_;
}

StatemModuleBase& StatemEngine::top() {
  if (!extra_ || extra_->modules.empty() || !extra_->modules.back()) return own_module();
  return *extra_->modules.back();
}

// ------------------------------------------------------------------- start

Task<Initialised> StatemEngine::OnInit(std::vector<Payload> args) {
  Started started = co_await InitSteps::Guard(
      CallInit(std::move(args)), steps_,
      [](const Started& started) { return started.init.kind == Initialised::Kind::kOk; });
  if (started.init.kind == Initialised::Kind::kOk) {
    Begin(std::move(started.transition));
    started.init.next = Next::Continue({});
  }
  co_return std::move(started.init);
}

InitSteps& StatemEngine::steps() {
  if (!steps_) steps_ = std::make_unique<InitSteps>(&self(), context().module);
  return *steps_;
}

Task<Next> StatemEngine::OnContinue(Payload) {
  std::unique_ptr<StatemTransition> init = std::move(init_);
  TakeCallbackMode(own_module());
  if (debugging()) [[unlikely]] {
    SysEvent e = Report(SysEvent::Kind::kEnter);
    e.module = own_module().name();
    Debug(e);
  }
  // There is no event that could be postponed.
  init->actions.emplace_back(StatemPostpone{false});
  if (!Absorb(std::move(*init))) return Finish();
  return Drive();
}

// ------------------------------------------------------------------ events

Task<Next> StatemEngine::OnMessage(Message message) {
  std::optional<StatemTimeouts::Fired> timeout;
  if (message.is_timeout() && extra_) timeout = extra_->timeouts.Fire(message.ref());
  handling_ = true;
  current_ = timeout ? StatemEvent(*std::move(timeout)) : StatemEvent(std::move(message));
  return Drive();
}

Task<StatemTransition> StatemEngine::CallDue() {
  return CallState(entering_ ? EnterEvent() : current_);
}

Task<Next> StatemEngine::Drive() {
  for (int n = 0;; ++n) {
    Task<StatemTransition> callback = CallDue();
    if (!callback.ready() || n == kBurst) return DriveOn(std::move(callback), n);
    if (!Absorb(callback.Result())) return Finish();
  }
}

Task<Next> StatemEngine::DriveOn(Task<StatemTransition> callback, int n) {
  for (;; ++n) {
    if (n >= kBurst) {
      n = 0;
      co_await self().Yield();
    }
    StatemTransition transition = co_await std::move(callback);
    if (!Absorb(std::move(transition))) co_return Finish();
    callback = CallDue();
  }
}

Next StatemEngine::Finish() {
  if (stop_) return Next::Stop(*std::exchange(stop_, nullptr));
  current_ = StatemEvent();
  return Next::Wait();
}

bool StatemEngine::Fail(std::string_view type, std::string message) {
  stop_ = std::make_unique<ExitReason>(ExitReason::Error(std::string(type), std::move(message)));
  return false;
}

// ------------------------------------------------------------- transitions

bool StatemEngine::Absorb(StatemTransition transition) {
  using Kind = StatemTransition::Kind;
  const bool from_enter = std::exchange(entering_, false);
  if (transition.kind == Kind::kStop) {
    SendReplies(transition);
    stop_ = std::make_unique<ExitReason>(std::move(transition.reason));
    return false;
  }
  if (from_enter && transition.changes) {
    return Fail("bad_state_enter_return_from_state_function",
                fmt::format("the enter call of state {} changes the state", StateText()));
  }
  for (StatemAction& action : transition.actions) {
    if (!Perform(std::move(action), from_enter)) return false;
  }
  changed_ |= transition.changes;
  if (state_enter() && (transition.changes || transition.kind == Kind::kRepeatState)) {
    return entering_ = true;
  }
  return Complete();
}

bool StatemEngine::Perform(StatemAction action, bool from_enter) {
  if (auto* reply = std::get_if<StatemReply>(&action)) {
    Send(std::move(*reply));
    return true;
  }
  if (auto* timeout = std::get_if<TimeoutRequest>(&action)) return Request(std::move(*timeout));
  auto* postpone = std::get_if<StatemPostpone>(&action);
  if (from_enter && !(postpone && !postpone->on)) {
    return Fail("bad_state_enter_action_from_state_function",
                fmt::format("the enter call of state {} has no event to postpone, inserts none and "
                            "changes no module",
                            StateText()));
  }
  if (postpone) {
    postpone_ = postpone->on;
  } else if (auto* event = std::get_if<StatemEvent>(&action)) {
    if (debugging()) [[unlikely]]
      Debug(Report(SysEvent::Kind::kIn, *event));
    extra().inserted.push_back(std::move(*event));
  } else {
    return ChangeModule(std::get<StatemModuleChange>(std::move(action)));
  }
  return true;
}

bool StatemEngine::Request(TimeoutRequest request) {
  if (request.op == TimeoutRequest::Op::kStart && request.after < absl::ZeroDuration()) {
    return Fail("bad_action_from_state_function",
                fmt::format("a timeout of {}", absl::FormatDuration(request.after)));
  }
  extra().requests.push_back(std::move(request));
  return true;
}

bool StatemEngine::ChangeModule(StatemModuleChange change) {
  using Op = StatemModuleChange::Op;
  auto& modules = extra().modules;
  if (modules.empty()) modules.push_back(nullptr);
  if (change.op == Op::kPop) {
    if (modules.size() == 1)
      return Fail("bad_action_from_state_function", "pop_callback_module: it is the only one");
    std::unique_ptr<StatemModuleBase>& below = modules[modules.size() - 2];
    TakeCallbackMode(below ? *below : own_module());
    modules.pop_back();
  } else {
    if (!change.module) return Fail("bad_action_from_state_function", "no callback module");
    TakeCallbackMode(*change.module);
    if (change.op == Op::kChange) modules.pop_back();
    modules.push_back(std::move(change.module));
  }
  if (debugging()) [[unlikely]] {
    SysEvent e = Report(SysEvent::Kind::kModule);
    e.module = top().name();
    Debug(e);
  }
  return true;
}

bool StatemEngine::Complete() {
  if (debugging()) [[unlikely]] {
    SysEvent e = Report(postpone_ ? SysEvent::Kind::kPostpone : SysEvent::Kind::kConsume, current_);
    e.next_state = std::exchange(e.state, OldStateText());
    Debug(e);
  }
  if (postpone_) extra().queue.Postpone(std::move(current_));
  if (extra_) {
    Timers timers(self());
    if (changed_) extra_->queue.Retry();
    extra_->timeouts.EventDone(changed_, timers);
    StatemTimeouts::KeepLast(&extra_->requests);
    for (TimeoutRequest& r : extra_->requests) {
      if (debugging()) [[unlikely]]
        ReportTimer(r);
      extra_->timeouts.Apply(std::move(r), timers);
    }
    extra_->requests.clear();
    extra_->queue.Insert(extra_->inserted);
  }
  ForgetOldState();
  changed_ = postpone_ = false;
  return TakeNext();
}

bool StatemEngine::TakeNext() {
  handling_ = false;
  if (!extra_) return false;
  if (std::optional<StatemEvent> event = extra_->queue.Pop()) {
    current_ = *std::move(event);
    return handling_ = true;
  }
  if (std::optional<StatemTimeouts::Fired> zero = extra_->timeouts.PopZero()) {
    current_ = StatemEvent(*std::move(zero));
    if (debugging()) [[unlikely]]
      Debug(Report(SysEvent::Kind::kIn, current_));
    return true;
  }
  return false;
}

void StatemEngine::Send(StatemReply reply) {
  if (debugging()) [[unlikely]]
    Debug(SysEvent::Out(reply.payload, reply.to.caller));
  if (reply.error.ok()) {
    self().Answer(reply.to, std::move(reply.payload));
  } else {
    self().AnswerError(reply.to, std::move(reply.error));
  }
}

void StatemEngine::SendReplies(StatemTransition& transition) {
  for (StatemAction& action : transition.actions) Send(std::get<StatemReply>(std::move(action)));
}

// --------------------------------------------------------------- end, sys

Task<void> StatemEngine::OnTerminate(ExitReason reason) {
  // An exception out of an enter call: the state was not entered.
  if (entering_) RestoreOldState();
  if (debugging()) [[unlikely]]
    return TerminateDebugged(std::move(reason));
  return top().Terminate(std::move(reason));
}

Task<void> StatemEngine::TerminateDebugged(ExitReason reason) {
  co_await top().Terminate(reason);
  if (!debugging() || !reason.clean()) co_return;
  SysEvent e = Report(SysEvent::Kind::kTerminate);
  e.reason = std::move(reason);
  Debug(e);
}

void StatemEngine::FormatStatus(StatusView& view) {
  view.state = DataForPeople();
  view.state_name = StateText();
  std::string modules, postponed, timeouts;
  std::string queue = handling_ ? Shown(current_) : "";
  if (!extra_ || extra_->modules.empty()) modules = own_module().name();
  if (extra_) {
    for (auto m = extra_->modules.rbegin(); m != extra_->modules.rend(); ++m)
      AddItem(modules, (*m ? **m : own_module()).name());
    for (const StatemEvent& e : extra_->queue.postponed()) AddItem(postponed, Shown(e));
    for (StatemTimeouts::Fired& t : extra_->timeouts.List())
      AddItem(timeouts, StatemEvent(std::move(t)).TypeText());
    const auto& pending = extra_->queue.pending();
    for (auto e = pending.rbegin(); e != pending.rend(); ++e) AddItem(queue, Shown(*e));
  }
  view.items["modules"] = std::move(modules);
  view.items["postponed"] = std::move(postponed);
  view.items["timeouts"] = std::move(timeouts);
  if (!queue.empty()) view.items["queue"] = std::move(queue);
  top().ShowStatus(view);
}

// -------------------------------------------------------------- sys events

SysEvent StatemEngine::Report(SysEvent::Kind kind, const StatemEvent& event) const {
  SysEvent e = Report(kind);
  e.type = event.TypeText();
  e.content = event.content();
  if (event.is_call()) e.peer = event.from().caller;
  return e;
}

SysEvent StatemEngine::Report(SysEvent::Kind kind) const {
  SysEvent e = SysEvent::Of(kind);
  e.state = StateText();
  return e;
}

SysEvent StatemEngine::InEvent(const Message& message) {
  const StatemTimeouts::Fired* timeout =
      message.is_timeout() && extra_ ? extra_->timeouts.Of(message.ref()) : nullptr;
  if (timeout) return Report(SysEvent::Kind::kIn, StatemEvent(*timeout));
  SysEvent e = SysEvent::In(message);
  e.state = StateText();
  return e;
}

void StatemEngine::ReportTimer(const TimeoutRequest& request) {
  using Op = TimeoutRequest::Op;
  const absl::Duration time =
      request.op == Op::kStartAt ? request.at - self().Now() : request.after;
  if ((request.op != Op::kStart && request.op != Op::kStartAt) ||
      time == absl::InfiniteDuration()) {
    return;
  }
  SysEvent e = Report(SysEvent::Kind::kStartTimer,
                      StatemEvent(StatemTimeouts::Fired{request.id, request.content}));
  e.time = time;
  Debug(e);
}

}  // namespace banyan
