#include "server/node/keeper.h"

namespace banyan {
namespace {

// The keeper's state, on its own turns.
struct Keeper {
  Self& self;
  Pid child;
  Ref monitor = 0;
  absl::Duration stuck_after;
  KeeperEvents events;
  std::optional<ExitReason> ended;

  // Looks at one message; keeps a stop that it asks for in `stop`.
  void Take(const Message& m, std::optional<KeeperStop>* stop) {
    if (m.is_exit() && m.from() == child) {
      ended = m.reason();
    } else if (m.is_down() && m.ref() == monitor) {
      // A child that was gone before it was monitored: its link said why, earlier.
      if (!ended) ended = m.reason();
    } else if (const KeeperStop* s = m.payload().As<KeeperStop>()) {
      *stop = *s;
    }
  }

  Task<void> WaitUntil(Instant deadline, std::optional<KeeperStop>* stop) {
    while (!ended && !*stop) {
      std::optional<Message> m = co_await self.Receive(deadline);
      if (!m) co_return;
      Take(*m, stop);
    }
  }

  // OTP's shutdown of a child: ask, wait, kill. A second word (a kill after a stop) cuts the
  // waiting.
  Task<void> StopChild(KeeperStop how) {
    std::optional<KeeperStop> sooner;
    if (!how.policy.brutal_kill) {
      self.Exit(child, how.reason);
      const Instant deadline = self.Now() + how.policy.timeout;
      do {
        sooner.reset();
        co_await WaitUntil(deadline, &sooner);
      } while (sooner && !sooner->policy.brutal_kill);
    }
    if (ended) co_return;
    self.Exit(child, ExitReason::Kill());
    co_await AwaitDeath();
  }

  // A handler that computes for ever cannot be killed, but people must hear of it.
  Task<void> AwaitDeath() {
    std::optional<KeeperStop> ignored;
    Instant deadline = self.Now() + stuck_after;
    while (!ended) {
      ignored.reset();
      co_await WaitUntil(deadline, &ignored);
      if (ended || ignored) continue;
      events({KeeperEvent::Kind::kStuck, child, {}, {}});
      deadline = Instant::Infinite();
    }
  }
};

Task<ExitReason> KeeperBody(Self& self, std::shared_ptr<const ChildSpec> spec, StartContext context,
                            absl::Duration stuck_after, KeeperEvents events) {
  context.parent = self.pid();
  context.link = true;
  StartResult start = co_await StartChildProcess(self, std::move(spec), std::move(context));
  if (start.ignored()) {
    events({KeeperEvent::Kind::kIgnored, {}, {}, {}});
    co_return ExitReason::Normal();
  }
  if (start.failed()) {
    events({KeeperEvent::Kind::kStartFailed, {}, {}, start.reason});
    co_return ExitReason::Normal();
  }
  Keeper keeper{self, start.pid, 0, stuck_after, std::move(events), std::nullopt};
  keeper.monitor = self.Monitor(start.pid);
  keeper.events({KeeperEvent::Kind::kStarted, start.pid, start.info, {}});
  std::optional<KeeperStop> stop;
  co_await keeper.WaitUntil(Instant::Infinite(), &stop);
  if (!keeper.ended) co_await keeper.StopChild(*stop);
  keeper.events({KeeperEvent::Kind::kEnded, start.pid, {}, *keeper.ended});
  co_return ExitReason::Normal();
}

}  // namespace

absl::StatusOr<Pid> SpawnKeeper(Runtime* runtime, std::shared_ptr<const ChildSpec> spec,
                                StartContext context, std::shared_ptr<ProcessOrigin> origin,
                                absl::Duration stuck_after, KeeperEvents events) {
  SpawnOptions options;
  options.trap_exit = true;
  options.module = "banyan.keeper";
  options.child_id = context.child_id;
  // Marks it as the child's own: a keeper that has not started its child yet must be fenced off
  // too, or it would start a life that is over in the node's next one.
  options.origin = std::move(origin);
  return runtime->Spawn(
      [spec = std::move(spec), context = std::move(context), stuck_after,
       events = std::move(events)](Self& self) {
        return KeeperBody(self, spec, context, stuck_after, events);
      },
      std::move(options));
}

}  // namespace banyan
