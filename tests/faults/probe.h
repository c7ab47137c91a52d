#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/behaviours/gen_server.h"
#include "tests/faults/history_file.h"
#include "tests/faults/link_pool.h"

namespace banyan::faults {

// The module `probe`: writes down what happens to it, and misbehaves when told to. Its start
// argument is a KvArgs whose `initial` holds options:
//   tick_ms       how often it does something of its own: counts, and writes to its fenced register
//   fail_if       path: while that file is there, its init fails
//   hold_init_if  path: while that file is there, its init waits
// It takes a Get of the kv module's as an order, answered by a GetReply with text:
//   info                    "FENCE COUNT OS_PID"
//   count                   counts, then as info
//   link|unlink|monitor P   P is "NODE_ID INCARNATION ID", the numbers of a banyan.v1.Pid
//   busy PATH               stays on its thread while the file is there, then writes to its
//   register send P COUNT BYTES      numbered messages, checked by the receiver's probe big P BYTES
//   one call of that size; answers how it ended slow MS                 takes so long for each
//   numbered message from now on received                "MESSAGES OUT_OF_ORDER" stubborn PATH its
//   terminate waits while the file is there crash | stop            ends with an error | normally
//   abort                   the whole process ends
//   pool N                  N processes; answers their ids, comma separated
//   mesh NODE_ID INC IDS    every process of the pool links to all of these
//   pool_stats              "LINKS FIRED DOUBLES"
class Probe : public GenServer {
 public:
  ~Probe() override;
  Task<InitResult> Init(std::vector<Payload> args) override;
  Task<CallResult> HandleCall(Payload request, CallFrom from) override;
  Task<Result> HandleCast(Payload request) override;
  Task<Result> HandleInfo(Message message) override;
  Task<void> Terminate(ExitReason reason) override;

 private:
  Task<InitResult> InitWith(std::map<std::string, std::string> options);
  Task<CallResult> Obey(std::string order);
  Task<Result> OnNumbered(Pid from, Payload payload);
  std::string Link(const std::string& verb, Pid to);
  void Send(Pid to, int count, int bytes);
  Task<std::string> CallBig(Pid to, size_t bytes);
  std::string Busy(const std::string& path);
  std::string Count();
  std::string Info() const;
  void WriteRegister();
  void ArmTick();
  void Note(std::string_view event, const std::string& more = "", int64_t t_ns = 0) const;

  HistoryFile* history_ = nullptr;
  std::string child_;
  uint64_t fence_ = 0;
  bool started_ = false;
  absl::Duration tick_;
  absl::Duration slow_;
  std::string stubborn_;
  int64_t count_ = 0;
  std::map<Pid, uint64_t> last_number_;  // by sender
  uint64_t received_ = 0;
  uint64_t out_of_order_ = 0;
  LinkPool pool_;
};

}  // namespace banyan::faults
