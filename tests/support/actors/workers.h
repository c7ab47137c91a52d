#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/behaviours/gen_server.h"
#include "server/behaviours/module.h"

// The worker modules of the conformance cases: W1 to W4, WD, WU, R of spec/supervisor.md 19.1
// and 20.

namespace banyan {

// What the workers of one test share.
struct WorkerWorld {
  // W1(error), W1(ignore), flaky: starts so far, by supervisor and child.
  std::map<std::pair<Pid, std::string>, int> starts;
  // R: "init a", "terminate a shutdown", in the order in which they happened.
  std::vector<std::string> trace;
  bool fail_start = false;  // WD
  Pid judge;                // W3: who gives the verdicts
};

// The exception that W1(error) fails with.
struct FunctionClause : std::exception {
  const char* what() const noexcept override { return "no function clause matching"; }
};

// Adds the modules, all with text arguments (Word()):
//   w1 [ignore | error | ret_error | extra INFO]   w2 MS     w3 NAME
//   w4 [normal | shutdown | shutdown_test | REASON]  wd       wu
//   r ID [FAILURES]    announces init and terminate; its starts 2 to FAILURES+1 fail
//   slow MS            init takes that long
void AddWorkers(Modules* modules, WorkerWorld* world);

// The reason that w4 ends with for this word.
ExitReason ReasonOfWord(const std::string& word);

}  // namespace banyan
