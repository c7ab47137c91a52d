#include "server/modules/kv.h"

#include "common/base/error.h"
#include "common/wire/payload.h"
#include "server/modules/modules.h"
#include "tests/support/actors/actor_test.h"

namespace banyan {
namespace {

namespace pb = modules::v1;

class KvTest : public ActorTest {
 protected:
  KvTest() { AddShippedModules(&modules_); }

  static Task<StartResult> Start(Self& t, std::vector<Payload> args = {}) {
    StartSpec spec;
    spec.module = "kv";
    spec.args = std::move(args);
    return StartModule(t, std::move(spec), {});
  }
  template <typename Answer, typename Request>
  static Task<absl::StatusOr<Answer>> Ask(Self& t, Pid kv, Request request) {
    absl::StatusOr<Payload> answer = co_await t.Call(kv, wire::MakePayload(std::move(request)));
    if (!answer.ok()) co_return answer.status();
    co_return wire::UnpackOrError<Answer>(*answer);
  }
  static pb::Put PutOf(std::string key, std::string value) {
    pb::Put put;
    put.set_key(std::move(key));
    put.set_value(std::move(value));
    return put;
  }
  static pb::Get GetOf(std::string key) {
    pb::Get get;
    get.set_key(std::move(key));
    return get;
  }
};

TEST_F(KvTest, PutsGetsAndDeletes) {
  Run([&](Self& t) -> Task<void> {
    StartResult kv = co_await Start(t);
    auto put = co_await Ask<pb::PutReply>(t, kv.pid, PutOf("k", "v"));
    EXPECT_FALSE(put->replaced());
    put = co_await Ask<pb::PutReply>(t, kv.pid, PutOf("k", "w"));
    EXPECT_TRUE(put->replaced());
    auto got = co_await Ask<pb::GetReply>(t, kv.pid, GetOf("k"));
    EXPECT_TRUE(got->found());
    EXPECT_EQ(got->value(), "w");
    auto size = co_await Ask<pb::SizeReply>(t, kv.pid, pb::Size());
    EXPECT_EQ(size->keys(), 1u);
    pb::Delete del;
    del.set_key("k");
    auto deleted = co_await Ask<pb::DeleteReply>(t, kv.pid, del);
    EXPECT_TRUE(deleted->deleted());
    got = co_await Ask<pb::GetReply>(t, kv.pid, GetOf("k"));
    EXPECT_FALSE(got->found());
  });
}

TEST_F(KvTest, TakesBytesAsTheyComeFromTheWire) {
  Run([&](Self& t) -> Task<void> {
    StartResult kv = co_await Start(t);
    Payload put = Payload::Any("type.googleapis.com/banyan.modules.v1.Put",
                               PutOf("k", "v").SerializeAsString());
    t.Cast(kv.pid, put);
    auto got = co_await Ask<pb::GetReply>(t, kv.pid, GetOf("k"));
    EXPECT_EQ(got->value(), "v");
    absl::StatusOr<Payload> garbage = co_await t.Call(
        kv.pid, Payload::Any("type.googleapis.com/banyan.modules.v1.Put", "\xff\xff\xff"));
    EXPECT_EQ(ErrorReason(garbage.status()), "PAYLOAD_INVALID");
    EXPECT_TRUE(rt_->IsAlive(kv.pid));
  });
}

TEST_F(KvTest, RefusesBadKeysAndUnknownRequests) {
  Run([&](Self& t) -> Task<void> {
    StartResult kv = co_await Start(t);
    for (const std::string& key : {std::string(), std::string(1025, 'x')}) {
      auto put = co_await Ask<pb::PutReply>(t, kv.pid, PutOf(key, "v"));
      EXPECT_EQ(put.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(put.status().message()), testing::HasSubstr("key"));
    }
    auto longest = co_await Ask<pb::PutReply>(t, kv.pid, PutOf(std::string(1024, 'x'), "v"));
    EXPECT_TRUE(longest.ok());
    absl::StatusOr<Payload> unknown =
        co_await t.Call(kv.pid, Payload::Any("type.googleapis.com/x.Y", ""));
    EXPECT_EQ(ErrorReason(unknown.status()), "CALL_NOT_HANDLED");
    absl::StatusOr<Payload> nothing = co_await t.Call(kv.pid, Payload());
    EXPECT_EQ(ErrorReason(nothing.status()), "CALL_NOT_HANDLED");
    t.Cast(kv.pid, Payload::Any("type.googleapis.com/x.Y", ""));
    t.Send(kv.pid, Payload());
    co_await t.Sleep(absl::Milliseconds(1));
    EXPECT_TRUE(rt_->IsAlive(kv.pid));
  });
}

TEST_F(KvTest, StartArgumentsNameAndFill) {
  Run([&](Self& t) -> Task<void> {
    pb::KvArgs args;
    args.set_name("store");
    (*args.mutable_initial())["a"] = "1";
    StartResult kv = co_await Start(t, {wire::MakePayload(args)});
    CO_ASSERT(kv.started());
    EXPECT_EQ(rt_->Whereis("store"), kv.pid);
    auto got = co_await Ask<pb::GetReply>(t, kv.pid, GetOf("a"));
    EXPECT_EQ(got->value(), "1");
    StartResult second = co_await Start(t, {wire::MakePayload(args)});
    EXPECT_EQ(second.reason.type(), kAlreadyStarted);
    StartResult two = co_await Start(t, {wire::MakePayload(args), wire::MakePayload(args)});
    EXPECT_EQ(two.reason.type(), "badarg");
    StartResult wrong = co_await Start(t, {wire::MakePayload(pb::Size())});
    EXPECT_EQ(wrong.reason.type(), "badarg");
    EXPECT_THAT(wrong.reason.message(), testing::HasSubstr("args[0]"));
  });
}

TEST_F(KvTest, CrashesOnDemand) {
  Run([&](Self& t) -> Task<void> {
    StartResult kv = co_await Start(t);
    pb::Crash crash;
    crash.set_message("because");
    absl::StatusOr<Payload> answer = co_await t.Call(kv.pid, wire::MakePayload(crash));
    EXPECT_EQ(ErrorReason(answer.status()), "CALLEE_EXITED");
    EXPECT_EQ(co_await ExitOf(t, kv.pid), ExitReason::Error("crash", "because"));
    kv = co_await Start(t);
    crash.set_normal(true);
    t.Cast(kv.pid, wire::MakePayload(crash));
    EXPECT_EQ(co_await ExitOf(t, kv.pid), ExitReason::Normal());
  });
}

TEST_F(KvTest, StateIsShownAndReplaced) {
  Run([&](Self& t) -> Task<void> {
    StartResult kv = co_await Start(t);
    pb::KvArgs state;
    (*state.mutable_initial())["x"] = "y";
    auto replaced = co_await sys::ReplaceState(
        t, kv.pid, [&](const Payload&) { return wire::MakePayload(state); });
    EXPECT_TRUE(replaced.ok()) << replaced.status();
    absl::StatusOr<Payload> got = co_await sys::GetState(t, kv.pid);
    CO_ASSERT(got.ok());
    EXPECT_EQ(wire::Unpack<pb::KvArgs>(*got)->initial().at("x"), "y");
    auto refused = co_await sys::ReplaceState(t, kv.pid, [&](const Payload&) { return Payload(); });
    EXPECT_EQ(ErrorReason(refused.status()), "STATE_INVALID");
  });
}

}  // namespace
}  // namespace banyan
