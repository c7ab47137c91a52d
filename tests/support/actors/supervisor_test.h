#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"
#include "tests/support/actors/actor_test.h"
#include "tests/support/actors/workers.h"

namespace banyan {

// count_children as OTP writes it: [Specs,Active,Supervisors,Workers].
MATCHER_P4(Counts, specs, active, supervisors, workers, "") {
  const ChildCounts want{uint64_t(specs), uint64_t(active), uint64_t(supervisors),
                         uint64_t(workers)};
  *result_listener << "[" << arg.specs << "," << arg.active << "," << arg.supervisors << ","
                   << arg.workers << "]";
  return arg == want;
}

// The language of the supervisor cases. T is the parent of the supervisor under test.
class SupervisorTest : public ActorTest {
 protected:
  using Code = OpResult::Code;
  static constexpr RestartType kPerm = RestartType::kPermanent;
  static constexpr RestartType kTrans = RestartType::kTransient;
  static constexpr RestartType kTemp = RestartType::kTemporary;

  SupervisorTest() { AddWorkers(&modules_, &world_); }

  // id = module(words) restart/1000 ms/worker
  static ChildSpec Child(std::string id, std::string module, std::vector<std::string> words = {},
                         RestartType restart = kPerm, ShutdownPolicy shutdown = Ms(1000),
                         ChildType type = ChildType::kWorker);
  static ShutdownPolicy Ms(int64_t ms) { return ShutdownPolicy::Timeout(absl::Milliseconds(ms)); }
  // S(strategy, intensity, period)[children]; simple_one_for_one: the one child is the template.
  static SupervisorSpec Spec(Strategy strategy, uint32_t intensity, int64_t period_s,
                             std::vector<ChildSpec> children = {},
                             AutoShutdown auto_shutdown = AutoShutdown::kNever);

  // Starts a supervisor linked to T under the name sup_test.
  static Task<StartResult> TryStart(Self& t, SupervisorSpec spec, std::string name = "sup_test");
  // The same, which must succeed.
  static Task<Pid> Start(Self& t, SupervisorSpec spec, std::string name = "sup_test");

  // Operations; a failed call fails the test.
  static Task<OpResult> StartChild(Self& t, Pid sup, ChildSpec spec);
  static Task<OpResult> StartDynamic(Self& t, Pid sup, std::vector<std::string> words = {});
  static Task<OpResult> Terminate(Self& t, Pid sup, ChildRef child);
  static Task<OpResult> Restart(Self& t, Pid sup, ChildRef child);
  static Task<OpResult> Delete(Self& t, Pid sup, ChildRef child);
  static Task<std::vector<ChildEntry>> Wc(Self& t, Pid sup);
  static Task<ChildCounts> Cc(Self& t, Pid sup);
  static Task<std::shared_ptr<const ChildSpec>> GetSpec(Self& t, Pid sup, ChildRef child);
  // The pid of a running child; null if it is not running.
  static Task<Pid> PidOf(Self& t, Pid sup, std::string id);
  // which_children as text, last in start order first: "c2 c1:undefined c0:restarting".
  static Task<std::string> Show(Self& t, Pid sup);

  // start_child that must succeed; T also links to the child.
  static Task<Pid> StartLinked(Self& t, Pid sup, ChildSpec spec);
  // Suspends S, changes its specification, resumes it: the change's result.
  static Task<absl::Status> Upgrade(Self& t, Pid sup, SupervisorSpec spec);
  // Neither of them ends within a second.
  static Task<void> ExpectNoExit(Self& t, std::vector<Pid> pids);
  // All of them have ended or end soon.
  static Task<void> ExpectExits(Self& t, std::vector<Pid> pids);

  // end(p, normal | abnormal | kill | shutdown): returns when p is down.
  static Task<void> End(Self& t, Pid p, std::string how);
  // Tells S to stop and returns the reason it ended with.
  static Task<ExitReason> Shutdown(Self& t, Pid sup);
  // Lets everybody finish what they are at.
  static Task<void> Settle(Self& t) { co_await t.Sleep(absl::Milliseconds(1)); }

  WorkerWorld world_;
};

}  // namespace banyan
