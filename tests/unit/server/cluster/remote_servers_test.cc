// Servers of another node: GS-023 to GS-026, GS-030, GS-130, GS-131. spec/gen_server.md 9, 10.
#include <gmock/gmock.h>

#include "common/base/error.h"
#include "server/behaviours/gen_server.h"
#include "server/behaviours/module.h"
#include "server/behaviours/multi_call.h"
#include "server/behaviours/sys.h"
#include "two_nodes.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;

// Answers "re:" and what was asked; never "mute"; stops for "stop_shutdown".
class EchoServer : public GenServer {
 public:
  explicit EchoServer(std::vector<std::string>* casts) : casts_(casts) {}
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
  Task<CallResult> HandleCall(Payload request, CallFrom) override {
    if (request.bytes() == "mute") return NoReply();
    if (request.bytes() == "stop_shutdown") return Stop(ExitReason::Shutdown());
    return Reply(Text("re:" + request.bytes()));
  }
  Task<Result> HandleCast(Payload request) override {
    casts_->push_back(request.bytes());
    return NoReply();
  }

 private:
  std::vector<std::string>* casts_;
};

class RemoteServers : public TwoNodes {
 protected:
  void SetUp() override {
    TwoNodes::SetUp();
    t_ = Spawn(*a);
    remote_ = b->Export(StartServer(*b));
    local_ = StartServer(*a);
  }
  Pid StartServer(TestNode& node) {
    Pid pid;
    auto start = [this](Self& self) {
      StartOptions o;
      o.link = false;
      return StartBehaviour(self, [this] { return std::make_unique<EchoServer>(&casts_); }, {}, o);
    };
    StartFromOutside(node.runtime, start, [&pid](StartResult r) { pid = r.pid; });
    Settle();
    EXPECT_TRUE(pid.valid());
    return pid;
  }
  // Runs `script` in a process of node a.
  void InA(Script script) {
    Run(*a, t_, std::move(script));
    Settle();
  }
  static std::string Said(const absl::StatusOr<Payload>& r) {
    return r.ok() ? r->bytes() : ErrorReason(r.status());
  }

  std::vector<std::string> casts_;
  std::shared_ptr<Log> t_;
  Pid remote_, local_;
};

TEST_F(RemoteServers, GS026CallsUntilItEnds) {
  std::vector<std::string> said;
  InA([&](Self& t) -> Task<void> {
    said.push_back(Said(co_await t.Call(remote_, Text("x"))));
    t.Exit(remote_, ExitReason::Error("boom"));
    said.push_back(Said(co_await t.Call(remote_, Text("x"))));
  });
  EXPECT_THAT(said, ElementsAre("re:x", "NOPROC"));
}

TEST_F(RemoteServers, GS030And131TheNodeStopsDuringAnInfiniteCall) {
  std::string said = "waits";
  InA([&](Self& t) -> Task<void> {
    said = Said(co_await t.Call(remote_, Text("mute"), absl::InfiniteDuration()));
  });
  EXPECT_EQ(said, "waits");
  b.reset();
  Settle();
  EXPECT_EQ(said, "NOCONNECTION");
  // And a call to the stopped node.
  a->router->SetPeerGone({2, 1});
  InA([&](Self& t) -> Task<void> { said = Said(co_await t.Call(remote_, Text("x"))); });
  EXPECT_THAT(said, ::testing::AnyOf("NOCONNECTION", "NOT_DELIVERED", "NOPROC"));
}

TEST_F(RemoteServers, GS130CastsToNobodyAreOk) {
  InA([&](Self& t) -> Task<void> {
    Pid dead = remote_;
    dead.id += 1;
    t.Cast(dead, Text("x"));
    t.Cast(Pid{77, 1, 5}, Text("x"));
    AbCast(t, {remote_, local_, dead, Pid{77, 1, 5}, "nobody"}, Text("y"));
    co_return;
  });
  EXPECT_THAT(casts_, ElementsAre("y", "y"));
}

