#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace banyan::sim {

// One life of a child, as its code sees it.
struct Life {
  std::string child;  // path
  uint64_t fence = 0;
  std::string node;
  bool exclusive = true;
  // Its machine has stood still, which no lease can cover: only the fence is judged (F-19).
  bool outside = false;
};

// What happened in a run, line by line, and the rules that hold at every moment (cluster.md 8).
class History {
 public:
  // A life of a child begins: INV-6 fences rise, INV-7 its assignment was durable before.
  void Started(const Life& life, bool assignment_durable);
  // Its code runs: INV-5, never after a newer life has run.
  void Dispatched(const Life& life);
  void Ended(const Life& life, std::string_view why);
  // What it does elsewhere, where the fence is checked: INV-6. Returns whether it was let in.
  bool Write(const Life& life);

  // Lives now, by child.
  std::map<std::string, std::vector<std::pair<uint64_t, std::string>>> Live() const;
  bool IsLive(const std::string& child, uint64_t fence) const {
    return live_.contains({child, fence});
  }
  uint64_t starts() const { return starts_; }
  uint64_t dispatches() const { return dispatches_; }

  // Breaks a rule: begins with it, "INV-9: ...".
  void Violation(std::string text);
  const std::vector<std::string>& violations() const { return violations_; }
  // A rare path was taken: "thawed", "orphan killed". All seeds together must reach each.
  void Mark(std::string_view name) { ++marks_[std::string(name)]; }
  const std::map<std::string, uint64_t>& marks() const { return marks_; }
  // One line of the history: who (a node's or a workload's name), what, and more of it.
  void Event(std::string_view who, std::string_view what, std::string_view more = "");
  // What is part of the run and not worth a line, such as frames: it goes into the hash.
  void Hash(std::string_view bytes);
  // The same for two runs that were the same.
  uint64_t hash() const { return hash_; }
  // Of the starts, ends and events only, with their times.
  uint64_t events_hash() const { return events_hash_; }

  // Stamps what is written down from now on.
  void set_clock(std::function<double()> seconds) { seconds_ = std::move(seconds); }
  struct Line {
    double at;
    std::string who, what, more;
  };
  const std::vector<Line>& lines() const { return lines_; }
  // For people who look at a failed run.
  std::string Text() const;
  void WriteJson(std::ostream* out) const;

 private:
  std::function<double()> seconds_ = [] { return 0.0; };
  std::vector<Line> lines_;
  std::map<std::string, uint64_t> marks_;
  std::map<std::pair<std::string, uint64_t>, std::string> live_;
  std::map<std::string, uint64_t> newest_dispatched_;
  std::map<std::string, uint64_t> newest_started_;
  std::map<std::string, uint64_t> written_;
  std::vector<std::string> violations_;
  uint64_t starts_ = 0, dispatches_ = 0;
  uint64_t hash_ = 0xcbf29ce484222325, events_hash_ = 0xcbf29ce484222325;
};

}  // namespace banyan::sim
