#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "server/behaviours/behaviour.h"
#include "server/behaviours/module.h"
#include "server/behaviours/supervisor_requests.h"
#include "server/core/supervisor_planner.h"

namespace banyan {

// A local supervisor: starts, watches, restarts and stops the processes of its children as
// SupervisorPlanner decides, through links, monitors and signals. OTP's supervisor;
// spec/supervisor.md.
//
// One action at a time, inside the process: while a child starts or stops nothing else is served,
// exits and requests wait in the mailbox. Traps exits. Its operations are call messages, see
// SupervisorClient.
class Supervisor final : public Behaviour {
 public:
  // `init` gives the spec from the start arguments, at the start and at every code change.
  explicit Supervisor(SupervisorInit init) : init_(std::move(init)) {}
  ~Supervisor() override;

  std::string_view engine() const override { return "supervisor"; }
  Task<Initialised> OnInit(std::vector<Payload> args) override;
  Task<Next> OnMessage(Message message) override;
  Task<void> OnTerminate(ExitReason reason) override;
  Task<absl::Status> OnCodeChange(CodeChange change) override;
  // A SupervisorSnapshot, as a local payload.
  absl::StatusOr<Payload> GetState() override;

 private:
  struct Retry {
    ChildKey key;
  };

  absl::StatusOr<std::optional<SupervisorSpec>> ComputeSpec() const;
  // The child's spec with the supervisor's extra arguments before its own.
  std::shared_ptr<const ChildSpec> SpecToStart(const ChildRecord& child) const;

  // Does what the planner asks for, in order, and tells it the outcomes, until nothing is left.
  Task<void> Perform(SupervisorActions todo);
  Task<Next> After(SupervisorActions actions);
  Next NextStep();
  Task<SupervisorActions> Start(ChildKey key);
  Task<SupervisorActions> Stop(ChildKey key, ShutdownPolicy policy);
  Task<SupervisorActions> StopAll(std::vector<ChildKey> keys);
  SupervisorActions Stopped(ChildKey key, Pid pid, ExitReason reason);
  Instant DeadlineOf(const ShutdownPolicy& policy) const;
  void ScheduleRetry(const action::ScheduleRetry& retry);
  void Answer(const action::OpReply& reply);
  void Report(const SupervisorReport& report);
  void Emit(SupervisorEvent::Kind kind, const ChildRecord* child, Pid pid, ExitReason reason = {},
            Pid previous = {});
  void EmitDeleted(std::shared_ptr<const ChildSpec> spec);

  Task<Next> OnExit(Pid from, ExitReason reason);
  Task<Next> OnCall(Message message);
  // Answers what only reads; false: `request` changes something.
  bool AnswerQuery(const SupervisorRequest& request, const CallFrom& from);
  absl::Status Check(const SupervisorRequest& request) const;
  std::optional<OpResult::Code> Refuse(const SupervisorRequest& request) const;
  SupervisorActions Decide(const SupervisorRequest& request, OpId op);
  std::shared_ptr<const ChildSpec> FindSpec(const ChildRef& ref) const;
  std::optional<ChildEntry> WhichChild(const ChildRef& ref) const;
  ChildCounts Count() const;
  bool SeemsAlive(Pid pid) const;

  SupervisorInit init_;
  std::vector<Payload> args_;
  std::unique_ptr<SupervisorPlanner> planner_;
  std::vector<Payload> extra_arguments_;
  std::string name_;
  std::vector<std::string> path_;   // as SupervisorInfo::path
  bool running_ = false;            // initialised
  std::optional<ExitReason> exit_;  // the planner has ended
  OpId last_op_ = 0;
  absl::flat_hash_map<OpId, CallFrom> ops_;
};

// Starts a supervisor of a spec stated in place. `start`: name and start timeout.
Task<StartResult> StartSupervisor(Self& starter, std::shared_ptr<const SupervisorSpec> spec,
                                  StartContext context, StartSpec start = {});
void StartSupervisor(Runtime& runtime, std::shared_ptr<const SupervisorSpec> spec,
                     StartContext context, StartSpec start, std::function<void(StartResult)> done);
// Starts one whose spec `init` computes from `start.args`.
Task<StartResult> StartSupervisorModule(Self& starter, SupervisorInit init, StartContext context,
                                        StartSpec start);

}  // namespace banyan
