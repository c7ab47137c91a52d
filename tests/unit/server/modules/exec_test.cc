// Real programs under a real runtime.
#include "server/modules/exec.h"

#include <fstream>
#include <future>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <signal.h>

#include "common/os/filesystem.h"
#include "common/time/system_clock.h"
#include "common/time/system_timers.h"
#include "common/wire/payload.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"
#include "server/modules/exec_programs.h"
#include "server/modules/modules.h"

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
    dir_ = testing::TempDir() + "exec_test_" + std::to_string(getpid()) + "_" +
           testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  ~ExecTest() override {
    runtime_.Shutdown();
    std::remove(dir_.c_str());
  }

  static ExecArgs Shell(const std::string& script) {
    ExecArgs args;
    args.add_argv("/bin/sh");
    args.add_argv("-c");
    args.add_argv(script);
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
  // The program's output, once it has a line. The script must write one soon.
  std::string FirstLine() {
    for (int i = 0; i < 3000; ++i) {
      std::ifstream in(dir_);
      std::string line;
      if (std::getline(in, line) && !in.eof()) return line;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return "";
  }
  static bool Gone(pid_t pid) { return kill(pid, 0) != 0; }
  static void WaitGone(pid_t pid) {
    for (int i = 0; i < 3000 && !Gone(pid); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(Gone(pid));
  }

  SystemClock clock_;
  SystemTimers timers_;
  ProcessSpawner spawner_;
  Modules modules_;
  Host host_;
  Runtime runtime_;
  std::string dir_;
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
  ExecArgs args =
      Shell("echo $BANYAN_CHILD $BANYAN_NODE $BANYAN_ADDR $BANYAN_FENCE $OWN; exec sleep 100");
  (*args.mutable_env())["OWN"] = "mine";
  args.set_output(dir_);
  Pid sup = Supervise(args);
  EXPECT_EQ(FirstLine(), "program n1 127.0.0.1:1 0 mine");
  modules::v1::StatusReply status = Status(Child(sup));
  EXPECT_GT(status.os_pid(), 0);
  EXPECT_FALSE(Gone(status.os_pid()));
  EXPECT_EQ(status.argv(0), "/bin/sh");
  EXPECT_EQ(status.restarts(), 0u);
}

TEST_F(ExecTest, ShutdownAsksTheProgramAndWaits) {
  ExecArgs args = Shell("trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
  args.set_output(dir_);
  Pid sup = Supervise(args);
  EXPECT_EQ(FirstLine(), "ready");
  Pid child = Child(sup);
  pid_t program = Status(child).os_pid();
  runtime_.Exit(child, ExitReason::Shutdown(), sup);
  EXPECT_EQ(DownOf(sup), ExitReason::Shutdown()) << "permanent child, intensity 0";
  EXPECT_TRUE(Gone(program));
  std::ifstream in(dir_);
  std::stringstream all;
  all << in.rdbuf();
  EXPECT_THAT(all.str(), testing::HasSubstr("asked"));
}

TEST_F(ExecTest, StubbornProgramsAreKilledWithTheirDescendants) {
  ExecArgs args = Shell("trap '' TERM; setsid sleep 1000 & echo $!; while :; do sleep 0.05; done");
  args.set_output(dir_);
  Pid sup = Supervise(args, absl::Milliseconds(200));
  pid_t descendant = std::stoi(FirstLine());
  pid_t program = Status(Child(sup)).os_pid();
  std::promise<absl::StatusOr<OpResult>> done;
  SupervisorClient(sup).TerminateChild(
      runtime_, "program", [&](absl::StatusOr<OpResult> r) { done.set_value(std::move(r)); });
  EXPECT_EQ(done.get_future().get()->code, OpResult::Code::kOk);
  WaitGone(program);
  WaitGone(descendant);
}

TEST_F(ExecTest, AKilledActorTakesItsProgramAlong) {
  Pid sup = Supervise(Shell("exec sleep 1000"));
  pid_t program = Status(Child(sup)).os_pid();
  runtime_.Exit(sup, ExitReason::Kill());
  WaitGone(program);
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
  auto state = [&] {
    std::ifstream in("/proc/" + std::to_string(program) + "/stat");
    std::string pid, name, letter;
    in >> pid >> name >> letter;
    return letter;
  };
  auto wait_for = [&](bool stopped) {
    for (int i = 0; i < 3000 && (state() == "T") != stopped; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(state() == "T", stopped);
  };
  EXPECT_EQ(programs.size(), 1u);
  programs.SetFrozen(true);
  wait_for(true);
  programs.SetFrozen(false);
  wait_for(false);
  runtime_.Exit(child, ExitReason::Kill());
  WaitGone(program);
  runtime_.Shutdown();
  EXPECT_EQ(programs.size(), 0u);
}

TEST_F(ExecTest, AProgramThatIsKilledIsRestarted) {
  Pid sup = Supervise(Shell("exec sleep 1000"), absl::Seconds(10), 5);
  Pid before = Child(sup);
  pid_t program = Status(before).os_pid();
  kill(program, SIGKILL);
  EXPECT_EQ(DownOf(before).type(), "signal");
  Pid after = Child(sup);
  EXPECT_NE(before, after);
  modules::v1::StatusReply status = Status(after);
  EXPECT_NE(status.os_pid(), program);
  EXPECT_EQ(status.restarts(), 1u);
}

}  // namespace
}  // namespace banyan
