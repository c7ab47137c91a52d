#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"

// What the comparisons with OTP have in common: random scenarios from seeds, run by OTP and by us,
// and the smallest that differs.

namespace banyan::otp_diff {

// What happened, one line an event.
using Trace = std::vector<std::string>;

// Runs scenarios in OTP. An Erlang source's main(File) reads them, one term each that begins with
// the seed, and prints for each "#SEED" and the lines of its trace; a line "." is ignored.
class Otp {
 public:
  explicit Otp(std::string source);
  ~Otp();
  Otp(const Otp&) = delete;
  // Traces by seed; `terms` end in ".\n". Empty: Erlang failed, which stderr explains.
  std::map<uint32_t, Trace> Run(const std::string& terms) const;

 private:
  const std::string source_;
  std::string dir_;  // a temporary folder, ours
};

// What to run: the arguments `ERL_SOURCE [FIRST_SEED [COUNT]]`, else BANYAN_SEED and BANYAN_SEEDS,
// else `count` seeds from 1. BANYAN_SEED alone replays one, as in the other randomised tests.
struct Arguments {
  std::string source;
  uint32_t first = 1;
  uint32_t count = 0;  // 0: they make no sense; the usage is printed
};
Arguments ParseArguments(int argc, char** argv, uint32_t count);

// One kind of scenario, a value with a member `uint32_t seed`.
template <typename Scenario>
struct Comparison {
  std::function<Scenario(uint32_t seed)> generate;
  std::function<std::string(const Scenario&)> to_erlang;
  std::function<Trace(const Scenario&)> run;
  // Orders what OTP leaves open, in both traces. May be empty.
  std::function<void(const Scenario&, Trace*)> canonicalize;
  // All ways of leaving one thing out.
  std::function<std::vector<std::function<void(Scenario*)>>(const Scenario&)> cuts;
};

template <typename Scenario>
class Comparer {
 public:
  Comparer(const Comparison<Scenario>& kind, const std::string& source)
      : kind_(kind), otp_(source) {}

  // The exit status: 0, 1 if there is a difference, 2 if OTP did not run.
  int Run(uint32_t first, uint32_t count) const {
    std::vector<Scenario> scenarios;
    for (uint32_t i = 0; i < count; ++i) scenarios.push_back(kind_.generate(first + i));
    const std::map<uint32_t, Trace> traces = RunOtp(scenarios);
    if (traces.size() != scenarios.size()) {
      fmt::print(stderr, "OTP ran {} of {} scenarios\n", traces.size(), scenarios.size());
      return 2;
    }
    uint32_t differences = 0;
    size_t lines = 0;
    const Scenario* example = nullptr;
    for (const Scenario& s : scenarios) {
      lines += traces.at(s.seed).size();
      if (!Differs(s, traces.at(s.seed))) continue;
      ++differences;
      if (example == nullptr) example = &s;
    }
    fmt::print("{} scenarios from seed {}, {} lines of trace: {} differ\n", count, first, lines,
               differences);
    if (example == nullptr) return 0;
    fmt::print("seed {}, made smaller:\n", example->seed);
    Show(Shrink(*example));
    return 1;
  }

 private:
  std::map<uint32_t, Trace> RunOtp(const std::vector<Scenario>& scenarios) const {
    std::string terms;
    for (const Scenario& s : scenarios) terms += kind_.to_erlang(s);
    return otp_.Run(terms);
  }
  bool Differs(const Scenario& s, Trace otp) const {
    Trace ours = kind_.run(s);
    if (kind_.canonicalize) {
      kind_.canonicalize(s, &ours);
      kind_.canonicalize(s, &otp);
    }
    return ours != otp;
  }
  // Takes the first smaller one that differs too, until there is none.
  Scenario Shrink(Scenario s) const {
    for (bool found = true; found;) {
      found = false;
      std::vector<Scenario> smaller;
      for (const auto& cut : kind_.cuts(s)) {
        smaller.push_back(s);
        cut(&smaller.back());
        smaller.back().seed = static_cast<uint32_t>(smaller.size());
      }
      const std::map<uint32_t, Trace> traces = RunOtp(smaller);
      for (const Scenario& candidate : smaller) {
        const auto it = traces.find(candidate.seed);
        if (it == traces.end() || !Differs(candidate, it->second)) continue;
        s = candidate;
        found = true;
        break;
      }
    }
    return s;
  }
  void Show(const Scenario& s) const {
    const std::map<uint32_t, Trace> otp = RunOtp({s});
    if (otp.empty()) return;
    fmt::print("{}\nOTP:\n  {}\nBanyan:\n  {}\n", kind_.to_erlang(s),
               fmt::join(otp.begin()->second, "\n  "), fmt::join(kind_.run(s), "\n  "));
  }

  const Comparison<Scenario>& kind_;
  const Otp otp_;
};

// A program's main(): `count` scenarios unless told otherwise.
template <typename Scenario>
int Compare(int argc, char** argv, uint32_t count, const Comparison<Scenario>& kind) {
  const Arguments arguments = ParseArguments(argc, argv, count);
  if (arguments.count == 0) return 2;
  return Comparer<Scenario>(kind, arguments.source).Run(arguments.first, arguments.count);
}

// A cut: the element `i` of the list that `list` finds.
template <typename Scenario, typename List>
std::function<void(Scenario*)> Without(size_t i, List list) {
  return [i, list](Scenario* s) {
    auto& from = list(s);
    from.erase(from.begin() + static_cast<long>(i));
  };
}

}  // namespace banyan::otp_diff
