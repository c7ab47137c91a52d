#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "server/behaviours/pg.h"
#include "tests/support/actors/actor_test.h"

namespace banyan {

// T, and processes that it starts: members that end when they are told to. The scope is "s".
class PgTest : public ActorTest {
 protected:
  static Task<Pid> StartScope(Self& t, std::string scope = "s") {
    StartResult r = co_await pg::Start(t, std::move(scope));
    EXPECT_TRUE(r.started()) << r.reason.ToString();
    co_return r.pid;
  }
  static Pid Member(Self& t) {
    ProcessMain main = [](Self& self) -> Task<ExitReason> {
      co_await self.Receive();
      co_return ExitReason::Normal();
    };
    return t.Spawn(std::move(main), {})->pid;
  }
  static Task<void> EndOf(Self& t, Pid member) {
    t.Send(member, Word("end"));
    co_await DownOf(t, member);
  }
  static Task<void> Join(Self& t, std::string group, std::vector<Pid> pids) {
    absl::Status joined = co_await pg::Join(t, "s", std::move(group), std::move(pids));
    EXPECT_TRUE(joined.ok()) << joined;
  }
  // What went wrong; "ok".
  static Task<std::string> Leave(Self& t, std::string group, std::vector<Pid> pids) {
    absl::Status left = co_await pg::Leave(t, "s", std::move(group), std::move(pids));
    co_return left.ok() ? "ok" : ErrorReason(left);
  }
  static Task<Ref> MonitorScope(Self& t, std::string scope = "s") {
    absl::StatusOr<pg::ScopeMonitor> monitor = co_await pg::MonitorScope(t, std::move(scope));
    EXPECT_TRUE(monitor.ok()) << monitor.status();
    co_return monitor->ref;
  }
  // The change that T is told of next under `ref`; nullopt: none within a second.
  static Task<std::optional<GroupChange>> Change(Self& t, Ref ref) {
    std::optional<Message> m = co_await t.ReceiveIf(
        [ref](const Message& m) {
          const auto* notice = m.payload().As<GroupNotice>();
          return notice != nullptr && notice->ref == ref;
        },
        t.Now() + absl::Seconds(1));
    if (!m) co_return std::nullopt;
    co_return m->payload().As<GroupNotice>()->change;
  }
  static GroupChange Joined(std::string group, std::vector<Pid> pids) {
    return {GroupChange::Kind::kJoin, std::move(group), std::move(pids)};
  }
  static GroupChange Left(std::string group, std::vector<Pid> pids) {
    return {GroupChange::Kind::kLeave, std::move(group), std::move(pids)};
  }
};

}  // namespace banyan
