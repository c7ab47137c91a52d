#include "tests/support/actors/actor_test.h"

namespace banyan {

Payload Word(std::string text) { return Payload::Local(std::move(text)); }

std::string TextOf(const Payload& payload) {
  const auto* text = payload.As<std::string>();
  return text ? *text : "";
}

ActorTest::ActorTest() {
  Runtime::Options options;
  options.clock = &time_;
  options.timers = &time_;
  options.executor = &time_;
  options.workers = 0;
  rt_ = std::make_unique<Runtime>(options);
  host_.modules = &modules_;
  rt_->SetHost(&host_);
}

ActorTest::~ActorTest() {
  rt_->Shutdown();
  rt_.reset();
}

void ActorTest::RunAs(bool trap_exit, std::function<Task<void>(Self&)> body, bool may_die) {
  bool finished = false;
  ProcessMain main = [&](Self& self) -> Task<ExitReason> {
    co_await body(self);
    finished = true;
    co_return ExitReason::Normal();
  };
  SpawnOptions options;
  options.trap_exit = trap_exit;
  options.module = "test";
  absl::StatusOr<Pid> t = rt_->Spawn(std::move(main), std::move(options));
  ASSERT_TRUE(t.ok());
  EXPECT_TRUE(time_.RunUntil([&] { return !rt_->IsAlive(*t); }, absl::Hours(1)))
      << "the test process hangs";
  EXPECT_TRUE(finished || may_die)
      << "the test process was ended by an exit signal or an exception";
  // What it leaves behind ends too.
  time_.RunFor(absl::Minutes(1));
}

Task<std::optional<ExitReason>> ActorTest::ExitOf(Self& t, Pid from, absl::Duration limit) {
  std::optional<Message> m = co_await t.ReceiveIf(
      [from](const Message& m) { return m.is_exit() && m.from() == from; }, t.Now() + limit);
  if (!m) co_return std::nullopt;
  co_return m->reason();
}

Task<std::optional<Message>> ActorTest::Next(Self& t, absl::Duration limit) {
  std::optional<Message> m = co_await t.Receive(t.Now() + limit);
  co_return m;
}

Task<ExitReason> ActorTest::DownOf(Self& t, Pid pid) {
  Ref ref = t.Monitor(pid);
  std::optional<Message> m =
      co_await t.ReceiveIf([ref](const Message& m) { return m.is_down() && m.ref() == ref; });
  co_return m->reason();
}

}  // namespace banyan
