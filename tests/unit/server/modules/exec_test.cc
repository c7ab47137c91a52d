// Real programs under a real runtime.
#include "server/modules/exec.h"

#include <fstream>
#include <future>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/os/process_tree.h"
#include "common/time/system_clock.h"
#include "common/time/system_timers.h"
#include "common/wire/payload.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"
#include "server/modules/exec_programs.h"
#include "server/modules/modules.h"
#include "tests/support/temp_dir.h"

namespace banyan {
namespace {

using modules::v1::ExecArgs;

class ExecTest : public testing::Test {
 protected:
  ExecTest()
      : runtime_([&] {
          Runtime::Options o;
          o.clock = &clock_;
          o.timers = &timers_;
          o.workers = 2;
          return o;
        }()) {
    AddShippedModules(&modules_);
    host_.modules = &modules_;
    host_.programs = &spawner_;
    host_.node = "n1";
    host_.address = "127.0.0.1:1";
    runtime_.SetHost(&host_);
    EXPECT_EQ(mkfifo(ready_.c_str(), 0600), 0);
  }
  ~ExecTest() override { runtime_.Shutdown(); }

  ExecArgs Shell(const std::string& script) {
    ExecArgs args;
    args.add_argv("/bin/sh");
    args.add_argv("-c");
    args.add_argv(script);
    (*args.mutable_env())["READY"] = ready_;
    return args;
  }

  // Starts an exec child under a supervisor and returns the supervisor's pid.
  Pid Supervise(ExecArgs args, absl::Duration shutdown = absl::Seconds(10),
                uint32_t intensity = 0) {
    ChildSpec child;
    child.id = "program";
    child.start.module = "exec";
    child.start.args = {wire::MakePayload(std::move(args))};
    child.shutdown = ShutdownPolicy::Timeout(shutdown);
    auto spec = std::make_shared<SupervisorSpec>();
    spec->flags.intensity = intensity;
    spec->children = {child};
    std::promise<StartResult> started;
    StartSupervisor(runtime_, spec, {}, {},
                    [&](StartResult r) { started.set_value(std::move(r)); });
    StartResult r = started.get_future().get();
    EXPECT_TRUE(r.started()) << r.reason.ToString();
    return r.pid;
  }
  // Starts an exec actor alone.
  StartResult Start(std::vector<Payload> args) {
    StartSpec spec;
    spec.module = "exec";
    spec.args = std::move(args);
    std::promise<StartResult> started;
    StartModule(runtime_, spec, {.child_id = "alone"},
                [&](StartResult r) { started.set_value(std::move(r)); });
    return started.get_future().get();
  }
  ExitReason DownOf(Pid pid) {
    auto down = std::make_shared<std::promise<ExitReason>>();
    runtime_.Monitor(pid, [down](Pid, ExitReason r) { down->set_value(std::move(r)); });
    std::future<ExitReason> f = down->get_future();
    EXPECT_EQ(f.wait_for(std::chrono::seconds(30)), std::future_status::ready);
    return f.get();
  }
  modules::v1::StatusReply Status(Pid pid) {
    std::promise<absl::StatusOr<Payload>> answer;
    runtime_.Call(pid, wire::MakePayload(modules::v1::Status()), clock_.Now() + absl::Seconds(10),
                  [&](absl::StatusOr<Payload> r, Pid) { answer.set_value(std::move(r)); });
    absl::StatusOr<Payload> r = answer.get_future().get();
    EXPECT_TRUE(r.ok()) << r.status();
    return *wire::Unpack<modules::v1::StatusReply>(*r);
  }
  Pid Child(Pid sup) {
    std::promise<Pid> child;
    SupervisorClient(sup).WhichChildren(runtime_, [&](absl::StatusOr<std::vector<ChildEntry>> r) {
      child.set_value(r.ok() && !r->empty() ? r->front().pid : Pid{});
    });
    return child.get_future().get();
  }
  // Scripts write a line to the fifo $READY when they are as the test wants them.
  std::string ReadyLine() {
    std::ifstream in(ready_);
    std::string line;
    std::getline(in, line);
    return line;
  }
  std::string Output() {
    std::stringstream all;
    all << std::ifstream(output_).rdbuf();
    return all.str();
  }
  // Ended, though an orphan may still wait to be reaped by whoever is process 1 here.
  static bool Ended(pid_t pid, absl::Duration limit = absl::ZeroDuration()) {
    UniqueFd fd = OpenPidFd(pid);
    if (!fd.valid()) return true;
    pollfd poll_fd{fd.get(), POLLIN, 0};
    return poll(&poll_fd, 1, static_cast<int>(absl::ToInt64Milliseconds(limit))) == 1;
  }
  static void WaitEnded(pid_t pid) { EXPECT_TRUE(Ended(pid, absl::Seconds(30))); }

