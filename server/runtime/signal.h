#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"

#include "common/base/exit_reason.h"
#include "common/base/named_pid.h"
#include "common/base/payload.h"
#include "common/base/pid.h"
#include "common/base/slab.h"
#include "common/time/instant.h"

namespace banyan {

enum class SignalKind : uint8_t {
  kMessage,   // plain message (handle_info)
  kCast,      // gen_server:cast
  kCall,      // a request; `ref` is the caller's alias; also a monitor of the callee
  kSystem,    // a sys request; answered like a call
  kTimeout,   // a timer of the process's own ran out; `ref` names it
  kReply,     // answer to the alias `ref`: `status` and `payload`
  kExit,      // exit(Pid, Reason), sent by hand
  kLinkExit,  // over a link; ignored where there is no active one
  kLink,
  kUnlink,  // `ref` is the unlink id
  kUnlinkAck,
  kMonitor,         // `ref` is the watcher's
  kDemonitor,       // also: nobody waits for call `ref` any more, or somebody else has answered it
  kCancel,          // nobody waits for call `ref` any more, and it need not begin
  kDown,            // monitor or call `ref` has fired: `reason`
  kConnectionLost,  // the session with (`from`.node_id, `from`.incarnation) is over
  kWake,            // look at your state again (internal)
};

// One thing that a process sends another. Signals of one sender reach one receiver in the order
// sent, whatever their kind: they go through the receiver's one queue, locally, and through one
// session, remotely.
struct Signal : InSlab {
  explicit Signal(SignalKind k) : kind(k) {}

  Signal* next = nullptr;  // the queue's
  SignalKind kind;
  bool monitors = false;  // kCall, kSystem: counts in the callee's table of watchers (internal)
  bool expires = true;    // kCall: not dispatched after `deadline`
  KeptPid from;           // local sender: node_id 0. Invalid pid: somebody outside the runtime
  KeptPid to;
  Ref ref = 0;
  Payload payload;
  ExitReason reason;
  absl::Status status;
  // kCall: when its caller gives up. Requests of local processes do not expire: they are handled
  // all the same, as in OTP.
  Instant deadline = Instant::Infinite();
  // kCall that a cluster name led to, by this registration: for whoever has the name still. 0:
  // none.
  uint64_t reg_version = 0;
};
using SignalPtr = std::unique_ptr<Signal>;

// Turns a queue that was pushed to the front (newest first) into the order of arrival.
inline Signal* OldestFirst(Signal* newest) {
  Signal* oldest = nullptr;
  while (newest) {
    Signal* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  return oldest;
}

// Where a reply goes. A value: may be kept, copied and given to another process.
struct CallFrom {
  Pid caller;
  Ref ref = 0;
  Pid callee;  // who was called: its table has the caller's monitor
  // When the caller gives up, as far as it said: what the request needs from others it needs by
  // then.
  Instant deadline = Instant::Infinite();
  friend bool operator==(const CallFrom&, const CallFrom&) = default;
};

// What Receive() yields: a signal that has become a message.
class Message {
 public:
  explicit Message(SignalPtr s) : s_(std::move(s)) {}
  Message(Message&&) = default;
  Message& operator=(Message&&) = default;
  SignalKind kind() const { return s_->kind; }
  bool is_info() const { return kind() == SignalKind::kMessage; }
  bool is_cast() const { return kind() == SignalKind::kCast; }
  bool is_call() const { return kind() == SignalKind::kCall; }
  bool is_system() const { return kind() == SignalKind::kSystem; }
  bool is_timeout() const { return kind() == SignalKind::kTimeout; }
  // The answer to a request of SendRequestToMailbox(): status(), payload().
  bool is_reply() const { return kind() == SignalKind::kReply; }
  // {'EXIT', from(), reason()}: only a process that traps exits sees it.
  bool is_exit() const { return kind() == SignalKind::kExit || kind() == SignalKind::kLinkExit; }
  // {'DOWN', ref(), process, from(), reason()}.
  bool is_down() const { return kind() == SignalKind::kDown; }

  Pid from() const { return s_->from; }
  Ref ref() const { return s_->ref; }
  const Payload& payload() const { return s_->payload; }
  const ExitReason& reason() const { return s_->reason; }
  const absl::Status& status() const { return s_->status; }
  CallFrom call_from() const { return {s_->from, s_->ref, s_->to, s_->deadline}; }
  Instant deadline() const { return s_->deadline; }
  // A call that may not begin after its deadline.
  bool expires() const { return is_call() && s_->expires && !s_->deadline.infinite(); }
  const Signal& signal() const { return *s_; }
  SignalPtr Release() && { return std::move(s_); }

 private:
  SignalPtr s_;
};

}  // namespace banyan
