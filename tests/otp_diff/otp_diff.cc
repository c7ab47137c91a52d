// Compares supervisors with OTP's own on random scenarios:
//   otp_diff ERL_SOURCE [FIRST_SEED [COUNT]]
// Without numbers: 1000 from seed 1, or what BANYAN_SEED and BANYAN_SEEDS say.
// Prints the smallest scenario found that differs, with both traces; exit status 1 then.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"

#include "scenario.h"

namespace banyan::otp_diff {
namespace {

using Trace = std::vector<std::string>;
namespace fs = std::filesystem;

class Otp {
 public:
  explicit Otp(std::string source) : source_(std::move(source)) {
    std::string pattern = (fs::temp_directory_path() / "otp_diff.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    dir_ = pattern;
  }
  ~Otp() { fs::remove_all(dir_); }

  // Traces by seed. Empty: Erlang did not run.
  std::map<uint32_t, Trace> Run(const std::vector<Scenario>& scenarios) {
    {
      std::ofstream file(dir_ + "/scenarios");
      for (const Scenario& s : scenarios) file << ToErlang(s);
    }
    const std::string eval = fmt::format(
        "{{ok,M}}=compile:file(\"{}\",[{{outdir,\"{}\"}}]), code:add_patha(\"{}\"), "
        "M:main(\"{}/scenarios\"), "
        "init:stop().",
        fs::path(source_).replace_extension().string(), dir_, dir_, dir_);
    const std::string command = fmt::format(
        "ERL_CRASH_DUMP=/dev/null timeout 300 erl +S 1 -noshell -eval '{}' > {}/trace 2> {}/errors",
        eval, dir_, dir_);
    if (std::system(command.c_str()) != 0) {
      std::fputs("erl failed:\n", stderr);
      std::system(fmt::format("tail -c 3000 {}/trace {}/errors >&2", dir_, dir_).c_str());
      return {};
    }
    return Read();
  }

 private:
  std::map<uint32_t, Trace> Read() const {
    std::map<uint32_t, Trace> traces;
    std::ifstream file(dir_ + "/trace");
    Trace* current = nullptr;
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("#")) {
        current = &traces[static_cast<uint32_t>(std::stoul(line.substr(1)))];
      } else if (line != "." && current != nullptr) {
        current->push_back(line);
      }
    }
    return traces;
  }

  std::string source_;
  std::string dir_;
};

bool Differs(const Scenario& s, Trace otp) {
  Trace ours = RunOnActors(s);
  Canonicalize(s, &ours);
  Canonicalize(s, &otp);
  return ours != otp;
}

using Change = std::function<void(Scenario*)>;

// Everything that can be left out of the tree that `find` finds in a scenario.
void Cuts(const Tree& tree, const std::function<Tree*(Scenario*)>& find, std::vector<Change>* out) {
  for (size_t i = 0; i < tree.children.size(); ++i) {
    const auto child = [find, i](Scenario* s) { return &find(s)->children[i]; };
    if (tree.strategy != Strategy::kSimpleOneForOne) {
      out->push_back([find, i](Scenario* s) {
        auto& children = find(s)->children;
        children.erase(children.begin() + static_cast<long>(i));
      });
    }
    if (!tree.children[i].outcomes.empty()) {
      out->push_back([child](Scenario* s) { child(s)->outcomes.clear(); });
    }
    for (const Tree& nested : tree.children[i].tree) {
      Cuts(nested, [child](Scenario* s) { return &child(s)->tree[0]; }, out);
    }
  }
}

// All scenarios with one thing less.
std::vector<Scenario> Smaller(const Scenario& s) {
  std::vector<Change> changes;
  for (size_t i = s.steps.size(); i-- > 0;) {
    changes.push_back(
        [i](Scenario* x) { x->steps.erase(x->steps.begin() + static_cast<long>(i)); });
    for (size_t j = 0; j < s.steps[i].queued.size(); ++j) {
      changes.push_back([i, j](Scenario* x) {
        x->steps[i].queued.erase(x->steps[i].queued.begin() + static_cast<long>(j));
      });
    }
    if (!s.steps[i].child.outcomes.empty())
      changes.push_back([i](Scenario* x) { x->steps[i].child.outcomes.clear(); });
    for (const Tree& nested : s.steps[i].child.tree) {
      Cuts(nested, [i](Scenario* x) { return &x->steps[i].child.tree[0]; }, &changes);
    }
  }
  Cuts(s.top, [](Scenario* x) { return &x->top; }, &changes);
  std::vector<Scenario> list;
  for (const Change& change : changes) {
    Scenario smaller = s;
    change(&smaller);
    smaller.seed = static_cast<uint32_t>(list.size());
    list.push_back(std::move(smaller));
  }
  return list;
}

Scenario Shrink(Otp* otp, Scenario s) {
  for (bool found = true; found;) {
    found = false;
    const std::vector<Scenario> smaller = Smaller(s);
    const std::map<uint32_t, Trace> traces = otp->Run(smaller);
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

void Show(const Scenario& s, const Trace& otp) {
  const Trace ours = RunOnActors(s);
  fmt::print("{}\nOTP:\n  {}\nBanyan:\n  {}\n", ToErlang(s), fmt::join(otp, "\n  "),
             fmt::join(ours, "\n  "));
}

int Main(const std::string& source, uint32_t first, uint32_t count) {
  Otp otp(source);
  std::vector<Scenario> scenarios;
  for (uint32_t i = 0; i < count; ++i) scenarios.push_back(Generate(first + i));
  const std::map<uint32_t, Trace> traces = otp.Run(scenarios);
  if (traces.size() != scenarios.size()) {
    fmt::print(stderr, "OTP ran {} of {} scenarios\n", traces.size(), scenarios.size());
    return 2;
  }
  uint32_t differences = 0;
  const Scenario* example = nullptr;
  for (const Scenario& s : scenarios) {
    if (!Differs(s, traces.at(s.seed))) continue;
    ++differences;
    if (example == nullptr) example = &s;
  }
  fmt::print("{} scenarios from seed {}, {} differ\n", count, first, differences);
  if (example == nullptr) return 0;
  fmt::print("seed {}, made smaller:\n", example->seed);
  const Scenario small = Shrink(&otp, *example);
  const auto small_traces = otp.Run({small});
  if (!small_traces.empty()) Show(small, small_traces.begin()->second);
  return 1;
}

}  // namespace
}  // namespace banyan::otp_diff

// The argument, else the variable, else `otherwise`.
uint32_t Number(int argc, char** argv, int i, const char* variable, uint32_t otherwise) {
  const char* text = argc > i ? argv[i] : std::getenv(variable);
  return text == nullptr ? otherwise : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: otp_diff ERL_SOURCE [FIRST_SEED [COUNT]]\n", stderr);
    return 2;
  }
  // BANYAN_SEED alone replays one scenario, as in the other randomised tests.
  const uint32_t first = Number(argc, argv, 2, "BANYAN_SEED", 1);
  const bool replay = argc < 3 && std::getenv("BANYAN_SEED") != nullptr;
  const uint32_t count = replay ? 1 : Number(argc, argv, 3, "BANYAN_SEEDS", 1000);
  return banyan::otp_diff::Main(argv[1], first, count);
}
