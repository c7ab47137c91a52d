// Compares state machines with OTP's own gen_statem on random scenarios:
//   statem_diff ERL_SOURCE [FIRST_SEED [COUNT]]
// Without numbers: 500 from seed 1, or what BANYAN_SEED and BANYAN_SEEDS say. Prints the smallest
// scenario found that differs, with both traces; exit status 1 then. Timeouts are zero or an hour,
// so that nothing depends on the speed of either side.
#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "fmt/format.h"

#include "common/time/virtual_time.h"
#include "diff.h"
#include "server/behaviours/gen_statem.h"
#include "server/behaviours/sys.h"

namespace banyan::otp_diff {
namespace {

struct Action {
  enum class Kind { kPostpone, kDoNotPostpone, kNextEvent, kZero, kHour, kCancel, kUpdate };
  Kind kind = Kind::kPostpone;
  TimeoutId id;
  std::string content;
};
struct Rule {
  std::string next;  // a state, "keep" or "repeat"
  std::vector<Action> actions;
};
struct Scenario {
  uint32_t seed = 0;
  bool enter = false;
  std::vector<std::string> casts;
  std::map<std::pair<std::string, std::string>, Rule> rules;  // (state, content or "enter")
};

// Contents are words; timeouts have the same as events, so that they too have rules.
const std::vector<std::string> kWords = {"p", "q", "r", "u", "v", "w"};
const std::vector<std::string> kStates = {"a", "b", "c"};
constexpr int kBudget = 60;  // as in statem_diff.erl

class Maker {
 public:
  explicit Maker(uint32_t seed) : random_(seed) {}

  Scenario Make(uint32_t seed) {
    Scenario s;
    s.seed = seed;
    s.enter = Chance(50);
    for (size_t n = 3 + Below(6); n > 0; --n) s.casts.push_back(Pick(kWords));
    for (const std::string& state : kStates) {
      for (const std::string& word : kWords) {
        if (!Chance(15)) s.rules[{state, word}] = MakeRule();
      }
      if (Chance(60)) s.rules[{state, "enter"}] = MakeEnterRule();
    }
    return s;
  }

 private:
  size_t Below(size_t n) { return random_() % n; }
  bool Chance(size_t percent) { return Below(100) < percent; }
  const std::string& Pick(const std::vector<std::string>& from) { return from[Below(from.size())]; }

  Rule MakeRule() {
    Rule rule;
    rule.next = Chance(45) ? Pick(kStates) : Chance(80) ? "keep" : "repeat";
    for (size_t n = Below(5); n > 0; --n) rule.actions.push_back(MakeAction());
    return rule;
  }
  Rule MakeEnterRule() {
    Rule rule;
    rule.next = Chance(90) ? "keep" : "repeat";
    for (size_t n = Below(3); n > 0; --n) rule.actions.push_back(MakeTimeout());
    return rule;
  }
  Action MakeAction() {
    if (Chance(30))
      return {Chance(85) ? Action::Kind::kPostpone : Action::Kind::kDoNotPostpone, {}, {}};
    if (Chance(25)) return {Action::Kind::kNextEvent, {}, Pick(kWords)};
    return MakeTimeout();
  }
  Action MakeTimeout() {
    static const TimeoutId kIds[] = {{TimeoutId::Kind::kState, ""},
                                     {TimeoutId::Kind::kEvent, ""},
                                     {TimeoutId::Kind::kNamed, "x"},
                                     {TimeoutId::Kind::kNamed, "y"}};
    static const Action::Kind kKinds[] = {Action::Kind::kZero, Action::Kind::kZero,
                                          Action::Kind::kHour, Action::Kind::kCancel,
                                          Action::Kind::kUpdate};
    return {kKinds[Below(5)], kIds[Below(4)], Pick(kWords)};
  }

  std::mt19937 random_;
};

// ------------------------------------------------------------- as Erlang

std::string ToErlang(const Action& a) {
  using Kind = Action::Kind;
  const std::string type = a.id.kind == TimeoutId::Kind::kState   ? "state_timeout"
                           : a.id.kind == TimeoutId::Kind::kEvent ? "timeout"
                                                                  : "{timeout," + a.id.name + "}";
  switch (a.kind) {
    case Kind::kPostpone:
      return "postpone";
    case Kind::kDoNotPostpone:
      return "{postpone,false}";
    case Kind::kNextEvent:
      return fmt::format("{{next_event,internal,{}}}", a.content);
    case Kind::kZero:
      return fmt::format("{{{},0,{}}}", type, a.content);
    case Kind::kHour:
      return fmt::format("{{{},3600000,{}}}", type, a.content);
    case Kind::kCancel:
      return fmt::format("{{{},cancel}}", type);
    case Kind::kUpdate:
      break;
  }
  return fmt::format("{{{},update,{}}}", type, a.content);
}

std::string ToErlang(const Scenario& s) {
  std::vector<std::string> rules;
  for (const auto& [key, rule] : s.rules) {
    std::vector<std::string> actions;
    for (const Action& a : rule.actions) actions.push_back(ToErlang(a));
    rules.push_back(fmt::format("{{{{{},{}}},{{{},[{}]}}}}", key.first, key.second, rule.next,
                                absl::StrJoin(actions, ",")));
  }
  return fmt::format("{{{},{},[{}],[{}]}}.\n", s.seed, s.enter, absl::StrJoin(s.casts, ","),
                     absl::StrJoin(rules, ",\n  "));
}

// ------------------------------------------------------------------ ours

class Machine : public GenStatem<std::string> {
 public:
  Machine(const Scenario* scenario, Trace* trace) : scenario_(scenario), trace_(trace) {}

