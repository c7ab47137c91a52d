#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace banyan::sim {

// What the children of a run did, and the rules that hold at every moment (docs: cluster.md 8).
class History {
 public:
  // A life of a child begins: INV-6 fences rise, INV-7 its assignment was durable before.
  void Started(const std::string& child, uint64_t fence, const std::string& node,
               bool assignment_durable);
  // Its code runs: INV-5, never after a newer life has run.
  void Dispatched(const std::string& child, uint64_t fence, const std::string& node);
  void Ended(const std::string& child, uint64_t fence);

  // Lives now, by child.
  std::map<std::string, std::vector<std::pair<uint64_t, std::string>>> Live() const;
  const std::vector<std::string>& violations() const { return violations_; }
  uint64_t starts() const { return starts_; }
  uint64_t dispatches() const { return dispatches_; }
  void Violation(std::string text);  // begins with the rule: "INV-9: ..."
  // A rare path was taken: "thawed", "orphan killed". All seeds together must reach each.
  void Mark(std::string_view name) { ++marks_[std::string(name)]; }
  const std::map<std::string, uint64_t>& marks() const { return marks_; }
  // One line of the history: who (a node's or a workload's name), what, and more of it.
  void Event(std::string_view who, std::string_view what, std::string_view more = "");
  // Stamps what is written down from now on.
  void set_clock(std::function<double()> seconds) { seconds_ = std::move(seconds); }
  // Every start, in order: for people who look at a failed run.
  const std::vector<std::string>& log() const { return log_; }

 private:
  std::function<double()> seconds_ = [] { return 0.0; };
  std::vector<std::string> log_;
  std::map<std::string, uint64_t> marks_;
  std::map<std::pair<std::string, uint64_t>, std::string> live_;
  std::map<std::string, uint64_t> newest_dispatched_;
  std::map<std::string, uint64_t> newest_started_;
  std::vector<std::string> violations_;
  uint64_t starts_ = 0, dispatches_ = 0;
};

}  // namespace banyan::sim
