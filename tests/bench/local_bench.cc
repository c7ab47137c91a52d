// Rows of the local runtime: what one node does without any network. Prints
// "NAME<TAB>VALUE<TAB>UNIT".
//
//   bytes_per_idle_actor   resident bytes, all included, of actors that wait for a message
//   local_call             one caller, one server, calls a second
//   ping_pong_pairs        1000 pairs, messages a second
//   start_child            simple_one_for_one, children a second for 100,000
//   restart_p50            from exit(kill) of a child to a message from its successor's init,
//                          microseconds
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include <unistd.h>

#include "common/time/system_clock.h"
#include "server/runtime/runtime.h"
#include "tests/bench/supervisor_rows.h"
#include "tests/bench/tuning.h"

namespace banyan {
namespace {

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

size_t ResidentBytes() {
  std::FILE* f = std::fopen("/proc/self/statm", "r");
  size_t total = 0, resident = 0;
  if (!f || std::fscanf(f, "%zu %zu", &total, &resident) != 2) std::abort();
  std::fclose(f);
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

void Print(const char* name, double value, const char* unit) {
  std::printf("%s\t%.6g\t%s\n", name, value, unit);
  std::fflush(stdout);
}

class Gate {
 public:
  explicit Gate(int n) : n_(n) {}
  void Count() {
    std::lock_guard lock(mu_);
    if (--n_ == 0) cv_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mu_);
    cv_.wait(lock, [&] { return n_ == 0; });
  }

 private:
  std::mutex mu_;
  std::condition_variable cv_;
  int n_;
};

Task<ExitReason> Echo(Self& self) {
  for (;;) {
    std::optional<Message> m = co_await self.Receive();
    if (m->is_call()) {
      self.Answer(m->call_from(), m->payload());
    } else {
      self.Send(m->from(), m->payload());
    }
  }
}

void IdleActors(Runtime& rt, int n) {
  std::vector<Pid> pids;
  pids.reserve(n);
  size_t before = ResidentBytes();
  for (int i = 0; i < n; ++i) pids.push_back(*rt.Spawn(Echo));
  // A call to each: all have started and wait.
  Gate gate(n);
  for (Pid p : pids)
    rt.Call(p, {}, Instant::Infinite(), [&](absl::StatusOr<Payload>, Pid) { gate.Count(); });
  gate.Wait();
  Print("bytes_per_idle_actor", double(ResidentBytes() - before) / n, "B");
  for (Pid p : pids) rt.Exit(p, ExitReason::Kill());
}

void LocalCall(Runtime& rt, int n) {
  Pid server = *rt.Spawn(Echo);
  Gate gate(1);
  double t0 = 0;
  auto caller = rt.Spawn([&](Self& self) -> Task<ExitReason> {
    Payload payload = Payload::Local(1);
    t0 = Seconds();
    for (int i = 0; i < n; ++i) {
      auto r = co_await self.Call(server, payload);
      if (!r.ok()) std::abort();
    }
    gate.Count();
    co_return ExitReason::Normal();
  });
  if (!caller.ok()) std::abort();
  gate.Wait();
  Print("local_call", n / (Seconds() - t0), "call/s");
  rt.Exit(server, ExitReason::Kill());
}

void PingPongPairs(Runtime& rt, int pairs, int rounds) {
  Gate gate(pairs);
  double t0 = Seconds();
  for (int i = 0; i < pairs; ++i) {
    Pid echo = *rt.Spawn(Echo);
    auto ping = rt.Spawn([&gate, echo, rounds](Self& self) -> Task<ExitReason> {
      Payload payload = Payload::Local(1);
      for (int n = 0; n < rounds; ++n) {
        self.Send(echo, payload);
        co_await self.Receive();
      }
      self.Exit(echo, ExitReason::Kill());
      gate.Count();
      co_return ExitReason::Normal();
    });
    if (!ping.ok()) std::abort();
  }
  gate.Wait();
  Print("ping_pong_pairs", 2.0 * pairs * rounds / (Seconds() - t0), "msg/s");
}

}  // namespace
}  // namespace banyan

int main(int argc, char** argv) {
  using namespace banyan;
  bench::TuneProcess();
  const bool quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  const std::string only = argc > 2 ? argv[2] : "";
  SystemClock clock;
  SystemTimers timers;
  auto run = [&](const char* row, auto fn) {
    if (!only.empty() && only != row) return;
    Runtime rt({.clock = &clock, .timers = &timers, .workers = 2});
    fn(rt);
    rt.Shutdown();
  };
  run("bytes_per_idle_actor", [&](Runtime& rt) { IdleActors(rt, quick ? 100'000 : 300'000); });
  run("local_call", [&](Runtime& rt) { LocalCall(rt, quick ? 100'000 : 1'000'000); });
  run("ping_pong_pairs", [&](Runtime& rt) { PingPongPairs(rt, 1000, quick ? 200 : 1000); });
  run("start_child", [&](Runtime& rt) {
    Print("start_child", bench::StartChildRate(rt, quick ? 20'000 : 100'000), "child/s");
  });
  run("restart_p50", [&](Runtime& rt) {
    Print("restart_p50", bench::RestartMedianMicros(rt, quick ? 200 : 1000), "us");
  });
  return 0;
}
