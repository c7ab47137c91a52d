#include "tests/sim/workload_calls.h"

#include <algorithm>
#include <cstdlib>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/gen_server.h"
#include "server/behaviours/module.h"
#include "server/behaviours/start.h"
#include "server/node/routed_calls.h"

namespace banyan::sim {
namespace {

constexpr int kServersPerNode = 2;
constexpr int kCallersPerNode = 3;
constexpr char kCallType[] = "type.googleapis.com/sim.Call";
// What a call may run late by the cluster's clock: the network's time is not in its budget. While
// nothing holds frames up that is a few hundred ms; a partition holds them for as long as a session
// can stay silent.
constexpr absl::Duration kLatencyCalm = absl::Milliseconds(700);
constexpr absl::Duration kLatencyMax = absl::Seconds(9);

}  // namespace

// Answers with the number of the request; at once, after a while, or later by a timer.
class CallWorkload::Server : public GenServer {
 public:
  Server(CallWorkload* workload, ServerActor* actor, std::shared_ptr<void> guard)
      : workload_(workload), actor_(actor), guard_(std::move(guard)) {}

  Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
  Task<CallResult> HandleCall(Payload request, CallFrom from) override {
    const size_t number = std::strtoull(request.bytes().c_str(), nullptr, 10);
    workload_->OnRun(number, *actor_, self().Now() - from.deadline);
    const uint64_t what = workload_->Below(100);
    if (what < 2 && !workload_->quiet()) return Stop(ExitReason::Error("tired"));
    if (what < 4 && !workload_->quiet()) return StopReply(ExitReason::Normal(), request);
    if (what < (actor_->slow ? 70 : 15)) return Slowly(request);
    if (what < (actor_->slow ? 75 : 25)) {
      later_.emplace_back(from, request);
      self().StartTimer(workload_->Between(absl::Milliseconds(10), absl::Seconds(4)));
      return NoReply();
    }
    return Reply(std::move(request));
  }
  Task<Result> HandleCast(Payload) override { return NoReply(); }
  Task<Result> HandleInfo(Message) override {
    if (later_.empty()) return NoReply();
    self().Answer(later_.front().first, later_.front().second);
    later_.erase(later_.begin());
    return NoReply();
  }

 private:
  Task<CallResult> Slowly(Payload request) {
    co_await self().Sleep(workload_->Between(absl::Milliseconds(50), absl::Seconds(2)));
    co_return Reply(std::move(request));
  }

