#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "common/coro/task.h"
#include "server/runtime/origin.h"
#include "server/runtime/signal.h"

namespace banyan {

class Process;
class Runtime;
class Self;

// A name on a node: whoever has it when what is sent there arrives (OTP's {Name, Node}). An empty
// node is this one.
struct NameAt {
  NameAt(std::string its_name, std::string its_node)
      : name(std::move(its_name)), node(std::move(its_node)) {}
  std::string name;
  std::string node;
  friend bool operator==(const NameAt&, const NameAt&) = default;
};

// The body of a process. It ends with the reason it returns; an exception out of it is a crash
// whose type is the exception's. The closure lives as long as the process, so captures are safe.
using ProcessMain = std::function<Task<ExitReason>(Self&)>;

struct SpawnOptions {
  bool link = false;     // to the spawner, before the first instruction of either
  bool monitor = false;  // by the spawner; the Ref comes back beside the pid
  // To that process too, before the first instruction of the new one. It may be of another node; if
  // it is gone, the new process hears so as from any link.
  Pid link_to;
  bool trap_exit = false;  // the flag's first value
  std::string name;        // registered before the first instruction; taken: the spawn fails
  std::string module;      // for people: what runs here
  Pid parent;            // for people and for the rule about a parent's exit; default: the spawner
  std::string child_id;  // under that parent
  bool exclusive = false;  // frozen without a lease; inherited from the spawner anyway
  // Of a child of a cluster-wide supervisor; inherited, unless it says another fence. `fence`
  // alone: an origin of its own.
  uint64_t fence = 0;
  std::shared_ptr<ProcessOrigin> origin;
  uint32_t max_messages = 0;  // mailbox bound; 0: the runtime's default
  // From OpenAlias({}): from its first instruction the new process is what the alias watches, as
  // the callee of a call; it answers with Answer({spawner, alias, its own pid}). For start
  // handshakes.
  Ref alias = 0;
};

struct SpawnResult {
  Pid pid;
  Ref monitor = 0;
};

// How a call or a start ended.
struct CallReply {
  enum class Outcome { kReply, kDown, kTimeout } outcome = Outcome::kReply;
  absl::Status status;  // kReply: an error that was answered
  Payload payload;      // kReply
  ExitReason reason;    // kDown
  Pid from;
};

// A process's own view of itself: the only way its code touches the runtime. Valid while its body
// runs; used by its body alone.
//
// Everything that waits suspends the process, never a thread, and ends at once, by destruction of
// the suspended frames, when an exit signal ends the process.
class Self {
 public:
  explicit Self(Process* p) : p_(p) {}
  Self(const Self&) = delete;
  Self& operator=(const Self&) = delete;

  Pid pid() const;
  Pid parent() const;
  Runtime& runtime() const;
  Instant Now() const;
  // The fencing token of the child of a cluster-wide supervisor that this process belongs to: every
  // later life of that child has a higher one. 0: of no such child. See docs/fencing.md.
  uint64_t fence() const;
  // That child's place, "shop/payments/w3"; empty: of no such child.
  const std::string& child_path() const;
  bool exclusive() const;
  // How long this process is sure to be the only life of its child. Infinite unless exclusive.
  absl::Duration LeaseLeft() const;
  // Ask right before an effect that nobody fences: no other life begins for at least `need`.
  bool LeaseOk(absl::Duration need) const { return LeaseLeft() >= need; }
  const std::string& child_id() const;

  // --- messages
  class ReceiveAwaiter;
  // The next message, in order of arrival.
  ReceiveAwaiter Receive();
  // The same, or nullopt at `deadline`. A past deadline looks into the mailbox once.
  ReceiveAwaiter Receive(Instant deadline);
  // The first message that satisfies `want`; the others stay, in order. `want` must outlive the
  // wait.
  ReceiveAwaiter ReceiveIf(std::function<bool(const Message&)> want,
                           Instant deadline = Instant::Infinite());
  // Takes the first message that satisfies `want`, if it is there now.
  std::optional<Message> TakeIf(const std::function<bool(const Message&)>& want);
  size_t mailbox_length() const;

  // Never fail and never wait: to nobody is to nobody.
  void Send(Pid to, Payload payload);
  void Cast(Pid to, Payload payload);
  void Send(const NameAt& to, Payload payload) { Send(AddressOf(to), std::move(payload)); }
  void Cast(const NameAt& to, Payload payload) { Cast(AddressOf(to), std::move(payload)); }
  // False, and nothing is sent: `to`'s mailbox is full, or too much waits for its node already
  // (OTP's erlang:send with nosuspend). Send() would be held up then, at the next wait.
  bool TrySend(Pid to, Payload payload);
  // To a locally registered name; false: nobody has it.
  bool SendName(const std::string& name, Payload payload);

