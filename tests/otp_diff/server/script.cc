#include "script.h"

#include <random>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace banyan::otp_diff {
namespace {

using Action = Callback::Action;
using Result = Callback::Result;
using Kind = Step::Kind;

class Generator {
 public:
  explicit Generator(uint32_t seed) : rng_(seed) { script_.seed = seed; }

  Script Run() {
    script_.link = !Chance(15);
    script_.init = RandomInit();
    for (uint32_t n = Below(4); n > 0; --n) script_.others.push_back(RandomCallback(false, 0));
    script_.terminate = RandomTerminate();
    for (uint32_t n = 2 + Below(9); n > 0; --n) script_.steps.push_back(RandomStep());
    return script_;
  }

 private:
  static constexpr int kDeepest = 2;  // continuations of continuations

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(rng_() % n); }
  bool Chance(uint32_t percent) { return Below(100) < percent; }
  std::string RandomReason() {
    static constexpr const char* kReasons[] = {"normal", "normal", "shutdown", "x",      "boom",
                                               "boom",   "boom",   "kill",     "killed", "noproc"};
    return kReasons[Below(10)];
  }

  void AddActions(Callback* c) {
    while (Chance(30)) c->actions.push_back(static_cast<Action>(Below(5)));
  }
  void AddAfter(Callback* c, int depth) {
    if (Chance(20)) {
      c->timeout = true;
    } else if (depth < kDeepest && Chance(25)) {
      c->after.push_back(RandomCallback(false, depth + 1));
    }
  }
  Callback RandomCallback(bool call, int depth) {
    Callback c;
    c.id = ++ids_;
    AddActions(&c);
    const uint32_t r = Below(100);
    if (r < 75) {
      c.result = call && r < 45 ? Result::kReply : Result::kNoReply;
      AddAfter(&c, depth);
    } else if (r < 90) {
      c.result = call && r < 83 ? Result::kStopReply : Result::kStop;
    } else {
      c.result = r < 95 ? Result::kError : Result::kExit;
    }
    c.reason = RandomReason();
    return c;
  }
  Callback RandomInit() {
    Callback c;
    AddActions(&c);
    const uint32_t r = Below(100);
    if (r < 88) {
      AddAfter(&c, 0);
    } else {
      static constexpr Result kFailures[] = {Result::kIgnore, Result::kStop, Result::kError,
                                             Result::kExit};
      c.result = kFailures[r % 4];
    }
    if (Chance(50)) c.actions.push_back(Action::kTrap);
    c.reason = RandomReason();
    return c;
  }
  Callback RandomTerminate() {
    Callback c;
    AddActions(&c);
    if (Chance(20)) c.result = Chance(50) ? Result::kError : Result::kExit;
    c.reason = RandomReason();
    return c;
  }
  Step RandomStep() {
    Step s;
    const uint32_t r = Below(100);
    s.kind = r < 35   ? Kind::kCall
             : r < 47 ? Kind::kCast
             : r < 59 ? Kind::kInfo
             : r < 67 ? Kind::kSuspend
             : r < 77 ? Kind::kResume
             : r < 82 ? Kind::kGetState
             : r < 85 ? Kind::kTerminate
             : r < 88 ? Kind::kStop
             : r < 91 ? Kind::kParentExit
             : r < 95 ? Kind::kParentSignal
                      : Kind::kSignal;
    s.reason = RandomReason();
    if (r < 59) s.callback = RandomCallback(s.kind == Kind::kCall, 0);
    return s;
  }

  std::mt19937 rng_;
  Script script_;
  uint32_t ids_ = 0;
};

std::string ReasonTerm(const std::string& reason) {
  return reason == "x" ? "{shutdown,x}" : reason;
}

// {Id,[Action],Result,Then}
std::string Term(const Callback& c) {
  static constexpr const char* kActions[] = {"late_reply", "trap", "no_trap", "wait", "send_info"};
  std::vector<std::string> actions;
  for (Action a : c.actions) actions.emplace_back(kActions[static_cast<int>(a)]);
  std::string result;
  switch (c.result) {
    case Result::kReply:
      result = "reply";
      break;
    case Result::kNoReply:
      result = "noreply";
      break;
    case Result::kStop:
      result = fmt::format("{{stop,{}}}", ReasonTerm(c.reason));
      break;
    case Result::kStopReply:
      result = fmt::format("{{stop_reply,{}}}", ReasonTerm(c.reason));
      break;
    case Result::kIgnore:
      result = "ignore";
      break;
    case Result::kError:
      result = "error";
      break;
    case Result::kExit:
      result = fmt::format("{{exit,{}}}", ReasonTerm(c.reason));
      break;
  }
  const std::string then = c.timeout         ? "zero"
                           : c.after.empty() ? "none"
                                             : fmt::format("{{continue,{}}}", Term(c.after[0]));
  return fmt::format("{{{},[{}],{},{}}}", c.id, fmt::join(actions, ","), result, then);
}

std::string Term(const Step& s) {
  static constexpr const char* kNames[] = {"call",        "cast",          "info",      "suspend",
                                           "resume",      "get_state",     "terminate", "stop",
                                           "parent_exit", "parent_signal", "signal"};
  const std::string name = kNames[static_cast<int>(s.kind)];
  switch (s.kind) {
    case Kind::kCall:
    case Kind::kCast:
    case Kind::kInfo:
      return fmt::format("{{{},{}}}", name, Term(s.callback));
    case Kind::kSuspend:
    case Kind::kResume:
    case Kind::kGetState:
      return name;
    default:
      return fmt::format("{{{},{}}}", name, ReasonTerm(s.reason));
  }
}

template <typename T>
std::string Terms(const std::vector<T>& list) {
  std::vector<std::string> terms;
  for (const T& x : list) terms.push_back(Term(x));
  return fmt::format("[{}]", fmt::join(terms, ",\n  "));
}

}  // namespace

Script Generate(uint32_t seed) { return Generator(seed).Run(); }

std::string ToErlang(const Script& s) {
  return fmt::format("{{{},{},\n {},\n {},\n {},\n {}}}.\n", s.seed, s.link, Term(s.init),
                     Terms(s.others), Term(s.terminate), Terms(s.steps));
}

}  // namespace banyan::otp_diff