  CallWorkload* const workload_;
  ServerActor* const actor_;
  const std::shared_ptr<void> guard_;
  std::vector<std::pair<CallFrom, Payload>> later_;
};

// ------------------------------------------------------------------- servers

void CallWorkload::OnLife(int node) {
  for (int i = 0; i < kServersPerNode; ++i) StartServer(node);
  for (int i = 0; i < kCallersPerNode; ++i) {
    auto caller = std::make_unique<Actor>();
    Actor* raw = caller.get();
    Spawn(node, std::move(caller), [this, raw](Self& self) { return RunCaller(self, raw); },
          {.module = "caller"});
  }
}

void CallWorkload::StartServer(int node) {
  auto actor = std::make_unique<ServerActor>();
  ServerActor* raw = actor.get();
  raw->slow = OneIn(2);
  Expect(node, std::move(actor));
  StartOptions options;
  options.link = false;
  options.module = "call-server";
  StartFromOutside(
      cluster().runtime(node),
      [this, raw, options](Self& self) {
        return StartBehaviour(
            self, [this, raw] { return std::make_unique<Server>(this, raw, Guard(raw)); }, {},
            options);
      },
      WhileLive([this, raw](const StartResult& result) {
        if (!result.started()) return;
        Started(raw, result.pid);
        if (OneIn(2)) RegisterServer(raw);
      }));
}

void CallWorkload::RegisterServer(ServerActor* server) {
  server->name = fmt::format("server-{}", Below(6));
  cluster().node(server->node).RegisterName(server->name, server->pid, {}, false, [](auto) {});
}

void CallWorkload::GiveUpAName() {
  Actor* actor = RandomActor([](const Actor& a) {
    const auto* server = dynamic_cast<const ServerActor*>(&a);
    return server != nullptr && !server->name.empty();
  });
  if (actor == nullptr) return;
  auto* server = static_cast<ServerActor*>(actor);
  Count("names given up");
  cluster()
      .node(server->node)
      .UnregisterName(server->name, server->pid, WhileLive([this, server](bool had_it) {
                        if (!had_it) return;
                        server->name.clear();
                        server->nameless = Now();
                      }));
}

void CallWorkload::OnTick() {
  if (quiet()) return;
  for (int i = 0; i < size(); ++i) {
    if (!Member(i) || cluster().node_paused(i)) continue;
    int servers = 0;
    for (const auto& a : actors()) {
      servers += a->alive && a->node == i && dynamic_cast<ServerActor*>(a.get()) != nullptr;
    }
    if (servers < kServersPerNode && OneIn(10)) StartServer(i);
    if (OneIn(20)) CallFromOutside(i);
    if (OneIn(20)) CallByName(i);
  }
  if (OneIn(30)) GiveUpAName();
}

// ------------------------------------------------------------------- callers

absl::Duration CallWorkload::SomeTimeout() {
  return OneIn(3) ? Between(absl::Milliseconds(1), absl::Milliseconds(100))
                  : Between(absl::Milliseconds(100), absl::Seconds(5));
}

Payload CallWorkload::Request(size_t number) {
  return Payload::Any(kCallType, fmt::format("{}", number));
}

size_t CallWorkload::NewCall(std::string who, absl::Duration timeout) {
  Count("calls");
  calls_.push_back({.who = std::move(who), .due = Now() + timeout, .made = Now()});
  return calls_.size() - 1;
}

Task<ExitReason> CallWorkload::RunCaller(Self& self, Actor* me) {
  for (;;) {
    co_await self.Sleep(Between(absl::Milliseconds(10), absl::Seconds(1)));
    Actor* server = quiet() ? nullptr : RandomActor([&](const Actor& a) {
      return a.node != me->node && dynamic_cast<const ServerActor*>(&a) != nullptr;
    });
    const Pid to = server ? Export(*server) : Pid{};
    if (to && Member(me->node)) {
      const absl::Duration timeout = SomeTimeout();
      const size_t number =
          NewCall(fmt::format("{} to {}", FormatPid(me->pid), FormatPid(to)), timeout);
      absl::StatusOr<Payload> answer = co_await self.Call(to, Request(number), timeout);
      OnAnswer(number, answer);
    }
    while (std::optional<Message> m = co_await self.Receive(Instant())) {
      Violation(fmt::format("INV-21: {}: a message of kind {} in a caller's mailbox",
                            FormatPid(me->pid), static_cast<int>(m->kind())));
    }
  }
}

std::function<void(absl::StatusOr<Payload>, Pid)> CallWorkload::AnswerOf(size_t number) {
  return WhileLive(
      [this, number](const absl::StatusOr<Payload>& answer, Pid) { OnAnswer(number, answer); });
}

void CallWorkload::CallFromOutside(int node) {
  Actor* server = RandomActor([&](const Actor& a) {
    return a.node != node && dynamic_cast<const ServerActor*>(&a) != nullptr;
  });
  if (!server) return;
  const absl::Duration timeout = SomeTimeout();
  const size_t number = NewCall(
      fmt::format("{} to {}", SimCluster::NodeName(node), FormatPid(Export(*server))), timeout);
  Runtime& runtime = cluster().runtime(node);
  runtime.Call(Export(*server), Request(number), runtime.clock().Now() + timeout, AnswerOf(number));
}

void CallWorkload::CallByName(int node) {
  const std::string name = fmt::format("server-{}", Below(6));
  const absl::Duration timeout = SomeTimeout();
  const size_t number = NewCall(SimCluster::NodeName(node) + " to " + name, timeout);
  calls_[number].idempotent = OneIn(3);
  calls_[number].name = name;
  Count("calls by name");
  RoutedCalls::Request request;
  request.payload = Request(number);
  request.deadline = cluster().runtime(node).clock().Now() + timeout;
  request.idempotent = calls_[number].idempotent;
  // Runs only while this life of the node does.
  Node& at = cluster().node(node);
  request.find = [&at, name, deadline = request.deadline](RoutedCalls::Found found) {
    at.ResolveTarget(Target::Named(name), deadline, [found](absl::StatusOr<Resolved> r) {
      if (!r.ok()) return found(r.status());
      found(RoutedCalls::Route{r->pid, r->reg_version});
    });
  };
  request.forget = [&at, name] { at.ForgetRoute(name); };
  request.done = AnswerOf(number);
  const auto call = at.calls().Start(std::move(request), {});
  if (!OneIn(6)) return;
  const Instant giving_up = Now() + Between(absl::Milliseconds(1), timeout);
  cluster().time().ScheduleAt(giving_up, WhileLive([this, call, number] {
                                if (call.expired()) return;
                                Count("given up");
                                Call& given_up = calls_[number];
                                given_up.cancelled = true;
                                // The word of it is lost with a session.
                                if (calm()) given_up.due = std::min(given_up.due, Now());
                                RoutedCalls::Cancel(call);
                              }));
}

// -------------------------------------------------------------------- judged

void CallWorkload::OnRun(size_t number, const ServerActor& server, absl::Duration after_deadline) {
  if (number >= calls_.size()) return Violation("INV-21: a call that nobody made");
  Call& call = calls_[number];
  Count("runs");
  if (++call.runs > 1 && !call.idempotent)
    Violation(fmt::format("INV-21: {}: runs {} times", call.who, call.runs));
  if (call.refused) Violation(fmt::format("INV-21: {}: runs, and was not_executed", call.who));
  if (!call.name.empty() && server.name.empty() && call.made > server.nameless)
    Violation(fmt::format("4.1: {}: runs in one that had given the name up", call.who));
  if (after_deadline > absl::ZeroDuration()) {
    Violation(fmt::format("INV-21: {}: runs {} after its node knew that its time was over",
                          call.who, absl::FormatDuration(after_deadline)));
  }
  const absl::Duration grace = calm() ? kLatencyCalm : kLatencyMax;
  const Instant due = std::max(call.due, RunningSince(server.node)) + grace;
  if (Now() > due) {
    Violation(fmt::format("INV-21: {}: runs {} after its time was over", call.who,
                          absl::FormatDuration(Now() - call.due)));
  }
}

void CallWorkload::OnAnswer(size_t number, const absl::StatusOr<Payload>& answer) {
  Call& call = calls_[number];
  if (call.cancelled) Violation(fmt::format("INV-21: {}: answered, given up", call.who));
  if (answer.ok()) {
    Count("answers");
    if (call.runs < 1) Violation(fmt::format("INV-21: {}: answered, not run", call.who));
    if (answer->bytes() != fmt::format("{}", number))
      Violation(fmt::format("INV-21: {}: the answer of another call", call.who));
    return;
  }
  std::optional<ErrorInfo> info = GetErrorInfo(answer.status());
  if (!info) return Violation(fmt::format("INV-21: {}: {}", call.who, answer.status().ToString()));
  Count(info->reason);
  if (info->metadata["outcome"] != kNotExecuted) return;
  call.refused = true;
  if (call.runs > 0)
    Violation(fmt::format("INV-21: {}: {} is not_executed, but it ran", call.who, info->reason));
}

}  // namespace banyan::sim
