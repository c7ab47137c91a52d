#pragma once

#include <array>
#include <functional>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "common/base/mutex.h"
#include "server/runtime/runtime.h"

namespace banyan {

// Calls and monitors of those who are no process: gRPC handlers, the node itself. Each is answered
// exactly once, by the first of reply, down, time-out and lost connection.
class ExternalCalls {
 public:
  explicit ExternalCalls(Runtime* rt) : rt_(rt) {}
  // Under the request's ref, if it has one.
  Ref Call(SignalPtr request, Instant deadline, Runtime::CallDone done);
  bool Cancel(Ref ref);
  Ref Monitor(Pid target, std::function<void(Pid, ExitReason)> down);
  bool Demonitor(Ref ref);
  // A kReply or kDown for somebody outside.
  void Deliver(SignalPtr signal);
  void ConnectionLost(uint32_t node_id, uint32_t incarnation);
  bool WaitsFor(uint32_t node_id, uint32_t incarnation);
  // Answers everything that is still open with NODE_STOPPING.
  void Shutdown();

 private:
  struct Entry {
    Pid target;
    Timers::Id timer = 0;
    absl::Duration timeout;
    Runtime::CallDone done;                     // a call
    std::function<void(Pid, ExitReason)> down;  // a monitor
  };
  struct Shard {
    Mutex mu;
    absl::flat_hash_map<Ref, Entry> entries ABSL_GUARDED_BY(mu);
  };
  Shard& shard(Ref ref) { return shards_[ref % shards_.size()]; }
  bool Take(Ref ref, Entry* out);
  // Takes all entries that `which` accepts.
  std::vector<Entry> TakeAll(const std::function<bool(const Entry&)>& which);
  void Finish(Entry entry, CallReply reply);
  void Tell(SignalKind kind, Pid target, Ref ref);

  Runtime* const rt_;
  std::array<Shard, 16> shards_;
};

}  // namespace banyan
