#include "tests/bench/supervisor_rows.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "server/behaviours/gen_server.h"
#include "server/behaviours/host.h"
#include "server/behaviours/module.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"

namespace banyan::bench {
namespace {

double Micros() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Idle : public GenServer {
 public:
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
  Task<CallResult> HandleCall(Payload request, CallFrom) override {
    return Reply(std::move(request));
  }
  Task<Result> HandleCast(Payload) override { return NoReply(); }
};

// Tells `report_to` of each of its starts.
class Announcing : public Idle {
 public:
  explicit Announcing(Pid report_to) : report_to_(report_to) {}
  Task<InitResult> Init(std::vector<Payload>) override {
    self().Send(report_to_, {});
    return Ok();
  }

 private:
  const Pid report_to_;
};

// Runs `body` in a process that traps exits, and waits for its end.
template <typename Body>
void InProcess(Runtime& rt, Body body) {
  std::mutex mu;
  std::condition_variable cv;
  bool done = false;
  auto pid = rt.Spawn(
      [&](Self& self) -> Task<ExitReason> {
        co_await body(self);
        co_return ExitReason::Shutdown();
      },
      {.trap_exit = true});
  if (!pid.ok()) std::abort();
  rt.Monitor(*pid, [&](Pid, ExitReason) {
    std::lock_guard lock(mu);
    done = true;
    cv.notify_all();
  });
  std::unique_lock lock(mu);
  cv.wait(lock, [&] { return done; });
}

}  // namespace

double StartChildRate(Runtime& rt, int n) {
  Modules modules;
  modules.Add<Idle>("idle");
  Host host{.modules = &modules};
  rt.SetHost(&host);
  double rate = 0;
  InProcess(rt, [&](Self& self) -> Task<void> {
    auto spec = std::make_shared<SupervisorSpec>();
    spec->flags.strategy = Strategy::kSimpleOneForOne;
    spec->child_template.emplace();
    spec->child_template->start.module = "idle";
    spec->child_template->restart = RestartType::kTemporary;
    StartResult sup = co_await StartSupervisor(self, spec, {});
    if (!sup.started()) std::abort();
    SupervisorClient client(sup.pid);
    double t0 = Micros();
    for (int i = 0; i < n; ++i) {
      std::vector<Payload> none;
      auto r = co_await client.StartChild(self, std::move(none));
      if (!r.ok()) std::abort();
    }
    rate = n / ((Micros() - t0) / 1e6);
  });
  rt.Shutdown();  // before host and modules go
  return rate;
}

double RestartMedianMicros(Runtime& rt, int n) {
  Pid watcher;
  Modules modules;
  modules.AddBehaviour("announcing", [&] { return std::make_unique<Announcing>(watcher); });
  Host host{.modules = &modules};
  rt.SetHost(&host);
  std::vector<double> times;
  InProcess(rt, [&](Self& self) -> Task<void> {
    watcher = self.pid();
    auto spec = std::make_shared<SupervisorSpec>();
    spec->flags.intensity = static_cast<uint32_t>(n) + 1;
    spec->flags.period = absl::Hours(1);
    spec->children.emplace_back();
    spec->children[0].id = "a";
    spec->children[0].start.module = "announcing";
    StartResult sup = co_await StartSupervisor(self, spec, {});
    if (!sup.started()) std::abort();
    Pid child = (co_await self.Receive())->from();
    for (int i = 0; i < n; ++i) {
      const double t0 = Micros();
      self.Exit(child, ExitReason::Kill());
      child = (co_await self.Receive())->from();
      times.push_back(Micros() - t0);
    }
  });
  rt.Shutdown();
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace banyan::bench