  // --- calls
  class ReplyAwaiter;
  // gen_server:call. An error is the callee's own (as it answered) or the platform's: CALL_TIMEOUT,
  // CALLEE_EXITED with the exit reason, NOPROC, NOCONNECTION, NOT_DELIVERED, CALLING_SELF.
  Task<absl::StatusOr<Payload>> Call(Pid to, Payload payload,
                                     absl::Duration timeout = absl::Seconds(5));
  // NOPROC if nobody there has the name, NOT_DELIVERED if there is no such node.
  Task<absl::StatusOr<Payload>> Call(NameAt to, Payload payload,
                                     absl::Duration timeout = absl::Seconds(5));
  Task<absl::StatusOr<Payload>> CallName(std::string name, Payload payload,
                                         absl::Duration timeout = absl::Seconds(5));
  // Until a moment, such as the one that the request in hand must be answered by (CallFrom).
  // Nothing is sent after it: CALL_EXPIRED.
  Task<absl::StatusOr<Payload>> CallUntil(Instant deadline, Pid to, Payload payload);
  // The parts of a call, for asynchronous requests: send it, then wait. An alias that was not
  // waited for is closed by CloseAlias(); what comes later is dropped and counted.
  Ref SendRequest(Pid to, Payload payload, SignalKind kind = SignalKind::kCall);
  ReplyAwaiter AwaitReply(Ref alias, Instant deadline);
  // The same with a response that comes as a message with this ref: is_reply(), or is_down() when
  // there is none. For whoever waits for other messages meanwhile; CloseAlias() gives the response
  // up, unless it is in the mailbox already. See server/behaviours/requests.h.
  Ref SendRequestToMailbox(Pid to, Payload payload, SignalKind kind = SignalKind::kCall);
  void CloseAlias(Ref alias);
  // For whoever serves calls: nobody waits for this one any more, which has just been received.
  // True once; it is neither begun nor answered then.
  bool TakeCancelled(const Message& call);
  // Answers a call; by whoever has the CallFrom. Only the first answer counts.
  void Answer(const CallFrom& to, Payload payload);
  // An error of one's own, or one that a call of one's own ended with: the request ran.
  void AnswerError(const CallFrom& to, absl::Status status);
  // Nothing was done for the request; the error's outcome and retry delay say so to the caller.
  void Refuse(const CallFrom& to, absl::Status status);
  // Opens an alias without a request, for another process to answer through (start handshakes). The
  // wait ends with kDown when `watched`, which must be linked or monitored, ends first.
  Ref OpenAlias(Pid watched);
  Ref OpenAliasToMailbox();

  // --- links, monitors, exits
  // False: OTP's error `noproc`, for a dead local process and a caller that does not trap exits.
  bool Link(Pid to);
  void Unlink(Pid to);
  Ref Monitor(Pid target);
  // The name is looked up once, there. The DOWN's from() is the name (NameOf, named_pid.h), whoever
  // had it: its exit reason, noproc if nobody did, noconnection if there is no such node.
  Ref Monitor(const NameAt& target);
  // False: it had fired already, or is unknown. `flush` takes a DOWN that is in the mailbox out.
  bool Demonitor(Ref ref, bool flush = true);
  void Exit(Pid to, ExitReason reason);
  // exit(Reason) of oneself: `co_await self.ExitSelf(r)` does not come back.
  struct ExitAwaiter;
  ExitAwaiter ExitSelf(ExitReason reason);
  bool trap_exit() const;
  bool SetTrapExit(bool on);  // returns what it was

  // --- spawning
  absl::StatusOr<SpawnResult> Spawn(ProcessMain main, SpawnOptions options);

  // --- time
  class SleepAwaiter;
  SleepAwaiter Sleep(absl::Duration d);
  // A kTimeout message with the returned ref (and `payload`) after `d`.
  Ref StartTimer(absl::Duration d, Payload payload = {});
  // False: it fired (the message may be in the mailbox; `flush` takes it out) or is unknown.
  bool CancelTimer(Ref ref, bool flush = true);
  // Lets others run, then goes on.
  SleepAwaiter Yield();

  // Where that is now, for whatever takes a pid but Link(). Asked anew for each use, for a node
  // that comes back is another one.
  Pid AddressOf(const NameAt& at) const;

  // --- names of this runtime
  // False: taken by another live process.
  bool Register(const std::string& name);
  bool Unregister(const std::string& name);

  // Work that blocks, on a pool of its own: `co_await self.Blocking([] { return fsync(fd); })`. The
  // closure must not touch the process; it runs to its end even if the process is ended meanwhile.
  template <typename F, typename R = std::invoke_result_t<F>>
  Task<R> Blocking(F fn);

  // Labels the process for people: its module and the state shown by ListActors.
  void SetModule(const std::string& module);
  // Shows it as suspended, not waiting, while it waits (sys:suspend).
  void ShowSuspended(bool on);

  Process* process() const { return p_; }

 private:
  Process* const p_;
};

}  // namespace banyan

#include "server/runtime/awaiters.h"  // IWYU pragma: export