  SystemClock clock_;
  SystemTimers timers_;
  ProcessSpawner spawner_;
  Modules modules_;
  Host host_;
  Runtime runtime_;
  TempDir dir_;
  const std::string ready_ = dir_.File("ready");
  const std::string output_ = dir_.File("output");
};

TEST_F(ExecTest, ExitStatusBecomesTheReason) {
  StartResult zero = Start({wire::MakePayload(Shell("sleep 0.2; exit 0"))});
  ASSERT_TRUE(zero.started()) << zero.reason.ToString();
  EXPECT_TRUE(DownOf(zero.pid).is_normal());
  StartResult three = Start({wire::MakePayload(Shell("sleep 0.2; exit 3"))});
  ExitReason reason = DownOf(three.pid);
  EXPECT_EQ(reason.type(), "exit_status");
  EXPECT_THAT(reason.message(), testing::HasSubstr("3"));
  StartResult killed = Start({wire::MakePayload(Shell("sleep 0.2; kill -USR1 $$"))});
  reason = DownOf(killed.pid);
  EXPECT_EQ(reason.type(), "signal");
  EXPECT_THAT(reason.message(), testing::HasSubstr("SIGUSR1"));
}

TEST_F(ExecTest, BadArgumentsAndMissingProgramsFailTheStart) {
  EXPECT_EQ(Start({}).reason.type(), "badarg");
  EXPECT_EQ(Start({wire::MakePayload(ExecArgs())}).reason.type(), "badarg");
  ExecArgs missing;
  missing.add_argv("/no/such/program");
  StartResult r = Start({wire::MakePayload(missing)});
  EXPECT_EQ(r.reason.type(), "exec_failed");
  EXPECT_THAT(r.reason.message(), testing::HasSubstr("/no/such/program"));
  host_.allow_exec = false;
  r = Start({wire::MakePayload(Shell("true"))});
  EXPECT_EQ(r.reason.type(), "exec_failed");
  EXPECT_THAT(r.reason.message(), testing::HasSubstr("--allow-exec"));
}

TEST_F(ExecTest, TellsTheProgramWhoItIsAndAnswersStatus) {
  ExecArgs args = Shell(
      "echo $BANYAN_CHILD $BANYAN_NODE $BANYAN_ADDR $BANYAN_FENCE $OWN; "
      "echo ready > $READY; exec sleep 100");
  (*args.mutable_env())["OWN"] = "mine";
  args.set_output(output_);
  Pid sup = Supervise(args);
  EXPECT_EQ(ReadyLine(), "ready");
  EXPECT_EQ(Output(), "program n1 127.0.0.1:1 0 mine\n");
  modules::v1::StatusReply status = Status(Child(sup));
  EXPECT_GT(status.os_pid(), 0);
  EXPECT_FALSE(Ended(status.os_pid()));
  EXPECT_EQ(status.argv(0), "/bin/sh");
  EXPECT_EQ(status.restarts(), 0u);
}

TEST_F(ExecTest, ShutdownAsksTheProgramAndWaits) {
  ExecArgs args = Shell(
      "trap 'echo asked; exit 0' TERM; echo ready > $READY; "
      "while :; do sleep 0.05; done");
  args.set_output(output_);
  Pid sup = Supervise(args);
  EXPECT_EQ(ReadyLine(), "ready");
  Pid child = Child(sup);
  pid_t program = Status(child).os_pid();
  runtime_.Exit(child, ExitReason::Shutdown(), sup);
  EXPECT_EQ(DownOf(sup), ExitReason::Shutdown()) << "permanent child, intensity 0";
  EXPECT_TRUE(Ended(program));
  // The shell may say that its sleep was terminated: the whole group is asked.
  EXPECT_THAT(Output(), testing::HasSubstr("asked\n"));
}

TEST_F(ExecTest, StubbornProgramsAreKilledWithTheirDescendants) {
  ExecArgs args = Shell(
      "trap '' TERM; setsid sleep 1000 & echo $! > $READY; "
      "while :; do sleep 0.05; done");
  Pid sup = Supervise(args, absl::Milliseconds(200));
  pid_t descendant = std::stoi(ReadyLine());
  pid_t program = Status(Child(sup)).os_pid();
  std::promise<absl::StatusOr<OpResult>> done;
  SupervisorClient(sup).TerminateChild(
      runtime_, "program", [&](absl::StatusOr<OpResult> r) { done.set_value(std::move(r)); });
  EXPECT_EQ(done.get_future().get()->code, OpResult::Code::kOk);
  WaitEnded(program);
  WaitEnded(descendant);
}

TEST_F(ExecTest, AKilledActorTakesItsProgramAlong) {
  Pid sup = Supervise(Shell("exec sleep 1000"));
  pid_t program = Status(Child(sup)).os_pid();
  runtime_.Exit(sup, ExitReason::Kill());
  WaitEnded(program);
}

TEST_F(ExecTest, ExclusiveProgramsFreezeWithTheLease) {
  ExecPrograms programs;
  host_.exec_programs = &programs;
  StartSpec spec;
  spec.module = "exec";
  spec.args = {wire::MakePayload(Shell("exec sleep 1000"))};
  std::promise<StartResult> started;
  StartModule(runtime_, spec, {.exclusive = true},
              [&](StartResult r) { started.set_value(std::move(r)); });
  Pid child = started.get_future().get().pid;
  pid_t program = Status(child).os_pid();
  // The program is a child of this process. WNOWAIT leaves it to the spawner.
  auto wait_for = [&](int change) {
    siginfo_t info = {};
    EXPECT_EQ(waitid(P_PID, program, &info, change | WNOWAIT), 0);
  };
  EXPECT_EQ(programs.size(), 1u);
  programs.SetFrozen(true);
  wait_for(WSTOPPED);
  programs.SetFrozen(false);
  wait_for(WCONTINUED);
  runtime_.Exit(child, ExitReason::Kill());
  WaitEnded(program);
  runtime_.Shutdown();
  EXPECT_EQ(programs.size(), 0u);
}

TEST_F(ExecTest, AProgramThatIsKilledIsRestarted) {
  Pid sup = Supervise(Shell("exec sleep 1000"), absl::Seconds(10), 5);
  Pid before = Child(sup);
  pid_t program = Status(before).os_pid();
  kill(program, SIGKILL);
  EXPECT_EQ(DownOf(before).type(), "signal");
  // The supervisor's exit signal and this call have different senders: no order between them.
  Pid after = before;
  while (after == before || !after) after = Child(sup);
  modules::v1::StatusReply status = Status(after);
  EXPECT_NE(status.os_pid(), program);
  EXPECT_EQ(status.restarts(), 1u);
}

}  // namespace
}  // namespace banyan