 private:
  Task<InitResult> Init(std::vector<Payload>) override { return Ok("a"); }
  Mode CallbackMode() override {
    return HandleEvents(&Machine::HandleEvent).StateEnter(scenario_->enter);
  }
  Task<Result> HandleEvent(const Event& e, const std::string& state) {
    const std::string content = e.is_enter() ? old_state() : *e.As<std::string>();
    trace_->push_back(fmt::format("{} {} @{}", e.TypeText(), content, state));
    auto found = scenario_->rules.find({state, e.is_enter() ? "enter" : content});
    if (callbacks_++ >= kBudget || found == scenario_->rules.end()) return KeepState();
    const Rule& rule = found->second;
    Result result = rule.next == "keep"     ? KeepState()
                    : rule.next == "repeat" ? RepeatState()
                                            : NextState(rule.next);
    for (const Action& a : rule.actions) result = Add(std::move(result), a);
    return result;
  }
  static Result Add(Result r, const Action& a) {
    using Kind = Action::Kind;
    switch (a.kind) {
      case Kind::kPostpone:
        return std::move(r).Postpone();
      case Kind::kDoNotPostpone:
        return std::move(r).Postpone(false);
      case Kind::kNextEvent:
        return std::move(r).NextEvent(Payload::Local(a.content));
      case Kind::kZero:
        return Start(std::move(r), a, absl::ZeroDuration());
      case Kind::kHour:
        return Start(std::move(r), a, absl::Hours(1));
      case Kind::kCancel:
        return Start(std::move(r), a, absl::InfiniteDuration());
      case Kind::kUpdate:
        break;
    }
    switch (a.id.kind) {
      case TimeoutId::Kind::kState:
        return std::move(r).UpdateStateTimeout(Payload::Local(a.content));
      case TimeoutId::Kind::kEvent:
        return std::move(r).UpdateTimeout(Payload::Local(a.content));
      case TimeoutId::Kind::kNamed:
        break;
    }
    return std::move(r).UpdateNamedTimeout(a.id.name, Payload::Local(a.content));
  }
  static Result Start(Result r, const Action& a, absl::Duration d) {
    switch (a.id.kind) {
      case TimeoutId::Kind::kState:
        return std::move(r).StateTimeout(d, Payload::Local(a.content));
      case TimeoutId::Kind::kEvent:
        return std::move(r).Timeout(d, Payload::Local(a.content));
      case TimeoutId::Kind::kNamed:
        break;
    }
    return std::move(r).NamedTimeout(a.id.name, d, Payload::Local(a.content));
  }

  const Scenario* const scenario_;
  Trace* const trace_;
  int callbacks_ = 0;
};

Task<ExitReason> Drive(Self& self, const Scenario* s, Trace* trace) {
  StartResult started =
      co_await StartBehaviour(self, [=] { return std::make_unique<Machine>(s, trace); }, {}, {});
  for (const std::string& word : s->casts) self.Cast(started.pid, Payload::Local(word));
  absl::StatusOr<SysStatus> status = co_await sys::GetStatus(self, started.pid);
  if (!status.ok()) {
    trace->push_back("no status: " + status.status().ToString());
    co_return ExitReason::Normal();
  }
  std::vector<std::string> timeouts =
      absl::StrSplit(status->view.items["timeouts"], ", ", absl::SkipEmpty());
  std::sort(timeouts.begin(), timeouts.end());
  trace->push_back(fmt::format("end {} timeouts {} postponed {}", status->view.state_name,
                               absl::StrJoin(timeouts, ", "), status->view.items["postponed"]));
  self.Exit(started.pid, ExitReason::Kill());
  co_return ExitReason::Normal();
}

Trace RunOurs(const Scenario& s) {
  Trace trace;
  VirtualTime time;
  Runtime::Options options;
  options.clock = &time;
  options.timers = &time;
  options.executor = &time;
  options.workers = 0;
  Runtime runtime(options);
  Host host;
  runtime.SetHost(&host);
  SpawnOptions trapping;
  trapping.trap_exit = true;
  absl::StatusOr<Pid> driver =
      runtime.Spawn([&](Self& self) { return Drive(self, &s, &trace); }, std::move(trapping));
  if (driver.ok()) time.RunUntil([&] { return !runtime.IsAlive(*driver); }, absl::Minutes(1));
  runtime.Shutdown();
  return trace;
}

// -------------------------------------------------------------- smaller

std::vector<std::function<void(Scenario*)>> AllCuts(const Scenario& s) {
  std::vector<std::function<void(Scenario*)>> cuts;
  for (size_t i = s.casts.size(); i-- > 0;) {
    cuts.push_back(Without<Scenario>(i, [](Scenario* x) -> auto& { return x->casts; }));
  }
  for (const auto& [key, rule] : s.rules) {
    cuts.push_back([key = key](Scenario* x) { x->rules.erase(key); });
    for (size_t i = rule.actions.size(); i-- > 0;) {
      cuts.push_back(Without<Scenario>(
          i, [key = key](Scenario* x) -> auto& { return x->rules.at(key).actions; }));
    }
  }
  return cuts;
}

}  // namespace
}  // namespace banyan::otp_diff

int main(int argc, char** argv) {
  using namespace banyan::otp_diff;
  return Compare<Scenario>(argc, argv, 500,
                           {[](uint32_t seed) { return Maker(seed).Make(seed); },
                            [](const Scenario& s) { return ToErlang(s); },
                            RunOurs,
                            {},
                            AllCuts});
}
