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
    nested_ = Below(2) == 0;
    scenario_.top = RandomTree("", nested_ ? 3 : 4);
    if (simple()) nested_ = false;
    const uint32_t steps = 1 + Below(8);
    for (uint32_t i = 0; i < steps; ++i) scenario_.steps.push_back(RandomStep(true));
    return scenario_;
  }

 private:
  static constexpr size_t kDeepest = 2;

  bool simple() const { return scenario_.top.strategy == Strategy::kSimpleOneForOne; }
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(rng_() % n); }
  // A name says whether it is a supervisor's, so that every step knows.
  bool IsTree(const std::string& name) const {
    return nested_ && name.size() <= kDeepest && (name.back() == 'c' || name.back() == 'f');
  }
  static std::string Name(const std::string& at, uint32_t i) {
    return at + static_cast<char>('a' + i);
  }

  // The first `strategies` of them.
  Tree RandomTree(const std::string& at, uint32_t strategies) {
    Tree tree;
    tree.strategy = static_cast<Strategy>(1 + Below(strategies));
    tree.intensity = Below(5);
    tree.auto_shutdown = static_cast<AutoShutdown>(1 + Below(3));
    if (tree.strategy == Strategy::kSimpleOneForOne) {
      tree.children.push_back(RandomChild("t", tree, true));
      tree.children[0].outcomes.clear();
      return tree;
    }
    const uint32_t n = Below(at.empty() ? 5 : 4);
    for (uint32_t i = 0; i < n; ++i) {
      tree.children.push_back(RandomChild(Name(at, i), tree, false));
    }
    // Most supervisors should come up.
    if (Below(8) != 0) {
      for (Child& c : tree.children) {
        if (!c.outcomes.empty() && c.outcomes[0] == StartOutcome::kFail)
          c.outcomes[0] = StartOutcome::kOk;
      }
    }
    return tree;
  }
  Child RandomChild(std::string id, const Tree& parent, bool dynamic) {
    static constexpr const char* kStopWith[] = {"shutdown", "shutdown", "normal", "x", "other"};
    Child c;
    c.id = std::move(id);
    c.restart = static_cast<RestartType>(1 + Below(3));
    c.brutal_kill = Below(4) == 0;
    c.significant = parent.auto_shutdown != AutoShutdown::kNever &&
                    c.restart != RestartType::kPermanent && Below(2) == 0;
    c.stop_with = kStopWith[Below(5)];
    if (Below(2) == 0) {
      const uint32_t n = Below(4);
      for (uint32_t i = 0; i < n; ++i) c.outcomes.push_back(RandomOutcome(dynamic));
    }
    if (IsTree(c.id)) {
      c.brutal_kill = false;
      c.tree.push_back(RandomTree(c.id, 3));
    }
    return c;
  }
  StartOutcome RandomOutcome(bool dynamic) {
    const uint32_t r = Below(6);
    if (r == 0) {
      // OTP's quirk Q3: an ignored restart of a dynamic child breaks its supervisor.
      return dynamic ? StartOutcome::kFail : StartOutcome::kIgnore;
    }
    return r < 4 ? StartOutcome::kFail : StartOutcome::kOk;
  }
  // A supervisor: the outermost in a queue, which waits while the mailbox is filled, else any.
  std::string RandomPlace(bool outermost) {
    std::string at;
    while (!outermost && nested_ && at.size() < kDeepest && Below(2) == 0) {
      at += Below(2) == 0 ? 'c' : 'f';
    }
    return at;
  }
  std::string RandomLeaf(const std::string& at) {
    std::string name = Name(at, Below(6));
    while (IsTree(name)) name.back() = static_cast<char>('a' + Below(6));
    return name;
  }
  Step RandomStep(bool alone) {
    static constexpr const char* kReasons[] = {"normal", "shutdown", "x", "killed", "boom", "boom"};
    const uint32_t r = Below(12);
    Step s{Step::Kind::kExit, RandomPlace(!alone), {}, "", {}};
    if (r < 6 || (r == 11 && !alone)) {
      s.child.id = RandomLeaf(s.at);
      s.at = "";
      s.reason = r < 6 ? kReasons[Below(6)] : "boom";
      return s;
    }
    s.child.id = Name(s.at, Below(6));
    if (r < 8) {
      s.kind = Step::Kind::kStart;
      s.child = RandomChild(s.child.id, scenario_.top, simple());
      // Only the outermost supervisor's flags are known here.
      if (!s.at.empty()) s.child.significant = false;
    } else if (r == 8) {
      s.kind = Step::Kind::kTerminate;
    } else if (r == 9) {
      s.kind = Step::Kind::kRestart;
    } else if (r == 10) {
      s.kind = Step::Kind::kDelete;
    } else {
      s.kind = Step::Kind::kQueued;
      s.at = "";
      s.child.id = "";
      const uint32_t n = 2 + Below(3);
      for (uint32_t i = 0; i < n; ++i) s.queued.push_back(RandomStep(false));
    }
    return s;
  }

  std::mt19937 rng_;
  bool nested_ = false;
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

