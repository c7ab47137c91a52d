#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/core/child_spec.h"

namespace banyan::otp_diff {

enum class StartOutcome : uint8_t { kOk, kIgnore, kFail };

struct Child {
  std::string id;
  RestartType restart = RestartType::kPermanent;
  bool brutal_kill = false;
  bool significant = false;
  std::string stop_with =
      "shutdown";  // how it ends when asked to: normal, shutdown, x (detail), other
  std::vector<StartOutcome> outcomes;  // of its next starts; then they succeed
  std::vector<struct Tree> tree;       // one: a nested supervisor. It stops in its own time.
};

// A supervisor. The restart period is longer than any run.
struct Tree {
  Strategy strategy = Strategy::kOneForOne;
  uint32_t intensity = 1;
  AutoShutdown auto_shutdown = AutoShutdown::kNever;
  std::vector<Child> children;  // simple_one_for_one: the template, id "t"
};

struct Step {
  enum class Kind : uint8_t { kStart, kTerminate, kRestart, kDelete, kExit, kQueued } kind;
  std::string at;            // the nested supervisor that is asked; empty: the outermost
  Child child;               // kStart; elsewhere only the id
  std::string reason;        // kExit: normal, shutdown, x, killed, boom
  std::vector<Step> queued;  // kQueued: all in the mailbox before the first is handled
};

// A supervisor with what is below it, and what is done to it. A child is called after its
// supervisor and one letter more: "cb" is a child of "c".
//
// What OTP leaves to chance is left out: nobody kills a nested supervisor, whose orphans would end
// while their successors start.
struct Scenario {
  uint32_t seed = 0;
  Tree top;
  std::vector<Step> steps;
};

Scenario Generate(uint32_t seed);

// The scenario as a term that otp_diff.erl reads, ending in ".\n".
std::string ToErlang(const Scenario& scenario);

// What Banyan's supervisors do with it, real processes on virtual time, one line an event:
//   +a !a ~a -a          a started, failed to start, was ignored, was asked to stop
//   CONTEXT:ID:PID:REASON  a report; PID is p, u (undefined) or r (restarting)
//   op:RESULT            the operations of a step, in order, after everything else that it caused
//   =AT:CHILDREN [S,A]   which_children and the counts, after each step, of every supervisor
//   exit:REASON          the outermost supervisor's end
std::vector<std::string> RunOnActors(const Scenario& scenario);

// Orders what OTP leaves open: the parallel stop of dynamic children.
void Canonicalize(const Scenario& scenario, std::vector<std::string>* trace);

}  // namespace banyan::otp_diff
