#include "tests/bench/bench_module.h"

#include <chrono>
#include <cstdint>
#include <sstream>
#include <utility>

#include "fmt/format.h"
#include <signal.h>

#include "banyan/modules/v1/kv.pb.h"
#include "common/wire/payload.h"

namespace banyan::bench {
namespace {

namespace pb = modules::v1;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr absl::Duration kLimit = absl::Seconds(60);
constexpr size_t kPayloadBytes = 100;

SteadyTime Now() { return std::chrono::steady_clock::now(); }
double SecondsSince(SteadyTime start) {
  return std::chrono::duration<double>(Now() - start).count();
}

// 100 bytes, as in the anchor.
Payload Hundred() {
  pb::Put put;
  put.set_key("k");
  put.set_value(std::string(kPayloadBytes, 'x'));
  return wire::MessagePayload(put);
}

Task<ExitReason> Caller(Self& self, Pid target, int each) {
  Payload payload = Hundred();
  for (int i = 0; i < each; ++i) {
    absl::StatusOr<Payload> reply = co_await self.Call(target, payload, kLimit);
    if (!reply.ok()) co_return ExitReason::Error("call_failed", reply.status().ToString());
  }
  co_return ExitReason::Normal();
}

}  // namespace

Task<GenServer::InitResult> BenchModule::Init(std::vector<Payload>) { return Ok(); }

Task<GenServer::CallResult> BenchModule::HandleCall(Payload request, CallFrom) {
  if (request.type_name() != pb::Get::descriptor()->full_name()) return Reply(std::move(request));
  absl::StatusOr<pb::Get> get = wire::UnpackOrError<pb::Get>(request);
  if (!get.ok()) return ReplyError(get.status());
  return Obey(get->key());
}

Task<GenServer::Result> BenchModule::HandleCast(Payload) { return NoReply(); }

Task<GenServer::CallResult> BenchModule::Obey(std::string order) {
  std::istringstream in(order);
  std::string verb;
  Pid target;
  int first = 0, second = 0;
  in >> verb >> target.node_id >> target.incarnation >> target.id >> first >> second;
  double figure = 0;
  if (verb == "calls") {
    figure = co_await Calls(target, first, second);
  } else if (verb == "kill") {
    figure = co_await KillToDown(target, first);
  } else {
    co_return ReplyError(absl::InvalidArgumentError(fmt::format("key: unknown order '{}'", order)));
  }
  pb::GetReply reply;
  reply.set_found(true);
  reply.set_value(fmt::format("{:.6g}", figure));
  co_return Reply(wire::MessagePayload(reply));
}

Task<double> BenchModule::Calls(Pid target, int callers, int each) {
  (void)co_await self().Call(target, Hundred(), kLimit);  // the session is up
  const SteadyTime start = Now();
  SpawnOptions options;
  options.monitor = true;
  for (int i = 0; i < callers; ++i) {
    auto spawned =
        self().Spawn([target, each](Self& s) { return Caller(s, target, each); }, options);
    if (!spawned.ok()) co_return 0;
  }
  bool good = true;
  for (int i = 0; i < callers; ++i) {
    std::optional<Message> down =
        co_await self().ReceiveIf([](const Message& m) { return m.is_down(); });
    good = good && down->reason() == ExitReason::Normal();
  }
  co_return good ? callers* each / SecondsSince(start) : 0;
}

Task<double> BenchModule::KillToDown(Pid target, int process) {
  self().Monitor(target);
  (void)co_await self().Call(target, Hundred(), kLimit);  // comes after the monitor: it is set up
  const SteadyTime start = Now();
  ::kill(process, SIGKILL);
  co_await self().ReceiveIf([](const Message& m) { return m.is_down(); });
  co_return SecondsSince(start) * 1e3;
}

}  // namespace banyan::bench