std::string Term(const Child& c);
std::string Term(const Step& s);
template <typename T>
std::string Terms(const std::vector<T>& list) {
  std::string text;
  for (const T& x : list) text += (text.empty() ? "" : ",\n  ") + Term(x);
  return text;
}

// {Strategy,Intensity,AutoShutdown}
std::string Flags(const Tree& t) {
  static constexpr const char* kStrategies[] = {"", "one_for_one", "one_for_all", "rest_for_one",
                                                "simple_one_for_one"};
  static constexpr const char* kAuto[] = {"", "never", "any_significant", "all_significant"};
  return fmt::format("{{{},{},{}}}", kStrategies[static_cast<int>(t.strategy)], t.intensity,
                     kAuto[static_cast<int>(t.auto_shutdown)]);
}

std::string Term(const Child& c) {
  std::string outcomes;
  for (StartOutcome o : c.outcomes)
    outcomes += fmt::format("{}{}", outcomes.empty() ? "" : ",", Name(o));
  if (!c.tree.empty()) {
    return fmt::format("{{{},{},infinity,{},{{tree,{},[{}]}},[{}]}}", c.id, Name(c.restart),
                       c.significant, Flags(c.tree[0]), Terms(c.tree[0].children), outcomes);
  }
  return fmt::format("{{{},{},{},{},{},[{}]}}", c.id, Name(c.restart),
                     c.brutal_kill ? "brutal_kill" : "5000", c.significant, ReasonTerm(c.stop_with),
                     outcomes);
}

std::string Term(const Step& s) {
  const std::string at = s.at.empty() ? "top" : s.at;
  switch (s.kind) {
    case Step::Kind::kStart:
      return fmt::format("{{start,{},{}}}", at, Term(s.child));
    case Step::Kind::kTerminate:
      return fmt::format("{{terminate,{},{}}}", at, s.child.id);
    case Step::Kind::kRestart:
      return fmt::format("{{restart,{},{}}}", at, s.child.id);
    case Step::Kind::kDelete:
      return fmt::format("{{delete,{},{}}}", at, s.child.id);
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
  return fmt::format("{{{},{},\n [{}],\n [{}]}}.\n", s.seed, Flags(s.top), Terms(s.top.children),
                     Terms(s.steps));
}

void Canonicalize(const Scenario& scenario, std::vector<std::string>* trace) {
  if (scenario.top.strategy != Strategy::kSimpleOneForOne) return;
  // From the last "=" line on all dynamic children stop at once, in any order.
  auto last = trace->begin();
  for (auto it = trace->begin(); it != trace->end(); ++it) {
    if (it->starts_with("=")) last = it + 1;
  }
  std::sort(last, trace->end());
}

}  // namespace banyan::otp_diff