TEST_F(RemoteServers, GS019ACastToAHalfOpenNodeDoesNotWait) {
  network.BlockOneWay("a:1", "b:1");
  absl::Duration took = absl::InfiniteDuration();
  InA([&](Self& t) -> Task<void> {
    Instant before = t.Now();
    for (int i = 0; i < 1000; ++i) t.Cast(remote_, Text("x"));
    took = t.Now() - before;
    co_return;
  });
  EXPECT_EQ(took, absl::ZeroDuration());
}

TEST_F(RemoteServers, GS014RequestsAndWhatBecomesOfThem) {
  std::vector<std::string> said;
  InA([&](Self& t) -> Task<void> {
    RequestIds<int> ids;
    for (int i = 0; i < 3; ++i) ids.Send(t, i == 1 ? local_ : remote_, Text("x"), i);
    while (!ids.empty()) {
      RequestIds<int>::Result r = co_await ids.Receive(t);
      said.push_back(std::to_string(r.label) + " " + Said(r.response));
    }
    RequestId id = SendRequest(t, remote_, Text("stop_shutdown"));
    said.push_back(Said(*co_await ReceiveResponse(t, id)));
    id = SendRequest(t, remote_, Text("x"));
    said.push_back(Said(*co_await ReceiveResponse(t, id)));
    id = SendRequest(t, Pid{77, 1, 5}, Text("x"));
    said.push_back(Said(*co_await ReceiveResponse(t, id)));
  });
  time.RunFor(absl::Minutes(1));
  EXPECT_THAT(
      said, ElementsAre("1 re:x", "0 re:x", "2 re:x", "CALLEE_EXITED", "NOPROC", "NOT_DELIVERED"));
}

TEST_F(RemoteServers, GS014ABrokenConnectionIsAResponse) {
  std::string said;
  InA([&](Self& t) -> Task<void> {
    RequestId id = SendRequest(t, remote_, Text("mute"));
    said = Said(*co_await ReceiveResponse(t, id));
  });
  EXPECT_EQ(said, "");
  Cut();
  EXPECT_EQ(said, "NOCONNECTION");
  EXPECT_THAT(t_->lines, ElementsAre()) << "one response, no stray DOWN";
}

TEST_F(RemoteServers, GS023And024MultiCallOverNodes) {
  MultiCallResult result;
  InA([&](Self& t) -> Task<void> {
    result = co_await MultiCall(t, {remote_, local_, Pid{77, 1, 5}}, Text("x"), absl::Seconds(3));
  });
  time.RunFor(absl::Seconds(5));
  ASSERT_EQ(result.replies.size(), 2u);
  EXPECT_EQ(std::get<Pid>(result.replies[0].first), remote_);
  ASSERT_EQ(result.bad.size(), 1u);
  EXPECT_EQ(ErrorReason(result.bad[0].second), "NOT_DELIVERED");
}

TEST_F(RemoteServers, GS024AnUnreachableNodeIsBadInTime) {
  network.Block("a:1", "b:1");
  MultiCallResult result;
  absl::Duration took;
  InA([&](Self& t) -> Task<void> {
    Instant before = t.Now();
    result = co_await MultiCall(t, {remote_, local_}, Text("x"), absl::Seconds(3));
    took = t.Now() - before;
  });
  time.RunFor(absl::Minutes(1));
  ASSERT_EQ(result.replies.size(), 1u);
  ASSERT_EQ(result.bad.size(), 1u);
  EXPECT_EQ(std::get<Pid>(result.bad[0].first), remote_);
  EXPECT_LE(took, absl::Seconds(3));
}

// System requests stay on their node: whoever asks hears so instead of waiting for ever.
TEST_F(RemoteServers, GS009AStopOfARemoteServerIsRefused) {
  absl::Status said;
  InA([&](Self& t) -> Task<void> {
    said = co_await sys::Stop(t, remote_);
    t.Send(remote_, Text("no stray DOWN"));
  });
  EXPECT_EQ(ErrorReason(said), "CALL_NOT_HANDLED");
  EXPECT_TRUE(b->runtime.IsAlive(Pid{0, 0, remote_.id}));
  EXPECT_THAT(t_->lines, ElementsAre());
}

}  // namespace
}  // namespace banyan::testing
