#include "server/behaviours/start.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/slab.h"

namespace banyan {

// What starter and process share. What a process that will not run tells its starter is written by
// the process before it ends, and read by the starter after it has heard of the end.
struct StartBlock {
  enum class Word : uint8_t { kNone, kIgnored, kFailed };
  StartBlock(StartBody b, Pid by, Ref a) : body(std::move(b)), starter(by), alias(a) {}
  StartBody body;  // lives as long as the process: its captures may be in use
  const Pid starter;
  const Ref alias;
  Word word = Word::kNone;
  ExitReason reason;
};

void StartAck::Started(Payload info) {
  if (!std::exchange(block_, nullptr)) return;
  self_->Answer(CallFrom{starter_, alias_, self_->pid()}, std::move(info));
}

void StartAck::Ignored() {
  if (auto block = std::exchange(block_, nullptr)) block->word = StartBlock::Word::kIgnored;
}

void StartAck::Failed(ExitReason reason) {
  if (auto block = std::exchange(block_, nullptr)) {
    block->word = StartBlock::Word::kFailed;
    block->reason = std::move(reason);
  }
}

namespace {

StartResult NameTaken(const std::string& name, Pid holder) {
  StartResult r = StartResult::Failed(
      ExitReason::Error(kAlreadyStarted, fmt::format("the name \"{}\" is registered already", name),
                        Payload::Local(holder)));
  r.pid = holder;
  return r;
}

SpawnOptions ToSpawnOptions(StartOptions& o, Ref alias) {
  SpawnOptions s;
  s.link = o.link;
  s.link_to = o.link_to;
  s.monitor = o.monitor;
  s.trap_exit = o.trap_exit;
  s.name = o.name;
  s.module = std::move(o.module);
  s.parent = o.parent;
  s.child_id = std::move(o.child_id);
  s.exclusive = o.exclusive;
  s.fence = o.fence;
  s.max_messages = o.max_messages;
  s.alias = alias;
  return s;
}

// Nothing of a process that failed to start stays in its starter's mailbox.
void DropLeftovers(Self& starter, const SpawnResult& child) {
  if (starter.trap_exit()) {
    starter.TakeIf([pid = child.pid](const Message& m) { return m.is_exit() && m.from() == pid; });
  }
  if (child.monitor) starter.Demonitor(child.monitor);
}

// Names are free and the process is gone when this comes back.
Task<void> KillUnstarted(Self& starter, SpawnResult child, Pid linked) {
  starter.Unlink(child.pid);
  if (linked) starter.runtime().Unlink(child.pid, linked);
  Ref down = starter.Monitor(child.pid);
  starter.Exit(child.pid, ExitReason::Kill());
  co_await starter.ReceiveIf([down](const Message& m) { return m.is_down() && m.ref() == down; });
}

}  // namespace

Task<StartResult> StartProcess(Self& starter, StartBody body, StartOptions options) {
  if (!options.name.empty()) {
    std::optional<Pid> holder = starter.runtime().Whereis(options.name);
    if (holder) co_return NameTaken(options.name, *holder);
  }
  const Ref alias = starter.OpenAlias({});
  const Pid linked = options.link_to;
  auto block = std::allocate_shared<StartBlock>(SlabAllocator<StartBlock>(), std::move(body),
                                                starter.pid(), alias);
  ProcessMain main = [block](Self& self) {
    return block->body(self, StartAck(&self, block->starter, block->alias, block));
  };
  absl::StatusOr<SpawnResult> child =
      starter.Spawn(std::move(main), ToSpawnOptions(options, alias));
  if (!child.ok()) {
    starter.CloseAlias(alias);
    std::optional<Pid> holder = starter.runtime().Whereis(options.name);
    if (ErrorReason(child.status()) == "NAME_TAKEN")
      co_return NameTaken(options.name, holder.value_or(Pid{}));
    co_return StartResult::Failed(
        ExitReason::Error("system_limit", std::string(child.status().message())));
  }
  const Instant deadline = options.timeout == absl::InfiniteDuration()
                               ? Instant::Infinite()
                               : starter.Now() + options.timeout;
  CallReply reply = co_await starter.AwaitReply(alias, deadline);
  if (reply.outcome == CallReply::Outcome::kReply) {
    co_return StartResult::Started(child->pid, std::move(reply.payload), child->monitor);
  }
  if (reply.outcome == CallReply::Outcome::kTimeout) {
    co_await KillUnstarted(starter, *child, linked);
    DropLeftovers(starter, *child);
    co_return StartResult::Failed(ExitReason::Timeout());
  }
  DropLeftovers(starter, *child);
  switch (block->word) {
    case StartBlock::Word::kIgnored:
      co_return StartResult::Ignored();
    case StartBlock::Word::kFailed:
      co_return StartResult::Failed(std::move(block->reason));
    case StartBlock::Word::kNone:
      break;
  }
  co_return StartResult::Failed(std::move(reply.reason));
}

namespace {
// Runs `done` once for certain: with a failure if whoever should have called it was killed.
class Once {
 public:
  explicit Once(std::function<void(StartResult)> done) : done_(std::move(done)) {}
  ~Once() { Run(StartResult::Failed(ExitReason::Killed())); }
  void Run(StartResult result) {
    if (auto done = std::exchange(done_, nullptr)) done(std::move(result));
  }

 private:
  std::function<void(StartResult)> done_;
};
}  // namespace

void StartFromOutside(Runtime& runtime, std::function<Task<StartResult>(Self&)> start,
                      std::function<void(StartResult)> done) {
  auto once = std::make_shared<Once>(std::move(done));
  ProcessMain main = [start = std::move(start), once](Self& self) -> Task<ExitReason> {
    StartResult result = co_await start(self);
    once->Run(std::move(result));
    co_return ExitReason::Normal();
  };
  SpawnOptions options;
  options.trap_exit = true;
  options.module = "starter";
  absl::StatusOr<Pid> pid = runtime.Spawn(std::move(main), std::move(options));
  if (!pid.ok()) {
    once->Run(StartResult::Failed(
        ExitReason::Error("system_limit", std::string(pid.status().message()))));
  }
}

void StartProcess(Runtime& runtime, StartBody body, StartOptions options,
                  std::function<void(StartResult)> done) {
  options.link = options.monitor = false;
  StartFromOutside(
      runtime,
      [body = std::move(body), options = std::move(options)](Self& self) {
        return StartProcess(self, body, options);
      },
      std::move(done));
}

}  // namespace banyan
