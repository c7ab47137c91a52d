#include "scenario.h"

#include <algorithm>
#include <random>

#include "fmt/format.h"

namespace banyan::otp_diff {
namespace {

class Generator {
 public:
  explicit Generator(uint32_t seed) : rng_(seed) { scenario_.seed = seed; }

  Scenario Run() {
    scenario_.strategy = static_cast<Strategy>(1 + Below(4));
    scenario_.intensity = Below(5);
    scenario_.auto_shutdown = static_cast<AutoShutdown>(1 + Below(3));
    if (simple()) {
      scenario_.children.push_back(RandomChild("t"));
      scenario_.children[0].outcomes.clear();
    } else {
      const uint32_t n = Below(5);
      for (uint32_t i = 0; i < n; ++i) scenario_.children.push_back(RandomChild(Name(i)));
      // Most supervisors should come up.
      if (Below(8) != 0) {
        for (Child& c : scenario_.children) {
          if (!c.outcomes.empty() && c.outcomes[0] == StartOutcome::kFail)
            c.outcomes[0] = StartOutcome::kOk;
        }
      }
    }
    const uint32_t steps = 1 + Below(8);
    for (uint32_t i = 0; i < steps; ++i) scenario_.steps.push_back(RandomStep(true));
    return scenario_;
  }

 private:
  bool simple() const { return scenario_.strategy == Strategy::kSimpleOneForOne; }
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(rng_() % n); }
  static std::string Name(uint32_t i) { return std::string(1, static_cast<char>('a' + i)); }

  Child RandomChild(std::string id) {
    static constexpr const char* kStopWith[] = {"shutdown", "shutdown", "normal", "x", "other"};
    Child c;
    c.id = std::move(id);
    c.restart = static_cast<RestartType>(1 + Below(3));
    c.brutal_kill = Below(4) == 0;
    c.significant = scenario_.auto_shutdown != AutoShutdown::kNever &&
                    c.restart != RestartType::kPermanent && Below(2) == 0;
    c.stop_with = kStopWith[Below(5)];
    if (Below(2) == 0) {
      const uint32_t n = Below(4);
      for (uint32_t i = 0; i < n; ++i) c.outcomes.push_back(RandomOutcome());
    }
    return c;
  }
  StartOutcome RandomOutcome() {
    const uint32_t r = Below(6);
    if (r == 0) {
      // OTP's quirk Q3: an ignored restart of a dynamic child breaks its supervisor.
      return simple() ? StartOutcome::kFail : StartOutcome::kIgnore;
    }
    return r < 4 ? StartOutcome::kFail : StartOutcome::kOk;
  }
  Step RandomStep(bool may_queue) {
    static constexpr const char* kReasons[] = {"normal", "shutdown", "x", "killed", "boom", "boom"};
    const uint32_t r = Below(12);
    Step s{Step::Kind::kExit, {}, "", {}};
    s.child = RandomChild(Name(Below(6)));
    if (r < 6) {
      s.reason = kReasons[Below(6)];
    } else if (r < 8) {
      s.kind = Step::Kind::kStart;
    } else if (r == 8) {
      s.kind = Step::Kind::kTerminate;
    } else if (r == 9) {
      s.kind = Step::Kind::kRestart;
    } else if (r == 10) {
      s.kind = Step::Kind::kDelete;
    } else if (may_queue) {
      s.kind = Step::Kind::kQueued;
      const uint32_t n = 2 + Below(3);
      for (uint32_t i = 0; i < n; ++i) s.queued.push_back(RandomStep(false));
    } else {
      s.reason = "boom";
    }
    return s;
  }

  std::mt19937 rng_;
  Scenario scenario_;
};

const char* Name(RestartType t) {
  static constexpr const char* kNames[] = {"", "permanent", "transient", "temporary"};
  return kNames[static_cast<int>(t)];
}
const char* Name(StartOutcome o) {
  static constexpr const char* kNames[] = {"ok", "ignore", "fail"};
  return kNames[static_cast<int>(o)];
}
std::string ReasonTerm(const std::string& reason) {
  return reason == "x" ? "{shutdown,x}" : reason;
}

std::string Term(const Child& c) {
  std::string outcomes;
  for (StartOutcome o : c.outcomes)
    outcomes += fmt::format("{}{}", outcomes.empty() ? "" : ",", Name(o));
  return fmt::format("{{{},{},{},{},{},[{}]}}", c.id, Name(c.restart),
                     c.brutal_kill ? "brutal_kill" : "5000", c.significant, ReasonTerm(c.stop_with),
                     outcomes);
}

std::string Term(const Step& s);
template <typename T>
std::string Terms(const std::vector<T>& list) {
  std::string text;
  for (const T& x : list) text += (text.empty() ? "" : ",\n  ") + Term(x);
  return text;
}
std::string Term(const Step& s) {
  switch (s.kind) {
    case Step::Kind::kStart:
      return fmt::format("{{start,{}}}", Term(s.child));
    case Step::Kind::kTerminate:
      return fmt::format("{{terminate,{}}}", s.child.id);
    case Step::Kind::kRestart:
      return fmt::format("{{restart,{}}}", s.child.id);
    case Step::Kind::kDelete:
      return fmt::format("{{delete,{}}}", s.child.id);
    case Step::Kind::kExit:
      return fmt::format("{{exit,{},{}}}", s.child.id, ReasonTerm(s.reason));
    case Step::Kind::kQueued:
      return fmt::format("{{queued,[{}]}}", Terms(s.queued));
  }
  return "";
}

}  // namespace

Scenario Generate(uint32_t seed) { return Generator(seed).Run(); }

std::string ToErlang(const Scenario& s) {
  static constexpr const char* kStrategies[] = {"", "one_for_one", "one_for_all", "rest_for_one",
                                                "simple_one_for_one"};
  static constexpr const char* kAuto[] = {"", "never", "any_significant", "all_significant"};
  return fmt::format("{{{},{{{},{},{}}},\n [{}],\n [{}]}}.\n", s.seed,
                     kStrategies[static_cast<int>(s.strategy)], s.intensity,
                     kAuto[static_cast<int>(s.auto_shutdown)], Terms(s.children), Terms(s.steps));
}

void Canonicalize(const Scenario& scenario, std::vector<std::string>* trace) {
  if (scenario.strategy != Strategy::kSimpleOneForOne) return;
  // From the last "=" line on all dynamic children stop at once, in any order.
  auto last = trace->begin();
  for (auto it = trace->begin(); it != trace->end(); ++it) {
    if (it->starts_with("=")) last = it + 1;
  }
  std::sort(last, trace->end());
}

}  // namespace banyan::otp_diff
