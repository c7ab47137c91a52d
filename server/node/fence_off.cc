#include "server/node/fence_off.h"

#include <atomic>

namespace banyan {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(5);

struct Sweep : std::enable_shared_from_this<Sweep> {
  Runtime* runtime;
  Timers* timers;
  Executor* executor;
  absl::Duration patience;
  std::function<void()> stuck;
  std::function<void()> done;
  Instant complain_at;
  std::atomic<size_t> open{0};
  std::atomic<size_t> found{0};

  // Each process is asked on its own turn, so that the answer and the kill are in order with its
  // spawns.
  void Look() {
    std::vector<ProcessSnapshot> all = runtime->List();
    found = 0;
    open = all.size() + 1;
    Runtime::DeliverBatch batch(runtime);
    for (const ProcessSnapshot& s : all) {
      runtime->Inspect(s.pid, [self = shared_from_this()](std::optional<ProcessSnapshot> p) {
        if (p && p->fence != 0) {
          ++self->found;
          self->runtime->Exit(p->pid, ExitReason::Kill());
        }
        self->Answered();
      });
    }
    Answered();
  }

  void Answered() {
    if (--open != 0) return;
    executor->Post([self = shared_from_this()] {
      if (self->found == 0) return self->done();
      self->Later(kPause, [self] { self->Look(); });
    });
  }

  void Later(absl::Duration d, std::function<void()> fn) {
    timers->ScheduleAt(runtime->clock().Now() + d, [self = shared_from_this(), fn = std::move(fn)] {
      self->executor->Post(fn);
    });
  }

  // Only while the sweep is alive elsewhere: its last closure ends this too.
  static void Complain(std::weak_ptr<Sweep> weak) {
    std::shared_ptr<Sweep> self = weak.lock();
    if (!self) return;
    self->stuck();
    Arm(std::move(self));
  }
  static void Arm(std::shared_ptr<Sweep> self) {
    Executor* executor = self->executor;
    self->timers->ScheduleAt(self->runtime->clock().Now() + self->patience,
                             [weak = std::weak_ptr<Sweep>(self), executor] {
                               executor->Post([weak] { Complain(weak); });
                             });
  }
};

}  // namespace

void FenceOff(Runtime* runtime, Timers* timers, Executor* executor, absl::Duration patience,
              std::function<void()> stuck, std::function<void()> done) {
  auto sweep = std::make_shared<Sweep>();
  sweep->runtime = runtime;
  sweep->timers = timers;
  sweep->executor = executor;
  sweep->patience = patience;
  sweep->stuck = std::move(stuck);
  sweep->done = std::move(done);
  Sweep::Arm(sweep);
  sweep->Look();
}

}  // namespace banyan
