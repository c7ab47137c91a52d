// Who hears of processes that do not give way: SYS-071 to SYS-073. spec/sys.md 7, 11.
#include "server/runtime/system_monitor.h"
#include "tests/conformance/sys/subject.h"

namespace banyan {
namespace {

// A clock that code under test moves while it runs.
class HandClock : public Clock {
 public:
  Instant Now() const override { return now; }
  absl::Time WallNow() const override { return absl::UnixEpoch(); }
  Instant now = Instant::FromNanos(1'000'000'000);
};

class SysMonitor : public SysTest {
 protected:
  SysMonitor() {
    Runtime::Options options;
    options.clock = &clock_;
    options.timers = &time_;
    options.executor = &time_;
    options.workers = 0;
    rt_ = std::make_unique<Runtime>(options);
    rt_->SetHost(&host_);
    script_.cast = [this](S&, std::string word) -> Task<Step> {
      clock_.now = clock_.now + absl::Milliseconds(std::stoi(word));
      return S::NoReply();
    };
  }
  ~SysMonitor() override { rt_->Shutdown(); }
  static SystemMonitorSetting LongSchedule(Pid receiver, absl::Duration d) {
    return {.receiver = receiver, .long_schedule = d};
  }
  static std::vector<SystemMonitorEvent> Heard(Self& t) {
    std::vector<SystemMonitorEvent> events;
    auto is_event = [](const Message& m) {
      return m.payload().As<SystemMonitorEvent>() != nullptr;
    };
    while (std::optional<Message> m = t.TakeIf(is_event))
      events.push_back(*m->payload().As<SystemMonitorEvent>());
    return events;
  }

  HandClock clock_;
};

TEST_F(SysMonitor, SYS071To073LongTurnsAndWhoHears) {
  Run([&](Self& t) -> Task<void> {
    SystemMonitor& monitor = rt_->system_monitor();
    Pid p = co_await StartSubject(t);
    EXPECT_FALSE(monitor.Get().has_value());
    auto before = monitor.Set(LongSchedule(t.pid(), Ms(50)));
    EXPECT_FALSE(before->has_value());
    for (const char* busy : {"49", "50", "1"}) {
      t.Cast(p, Word(busy));
      EXPECT_EQ(co_await StateOf(t, p), "state");
      co_await t.Yield();
    }
    std::vector<SystemMonitorEvent> heard = Heard(t);
    CO_ASSERT(heard.size() == 1);
    EXPECT_EQ(heard[0].who, p);
    EXPECT_EQ(heard[0].module, "script");
    EXPECT_EQ(heard[0].took, Ms(50));

    Pid second = co_await StartSubject(t);
    auto first = monitor.Set(LongSchedule(second, absl::ZeroDuration()));
    EXPECT_EQ(**first, LongSchedule(t.pid(), Ms(50))) << "SYS-072";
    EXPECT_EQ(monitor.Get()->long_schedule, kMinLongSchedule);
    script_.trace.clear();
    t.Cast(p, Word("60"));
    EXPECT_EQ(co_await StateOf(t, p), "state");
    EXPECT_EQ(co_await StateOf(t, second), "state");
    EXPECT_TRUE(Heard(t).empty());
    EXPECT_THAT(script_.trace, testing::ElementsAre("cast 60", "info "));

    EXPECT_TRUE((co_await sys::Stop(t, second)).ok());
    EXPECT_FALSE(monitor.Get().has_value()) << "SYS-073";
    t.Cast(p, Word("70"));
    EXPECT_EQ(co_await StateOf(t, p), "state");
    EXPECT_FALSE(monitor.watching());
    auto dead = monitor.Set(LongSchedule(second, Ms(50)));
    EXPECT_EQ(ErrorOf(dead), "NOPROC");
    EXPECT_TRUE(monitor.Set(LongSchedule(t.pid(), Ms(50))).ok());
    before = monitor.Set(std::nullopt);
    EXPECT_TRUE(before->has_value());
    EXPECT_FALSE(monitor.watching());
  });
}

}  // namespace
}  // namespace banyan
