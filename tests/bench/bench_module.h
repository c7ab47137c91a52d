#pragma once

#include <string>
#include <vector>

#include "server/behaviours/gen_server.h"

namespace banyan::bench {

// The module `bench`: measures from inside a node. It echoes a Put of the kv module's, and takes a
// Get as an order, answered by a GetReply with the figure as text:
//   calls TARGET CALLERS EACH   CALLERS processes call TARGET EACH times: calls a second
//   kill TARGET PROCESS         kills the OS process of TARGET's node: milliseconds to TARGET's
//   DOWN
// TARGET is "NODE_ID INCARNATION ID", the numbers of a banyan.v1.Pid.
class BenchModule : public GenServer {
 public:
  Task<InitResult> Init(std::vector<Payload> args) override;
  Task<CallResult> HandleCall(Payload request, CallFrom from) override;
  Task<Result> HandleCast(Payload request) override;

 private:
  Task<CallResult> Obey(std::string order);
  Task<double> Calls(Pid target, int callers, int each);
  Task<double> KillToDown(Pid target, int process);
};

}  // namespace banyan::bench
